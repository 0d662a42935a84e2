"""What all pictures share: figures, styles, labels of axes, and PNG files."""

import contextlib
import io
import itertools
from collections.abc import Iterator
from typing import Any

from jlstm.bench.record_fields import Record
from jlstm.validation import printable

MARKERS = "osD^v<>PX*ph"
# Told apart on a screen, in print and without seeing red or green; the markers help.
COLORS = (
    "#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d",
    "#8c613c", "#7f7f7f", "#b2df3a", "#e4002b",
)  # fmt: skip
DOTS_PER_INCH = 90
PALETTE = 128  # colours of a picture
LONGEST_LABEL = 32


def require() -> None:
    """ImportError, saying what to install, if matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        raise ImportError(
            "jlstm report needs matplotlib, which is not installed: pip install matplotlib"
        ) from None
    matplotlib.use("Agg")


@contextlib.contextmanager
def plain_text() -> Iterator[None]:
    """In this context, matplotlib shows names with `$` as they are, not as formulas."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False, "text.usetex": False}):
        yield


def label(name: str) -> str:
    """A name for a picture: short, and of characters that the font has."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    shown = "".join(c if font.get_char_index(ord(c)) else ascii(c)[1:-1] for c in printable(name))
    if len(shown) > LONGEST_LABEL:
        shown = f"{shown[: LONGEST_LABEL - 11]}…{shown[-10:]}"
    # Legends leave out labels that begin with an underscore.
    return f" {shown}" if shown.startswith("_") else shown


def figure(columns: int = 1) -> Any:
    """A figure with axes side by side: (figure, list of axes)."""
    from matplotlib import pyplot

    made, axes = pyplot.subplots(
        1, columns, figsize=(2.2 + 4 * columns, 3.8), squeeze=False, layout="constrained"
    )
    return made, axes[0]


def png(made: Any) -> bytes:
    """A figure as a PNG file. Closes the figure."""
    from matplotlib import pyplot
    from PIL import Image

    drawn, content = io.BytesIO(), io.BytesIO()
    made.savefig(drawn, dpi=DOTS_PER_INCH)
    pyplot.close(made)
    # A palette makes the file a third as large, and plots have few colours.
    Image.open(drawn).convert("RGB").quantize(PALETTE, Image.Quantize.MAXCOVERAGE).save(
        content, "PNG", optimize=True
    )
    return content.getvalue()


def styles(records: list[Record]) -> dict[str, dict[str, Any]]:
    """Contender -> its marker, its colour and its label."""
    names = dict.fromkeys(r["contender"] for r in records)
    looks = zip(itertools.cycle(COLORS), itertools.cycle(MARKERS), strict=False)
    return {
        name: {"color": color, "marker": marker, "label": label(name)}
        for name, (color, marker) in zip(names, looks, strict=False)
    }


def apart(sizes: list[int]) -> list[int]:
    """Those sizes whose labels have room on a logarithmic axis, smallest first."""
    kept: list[int] = []
    for size in sizes:
        if not kept or size >= 1.4 * kept[-1]:
            kept.append(size)
    return kept


def plain_numbers(axis: Any) -> None:
    """Labels 1, 2, 5, 10, ... on a logarithmic axis, of which each decade has at least one."""
    from matplotlib import ticker

    low, high = axis.get_view_interval()
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(ticker.NullFormatter())
