"""Keras without what TensorFlow prints."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without_tensorflow_log() -> Iterator[None]:
    """For commands, around the import and the use of Keras.

    Keras imports TensorFlow if it is installed, whose C++ writes to standard error when it is
    imported, whatever is set. What is written there within this context is dropped. Exceptions
    are not. Unless KERAS_BACKEND names another backend, Keras gets JAX, which is there, and which
    starts no devices of TensorFlow. Nothing changes if TensorFlow has been imported.
    """
    with contextlib.ExitStack() as stack:
        if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ:
            os.environ["KERAS_BACKEND"] = "jax"
            stack.callback(os.environ.pop, "KERAS_BACKEND")
        if "tensorflow" not in sys.modules:
            stack.enter_context(_without_standard_error())
        yield


@contextlib.contextmanager
def _without_standard_error() -> Iterator[None]:
    """What this process writes to standard error is dropped, also by C++."""
    try:
        before = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
