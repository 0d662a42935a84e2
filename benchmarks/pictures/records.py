"""Times of the recorded benchmarks, as ratios: another library's time divided by that of jlstm."""

import gzip
import json
import pathlib
import statistics

HERE = pathlib.Path(__file__).parent.parent
NAMES = {  # contenders of the records, and what the pictures call them
    "torch": "torch",
    "onnxruntime": "ONNX Runtime",
    "flax linen": "Flax",
    "scan by hand": "lax.scan by hand",
}


def ratios(suite: str, mode: str) -> dict[str, dict[str, float]]:
    """By case and name: the ratio of medians of a suite. A library that failed has none."""
    times: dict[str, dict[str, float]] = {}
    with gzip.open(HERE / "cpu.jsonl.gz", "rt") as records:
        for record in map(json.loads, records):
            wanted = f"benchmarks/{suite}.toml" in record["command"] and record["mode"] == mode
            if wanted and "median_s" in record:
                times.setdefault(record["case"], {})[record["contender"]] = record["median_s"]
    return {
        case: {name: own[key] / own["jlstm cpu"] for key, name in NAMES.items() if key in own}
        for case, own in times.items()
    }


def training_ratios() -> dict[str, dict[str, float]]:
    """By case and name: jlstm's sequences a second divided by those of torch and Keras."""
    rates: dict[str, dict[str, float]] = {}
    for line in (HERE / "training.jsonl").read_text().splitlines():
        record = json.loads(line)
        median = statistics.median(record["per_second"])
        rates.setdefault(record["case"], {})[record["framework"]] = median
    return {
        case: {
            name: own["jlstm"] / own[key] for key, name in (("torch", "torch"), ("keras", "Keras"))
        }
        for case, own in rates.items()
    }
