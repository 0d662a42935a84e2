"""The README's picture: a dot is one shape, with medians of one run."""

import statistics

from benchmarks.pictures.drawing import FAINT, INK, LINE, Axis, axis_of, frame, text, title
from benchmarks.pictures.records import ratios

PANELS = {  # what is timed, and the suite and mode of its records
    "forward": ("field", "forward"),
    "training step": ("field", "training"),
    "one step per call, batch 1": ("streaming", "step"),
}
NAMES = ("lax.scan by hand", "Flax", "torch", "ONNX Runtime")
DOT, ROW = "#1d5fa8", 27
AXIS = Axis(left=160, right=410, ticks=(0.25, 0.5, 1, 2, 4, 8))


def picture() -> str:
    """The picture as SVG."""
    parts, y = [], 66
    for heading, place in PANELS.items():
        parts.append(title(16, y + 5, heading))
        cases = ratios(*place).values()
        for name in NAMES:
            values = [own[name] for own in cases if name in own]
            if not values:
                continue
            y += ROW
            middle = statistics.geometric_mean(values)
            parts.append(text(AXIS.left - 14, y + 5, name, "end"))
            parts.append(f'<path d="M{AXIS.left} {y} H{AXIS.right}" stroke="{LINE}"/>')
            parts += [
                f'<circle cx="{AXIS.at(v):g}" cy="{y}" r="4.5" fill="{DOT}" opacity="0.45"/>'
                for v in values
            ]
            at = AXIS.at(middle)
            parts.append(f'<path d="M{at:g} {y - 9} V{y + 9}" stroke="{INK}" stroke-width="3"/>')
            parts.append(text(AXIS.right + 56, y + 5, f"{middle:.2f}", "end"))
        y += 34
    bottom = y - 20
    parts.append(text(AXIS.right + 56, 30, "mean", "end", FAINT))
    about = "Time of other LSTMs divided by the time of jlstm, on 2 CPU cores"
    return frame(480, bottom + 52, about, [*axis_of(AXIS, 42, bottom), *parts], 15)
