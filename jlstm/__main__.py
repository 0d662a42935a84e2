"""The command `jlstm`, which needs more packages than the library does."""

import importlib.util
import sys

from jlstm import stopping

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
    with stopping.at_once():
        from jlstm import cli
    try:
        cli.main()
    except stopping.StoppedExit as end:
        # Threads of XLA may still compile, and Python's own end would be a crash.
        stopping.exit_at_once(end.number)


if __name__ == "__main__":
    main()
