"""Draws the LSTM cell for mathematics.md: `python docs/cell_picture.py` writes _static/cell.svg."""
# ruff: noqa: RUF001  the letters of the picture are meant

import pathlib

PATH = pathlib.Path(__file__).parent / "_static" / "cell.svg"
INK, STATE, HIDDEN, GATE, FLOW = "#1f2933", "#b4540a", "#1d5fa8", "#dcebe1", "#fbe9d5"


def line(points: str, color: str = INK, arrow: bool = True) -> str:
    """A path through points, such as "10,20 30,20", with an arrow at its end."""
    end = f' marker-end="url(#{color[1:]})"' if arrow else ""
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"{end}/>'


def text(x: int, y: int, words: str, color: str = INK, size: int = 22) -> str:
    """Words centred at a point."""
    return f'<text x="{x}" y="{y}" fill="{color}" font-size="{size}">{words}</text>'


def box(x: int, y: int, words: str, fill: str) -> str:
    """A function that has weights, or tanh."""
    shape = f'<rect x="{x - 32}" y="{y - 19}" width="64" height="38" rx="6"'
    return f'{shape} fill="{fill}" stroke="{INK}"/>' + text(x, y + 6, words)


def circle(x: int, y: int, words: str) -> str:
    """An elementwise product or sum."""
    shape = f'<circle cx="{x}" cy="{y}" r="15" fill="{FLOW}" stroke="{INK}"/>'
    return shape + text(x, y + 6, words, size=24)


def arrowhead(color: str) -> str:
    """The end of arrows of a color."""
    return (
        f'<marker id="{color[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{color}"/></marker>'
    )


def dot(x: int, y: int, color: str) -> str:
    """A place where a line divides."""
    return f'<circle cx="{x}" cy="{y}" r="4" fill="{color}"/>'


def picture() -> str:
    """The picture as SVG. Its own light background keeps it readable on a dark page."""
    parts = [
        # The cell state, along the top.
        line("70,80 173,80", STATE),
        line("203,80 353,80", STATE),
        line("383,80 716,80", STATE),
        dot(640, 80, STATE),
        # Input and hidden state reach every gate.
        line("70,330 540,330", HIDDEN, arrow=False),
        line("110,376 110,330", INK, arrow=False),
        dot(110, 330, INK),
        *(line(f"{x},330 {x},261", HIDDEN) for x in (188, 300, 436, 540)),
        *(dot(x, 330, HIDDEN) for x in (188, 300, 436)),
        # From the gates to the cell state.
        line("188,221 188,97"),
        line("300,221 300,160 351,160"),
        line("436,221 436,160 385,160"),
        line("368,145 368,97"),
        # From the cell state to the output.
        line("640,80 640,119", STATE),
        line("640,159 640,223"),
        line("572,240 623,240"),
        line("640,255 640,330 716,330", HIDDEN),
        box(188, 240, "σ", GATE),
        box(300, 240, "σ", GATE),
        box(436, 240, "tanh", GATE),
        box(540, 240, "σ", GATE),
        box(640, 140, "tanh", FLOW),
        circle(188, 80, "×"),
        circle(368, 80, "+"),
        circle(368, 160, "×"),
        circle(640, 240, "×"),
        *(text(x - 14, y, name) for name, x, y in (("f", 188, 200), ("i", 300, 200))),
        *(text(x + 16, y, name) for name, x, y in (("g", 436, 200),)),
        text(598, 230, "o"),
        text(42, 86, "c′", STATE, 26),
        text(738, 86, "c", STATE, 26),
        text(42, 336, "h′", HIDDEN, 26),
        text(738, 336, "h", HIDDEN, 26),
        text(110, 398, "x", INK, 26),
        text(270, 66, "f × c′", size=18),
        text(462, 66, "f × c′ + i × g", size=18),
        text(702, 290, "o × tanh(c)", size=18),
    ]
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 416" role="img" '
        'font-family="sans-serif" text-anchor="middle">'
        "<title>One step of an LSTM: gates f, i, o and candidate g, from x and h′</title>"
        f"<defs>{''.join(map(arrowhead, (INK, STATE, HIDDEN)))}</defs>"
        '<rect width="780" height="416" rx="12" fill="#fafbfc" stroke="#d0d5db"/>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    PATH.write_text(picture())
