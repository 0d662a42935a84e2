"""Draws the README's picture of speed: `python benchmarks/picture.py` writes speed.svg.

A dot is one shape: the time of another library divided by that of jlstm, medians of one run.
"""

import gzip
import json
import math
import pathlib
import statistics

HERE = pathlib.Path(__file__).parent
PATH = HERE / "speed.svg"
PANELS = {  # what is timed, and the suite and mode of its records
    "forward": ("field", "forward"),
    "training step": ("field", "training"),
    "one step per call, batch 1": ("streaming", "step"),
}
NAMES = {
    "scan by hand": "lax.scan by hand",
    "flax linen": "Flax",
    "torch": "torch",
    "onnxruntime": "ONNX Runtime",
}
INK, FAINT, DOT = "#1f2933", "#8b95a1", "#1d5fa8"
LEFT, RIGHT, ROW = 168, 560, 27
LOWEST, HIGHEST = 0.25, 8


def ratios(suite: str, mode: str) -> dict[str, list[float]]:
    """For each other library, its time divided by that of jlstm, in each case of a suite."""
    times: dict[str, dict[str, float]] = {}
    with gzip.open(HERE / "cpu.jsonl.gz", "rt") as records:
        for record in map(json.loads, records):
            wanted = f"benchmarks/{suite}.toml" in record["command"] and record["mode"] == mode
            if wanted and "median_s" in record:  # a case that failed has none
                times.setdefault(record["case"], {})[record["contender"]] = record["median_s"]
    return {
        name: [own[name] / own["jlstm cpu"] for own in times.values() if name in own]
        for name in NAMES
    }


def across(ratio: float) -> int:
    """The place of a ratio on the axis, which is logarithmic."""
    share = math.log(ratio / LOWEST) / math.log(HIGHEST / LOWEST)
    return round(LEFT + share * (RIGHT - LEFT))


def text(x: int, y: int, words: str, anchor: str = "middle", color: str = INK) -> str:
    """Words at a point."""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{color}">{words}</text>'


def picture() -> str:
    """The picture as SVG. Its own light background keeps it readable on a dark page."""
    parts, y = [], 66
    for title, place in PANELS.items():
        parts.append(text(16, y + 5, f"<tspan font-weight='bold'>{title}</tspan>", "start"))
        for name, values in ratios(*place).items():
            if not values:
                continue
            y += ROW
            assert min(values) > LOWEST and max(values) < HIGHEST
            middle = statistics.geometric_mean(values)
            parts.append(text(LEFT - 14, y + 5, NAMES[name], "end"))
            parts.append(f'<path d="M{LEFT} {y} H{RIGHT}" stroke="#e3e7ec"/>')
            parts += [
                f'<circle cx="{across(v)}" cy="{y}" r="4.5" fill="{DOT}" opacity="0.45"/>'
                for v in values
            ]
            at = across(middle)
            parts.append(f'<path d="M{at} {y - 9} V{y + 9}" stroke="{INK}" stroke-width="3"/>')
            parts.append(text(RIGHT + 62, y + 5, f"{middle:.2f}", "end"))
        y += 34
    bottom = y - 20
    ticks = [0.25, 0.5, 1, 2, 4, 8]
    axis = [text(across(t), bottom + 16, f"{t:g}", color=FAINT) for t in ticks]
    axis.append(f'<path d="M{across(1)} 46 V{bottom}" stroke="{FAINT}" stroke-dasharray="4 3"/>')
    axis.append(text(across(1) - 10, 30, "the other is faster ←", "end", FAINT))
    axis.append(text(across(1) + 10, 30, "→ jlstm is faster", "start", FAINT))
    axis.append(text(across(1), 30, "1", color=FAINT))
    axis.append(text(RIGHT + 62, 30, "mean", "end", FAINT))
    height = bottom + 30
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}" role="img" '
        'font-family="sans-serif" font-size="16">'
        "<title>Time of other LSTMs divided by the time of jlstm, on 2 CPU cores</title>"
        f'<rect width="640" height="{height}" rx="12" fill="#fafbfc" stroke="#d0d5db"/>'
    )
    return "\n".join([head, *axis, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    PATH.write_text(picture())
