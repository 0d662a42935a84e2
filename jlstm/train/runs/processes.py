"""Work that the first process of a run does for all of them, while they wait."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import jax

from jlstm.train.runs import orbax

T = TypeVar("T")


def is_first() -> bool:
    """Whether this process writes and reports for all of the run."""
    return jax.process_index() == 0


@contextlib.contextmanager
def entered_by_first(context: AbstractContextManager[T], others: T) -> Iterator[T]:
    """Enters a context manager in the first process. The others wait until it is entered.

    Args:
      context: the context manager. The other processes do nothing with it.
      others: what the other processes get in place of its value.

    Raises:
      ValueError: in the other processes, if the first one failed. It raises its own error.
    """
    with contextlib.ExitStack() as stack:
        value = by_first(lambda: stack.enter_context(context))
        yield others if value is None else value


def by_first(function: Callable[[], T]) -> T | None:
    """Calls a function in the first process. The others wait for its end, and return None.

    Raises:
      ValueError: in the other processes, if the first one failed. It raises its own error.
    """
    if not is_first():
        if not orbax.agree(True):
            raise ValueError("process 0 of the run failed; its output has the reason")
        return None
    try:
        value = function()
    except BaseException:
        orbax.agree(False)
        raise
    orbax.agree(True)
    return value
