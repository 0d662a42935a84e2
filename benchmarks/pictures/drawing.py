"""Parts of a picture in SVG: words, a logarithmic axis of ratios, a frame with its own background.

The light background keeps a picture readable on a dark page, whatever switches the page to dark.
"""

import dataclasses
import math
from collections.abc import Sequence

INK, FAINT, LINE = "#1f2933", "#5f6b76", "#e3e7ec"


@dataclasses.dataclass(frozen=True)
class Axis:
    """A logarithmic axis from `left` to `right`, in the picture's units; each tick doubles."""

    left: int
    right: int
    ticks: Sequence[float]

    def at(self, ratio: float) -> float:
        """The place of a ratio."""
        lowest, highest = self.ticks[0], self.ticks[-1]
        assert lowest < ratio < highest, ratio
        share = math.log(ratio / lowest) / math.log(highest / lowest)
        return round(self.left + share * (self.right - self.left), 1)


def text(x: float, y: float, words: str, anchor: str = "middle", color: str = INK) -> str:
    """Words at a point."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}">{words}</text>'


def title(x: float, y: float, words: str) -> str:
    """Bold words that begin at a point."""
    return text(x, y, f"<tspan font-weight='bold'>{words}</tspan>", "start")


def axis_of(axis: Axis, top: float, bottom: float) -> list[str]:
    """Numbers below the axis, a dashed line at 1, and above it what each side means."""
    at_1 = axis.at(1)
    step = (axis.right - axis.left) / (len(axis.ticks) - 1)
    middle = (axis.left + axis.right) / 2
    return [
        *(
            text(axis.left + n * step, bottom + 18, f"{t:g}", color=FAINT)
            for n, t in enumerate(axis.ticks)
        ),
        text(middle, bottom + 40, "time, divided by that of jlstm", color=FAINT),
        text(at_1, top - 12, "1", color=FAINT),
        text(at_1 - 10, top - 12, "the other is faster ←", "end", FAINT),
        text(at_1 + 10, top - 12, "→ jlstm is faster", "start", FAINT),
        f'<path d="M{at_1:g} {top:g} V{bottom:g}" stroke="{FAINT}" stroke-dasharray="4 3"/>',
    ]


def frame(width: int, height: float, about: str, parts: Sequence[str], size: int = 16) -> str:
    """The whole picture; `about` is read out where it cannot be seen."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" '
        f'width="{width}" role="img" font-family="sans-serif" font-size="{size}">'
        f"<title>{about}</title>"
        f'<rect width="{width}" height="{height:g}" rx="12" fill="#fafbfc" stroke="#d0d5db"/>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"
