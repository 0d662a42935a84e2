"""The progress of commands: a bar that leaves the results alone, or lines."""

import io
import re

from rich.console import Console

from jlstm import progress


def test_without_a_terminal_each_stage_is_a_line():
    console = Console(file=io.StringIO(), width=20)
    with progress.shown(2, console) as bar:
        bar.begin("a stage with a name longer than the console is wide")
        bar.update("round 3", 0.5)
        with bar.cleared():
            pass
        bar.advance()
        bar.begin("\x1b[31m [red]")
    assert console.file.getvalue() == (
        "a stage with a name longer than the console is wide\n\\x1b[31m [red]\n"
    )


def plain(text):
    """Text without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_in_a_terminal_results_do_not_run_into_the_bar():
    """The bar and the results are on two streams, so that the bar does not know of a result."""
    console = Console(file=io.StringIO(), width=60, force_terminal=True)
    with progress.shown(2, console) as bar:
        bar.begin("a stage with a name that is much longer than the console is wide")
        for n in range(2):
            with bar.cleared():
                console.file.write(f"result {n}\n")
        bar.update("round 3", 0.5)
    text = console.file.getvalue()
    assert len(re.findall(r"\x1b\[2Kresult \d\n", text)) == 2, "the line is erased before"
    assert "\x1b[1A\x1b[2K\x1b[1A" not in text, "no line above it is"
    after = text.split("result 1\n")[1]
    assert "round 3" in after and after.endswith("\x1b[2K")
    assert "━ 0:00:00 a stage with a name that is much l…" in plain(text), "the bar has room"
