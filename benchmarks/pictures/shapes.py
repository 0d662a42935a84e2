"""Pictures with a row for each shape, and in it a mark for each library."""

from collections.abc import Callable, Mapping

from benchmarks.pictures import records
from benchmarks.pictures.drawing import LINE, Axis, axis_of, frame, text, title

WIDTH, ROW, LEFT, RIGHT = 480, 24, 172, 456
TICKS = (0.5, 1, 2, 4, 8, 16)
Panels = Mapping[str, Mapping[str, Mapping[str, float]]]  # by panel, case and library


def circle(x: float, y: float) -> str:
    """The outline of a circle around a point."""
    return f"M{x - 5:g} {y:g} a5 5 0 1 0 10 0 a5 5 0 1 0 -10 0 z"


def diamond(x: float, y: float) -> str:
    """The outline of a diamond around a point."""
    return f"M{x:g} {y - 7:g} l7 7 l-7 7 l-7 -7 z"


def square(x: float, y: float) -> str:
    """The outline of a square around a point."""
    return f"M{x - 5:g} {y - 5:g} h10 v10 h-10 z"


def triangle(x: float, y: float) -> str:
    """The outline of a triangle around a point."""
    return f"M{x:g} {y - 7:g} l6.5 11 h-13 z"


# Colours that are told apart without red and green; shapes, for pictures without colours.
MARKS: dict[str, tuple[Callable[[float, float], str], str]] = {
    "torch": (circle, "#d55e00"),
    "ONNX Runtime": (diamond, "#0072b2"),
    "Flax": (square, "#009e73"),
    "lax.scan by hand": (triangle, "#7a7f87"),
    "Keras": (square, "#cc79a7"),
}


def mark(name: str, x: float, y: float, words: str = "") -> str:
    """The mark of a library, with what is shown where a mouse rests on it."""
    shape, color = MARKS[name]
    hover = f"<title>{words}</title>" if words else ""
    return f'<path d="{shape(x, y)}" fill="{color}" fill-opacity="0.75">{hover}</path>'


def legend(names: list[str], y: float) -> tuple[list[str], float]:
    """The marks and names, in two columns, and where they end."""
    parts = []
    for n, name in enumerate(names):
        x, row = 30 + 210 * (n % 2), y + 24 * (n // 2)
        parts += [mark(name, x, row), text(x + 14, row + 5, name, "start")]
    return parts, y + 24 * ((len(names) + 1) // 2)


def rows(panels: Panels, about: str) -> str:
    """The picture of panels of cases."""
    values = [own for cases in panels.values() for own in cases.values()]
    found = {name for own in values for name in own}
    largest = max(ratio for own in values for ratio in own.values())
    ticks = [tick for tick in TICKS if tick < 2 * largest]
    axis = Axis(LEFT, RIGHT, ticks)
    parts, y = legend([name for name in MARKS if name in found], 28)
    top = y + 30
    y = top - 6
    for heading, cases in panels.items():
        y += 26
        parts.append(title(14, y, heading))
        y += 2
        for case, own in cases.items():
            y += ROW
            parts.append(text(LEFT - 12, y + 5, case, "end"))
            parts.append(f'<path d="M{LEFT} {y:g} H{RIGHT}" stroke="{LINE}"/>')
            for name in reversed([name for name in MARKS if name in own]):
                words = f"{case}: {name} {own[name]:.2f}"
                parts.append(mark(name, axis.at(own[name]), y, words))
        y += 10
    bottom = y + 6
    return frame(WIDTH, bottom + 52, about, [*axis_of(axis, top, bottom), *parts], 15)


def across_shapes(mode: str) -> Panels:
    """The shapes of `field.toml`, and units, batch and steps varied one at a time."""
    field, scaling = records.ratios("field", mode), records.ratios("scaling", mode)
    short = {case.replace(", 2 layers", ", x2"): own for case, own in field.items()}
    base = scaling["B 16"]  # the shape that the three series share

    def series(letter: str, at: int) -> dict[str, Mapping[str, float]]:
        own = {case: scaling[case] for case in scaling if case.startswith(letter)}
        own[f"{letter} {at}"] = base
        return dict(sorted(own.items(), key=lambda item: int(item[0].split()[1])))

    return {
        "steps T, batch B, units H": short,
        "units, at T 50, B 16": series("H", 256),
        "batch, at T 50, H 256": series("B", 16),
        "steps, at B 16, H 256": series("T", 50),
    }


def other_calls(mode: str) -> Panels:
    """Sizes between vectors, lengths, directions and resets."""
    cpu, lengths = records.ratios("cpu", mode), records.ratios("lengths", mode)
    return {
        "sizes that do not fill vectors": {c: own for c, own in cpu.items() if c.startswith("H")},
        "T 100, B 32, H 128": {
            "lengths 20 to 100": lengths["lengths from 20 to 100"],
            "both ways": lengths["both ways"],
            "both, lengths": lengths["both ways, lengths from 20 to 100"],
        },
        "resets, as in recurrent policies": records.ratios("reinforcement", mode),
    }
