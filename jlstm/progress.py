"""What a long command is doing, on standard error: a bar in a terminal, otherwise plain lines."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text

from jlstm import validation

_BAR = 16
_BESIDE = _BAR + 1 + len("0:00:00") + 1  # columns of the terminal, beside the text


class Progress:
    """The stages of a command. `shown` makes one."""

    def __init__(self, console: Console, bar: Bar | None, task: TaskID) -> None:
        self._console, self._bar, self._task = console, bar, task

    def begin(self, stage: str) -> None:
        """Names the stage that begins. Without a terminal, this prints a line."""
        if self._bar is None:
            said = validation.fitting(stage)
            self._console.print(said, markup=False, highlight=False, soft_wrap=True)
        else:
            self.update(stage)

    def update(self, said: str, share: float = 0.0) -> None:
        """Says more on the bar, and moves it by a share of a stage. Prints no line."""
        if self._bar is not None:
            text = Text(validation.fitting(said))
            # rich would make room for a long text by leaving out the bar.
            text.truncate(max(self._console.width - _BESIDE, 1), overflow="ellipsis")
            self._bar.update(self._task, advance=share, description=text.plain)

    def advance(self) -> None:
        """Moves the bar by a stage."""
        if self._bar is not None:
            self._bar.advance(self._task)

    @contextlib.contextmanager
    def cleared(self) -> Iterator[None]:
        """Removes the bar while results are printed, which would run into its line."""
        if self._bar is not None:
            self._bar.stop()
        yield
        if self._bar is not None:
            self._bar.start()


@contextlib.contextmanager
def shown(stages: int, console: Console | None = None) -> Iterator[Progress]:
    """A `Progress` on standard error, until the block ends.

    Args:
      stages: the number of stages.
      console: where to; None means standard error.
    """
    console = Console(stderr=True) if console is None else console
    if not console.is_terminal:
        yield Progress(console, None, TaskID(0))
        return
    # The bar has one line. Removing more would remove results too.
    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    columns = (BarColumn(_BAR), TimeElapsedColumn(), text)
    with Bar(*columns, console=console, transient=True) as bar:
        yield Progress(console, bar, bar.add_task("", total=stages))
