"""The calls of orbax-checkpoint, in one place. Versions 0.11 and 0.12 have all of them."""

import contextlib
import gc
import logging
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

_STATE, _ABOUT = "state", "about"


def package() -> Any:
    """The module orbax.checkpoint.

    Raises:
      ImportError: it is missing. The message says how to install it.
    """
    try:
        import orbax.checkpoint
    except ImportError:
        raise ImportError(
            "checkpoints need the package orbax-checkpoint: pip install 'jlstm[train]'"
        ) from None
    return orbax.checkpoint


@contextlib.contextmanager
def manager(folder: pathlib.Path, keep: int) -> Iterator[Any]:
    """A CheckpointManager that writes in the background and keeps the newest checkpoints."""
    ocp = package()
    options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=True)
    made = ocp.CheckpointManager(folder, options=options)
    try:
        yield made
    finally:
        with contextlib.suppress(Exception):  # raises once more what was raised already
            made.close()


def saved(state: Any, about: dict[str, Any]) -> Any:
    """The arguments that save a pytree of arrays, and JSON values beside it."""
    args = package().args
    parts = {_STATE: args.StandardSave(state), _ABOUT: args.JsonSave(about)}
    return args.Composite(**parts)


def restored_about(folder: pathlib.Path, step: int) -> dict[str, Any]:
    """The JSON values of a checkpoint."""
    return _restored(folder, step, **{_ABOUT: package().args.JsonRestore()})[_ABOUT]


def restored_state(folder: pathlib.Path, step: int, like: Any) -> Any:
    """The pytree of a checkpoint, on the shardings of `like`."""
    structs = jax.tree.map(_struct, like)
    return _restored(folder, step, **{_STATE: package().args.StandardRestore(structs)})[_STATE]


def agree(well: bool) -> bool:
    """Whether all is well in every process. All processes call it, and wait for each other."""
    if jax.process_count() == 1:
        return well
    from jax.experimental import multihost_utils

    return bool(np.all(multihost_utils.process_allgather(np.asarray(well))))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Orbax from printing tracebacks of errors that it raises as well.

    It logs them. After an error, TensorStore calls event loops that are closed by then, and Python
    complains of coroutines that nobody awaits any more.
    """
    logger, hook = logging.getLogger("absl"), sys.unraisablehook
    level = logger.level

    def unraisable(seen: Any) -> None:
        closed = isinstance(seen.exc_value, RuntimeError) and "loop is closed" in str(
            seen.exc_value
        )
        if not closed and "orbax" not in _origin(seen.object):
            hook(seen)

    logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        gc.collect()
        sys.unraisablehook = hook
        logger.setLevel(level)


def _origin(coroutine: Any) -> str:
    """The file that the code of a coroutine is in; '' for any other object."""
    return getattr(getattr(coroutine, "cr_code", None), "co_filename", "")


def _restored(folder: pathlib.Path, step: int, **parts: Any) -> Any:
    """Parts of a checkpoint.

    Each process reads alone: were they to wait for each other in here, one that cannot read its
    shards would leave the others waiting. `agree` comes afterwards.
    """
    ocp, alone = package(), {}
    if jax.process_count() > 1:
        own = jax.process_index()
        alone["multiprocessing_options"] = ocp.options.MultiprocessingOptions(
            primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process{own}"
        )
    options = ocp.CheckpointManagerOptions(read_only=True, create=False, **alone)
    with ocp.CheckpointManager(folder.absolute(), options=options) as made:
        return made.restore(step, args=ocp.args.Composite(**parts))


def _struct(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
