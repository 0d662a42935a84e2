"""The command `jlstm`, which needs more packages than the library does."""

import contextlib
import importlib.util
import signal
import sys
import threading
from collections.abc import Iterator

# The extra `cli`: modules, by the package that brings them.
NEEDED = {
    "flax": "flax",
    "optax": "optax",
    "orbax-checkpoint": "orbax",
    "rich": "rich",
    "scikit-learn": "sklearn",
    "tyro": "tyro",
}


def main() -> None:
    """Runs the command line. If it needs what is not installed, one line says so: exit code 2."""
    missing = [name for name, module in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(
            f"jlstm: the command line needs {', '.join(missing)}: pip install 'jlstm[cli]', "
            "or from a checkout pip install '.[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    with _ended_at_once():
        from jlstm import cli
    cli.main()


@contextlib.contextmanager
def _ended_at_once() -> Iterator[None]:
    """Ctrl-C ends the process as it ends others, without the traceback of an import."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    main()
