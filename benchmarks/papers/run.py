"""Trains configs of configs/papers with several seeds, and appends a line of JSON for each run.

    python benchmarks/papers/run.py embedded_reber --seeds 0 1 2 --out records.jsonl

A line has the config's name, the seed, the metrics that `jlstm train` prints, the number that the
paper's criterion gives (criteria.py), and seconds: those of training, and those of all processors
together. A run that exists already is replaced. With --curve, the line also has points of the
training loss: the number of steps, and the mean loss of the steps since the point before.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import criteria

from jlstm.train.runs import curves, metrics


def run(name: str, seed: int, changes: list[str], curve: bool = False) -> dict:
    """Trains with one seed. The record of it."""
    place = pathlib.Path("runs/papers") / f"{name}-{seed}"
    command = [sys.executable, "-m", "jlstm", "train", f"configs/papers/{name}.toml", "--json"]
    command += ["--overwrite", "--out", str(place), "--set", f"train.seed={seed}", *changes]
    before = _processor_seconds()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    spent = _processor_seconds() - before
    outcome = json.loads(done.stdout.splitlines()[-1])
    record = {"config": name, "seed": seed, "steps": outcome["step"], "metrics": outcome["metrics"]}
    record["criterion"] = criteria.of(place / "model.safetensors")
    if curve:
        record["curve"] = curves.points(metrics.read(place), "train", "loss")
    return record | {"seconds": round(outcome["seconds"], 1), "processor": round(spent, 1)}


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Runs what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", help="names of files in configs/papers")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=pathlib.Path, default="runs/papers/records.jsonl")
    parser.add_argument("--curve", action="store_true", help="add the training loss to each line")
    parser.add_argument("--set", nargs="+", default=[], help="further values, TABLE.KEY=VALUE")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        for seed in options.seeds:
            line = json.dumps(run(name, seed, options.set, options.curve))
            print(line, flush=True)
            with options.out.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
