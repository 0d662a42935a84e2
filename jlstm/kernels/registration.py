"""Registers what compiled programs call, for processes that load programs without tracing them."""

from jlstm.kernels.cpu import library
from jlstm.kernels.cudnn import calls


def register_kernels() -> None:
    """Makes this process ready to load compiled executables that contain kernels.

    An executable that `jax.experimental.serialize_executable` wrote does not hold the code of the
    CPU kernels, nor that of cuDNN. It calls them by name. Every other function of this library
    registers these names with XLA when it needs them, so only a process that loads an executable
    before it has traced the same kernels must call this function, once, before it loads. Calling it
    again does nothing. It takes a few milliseconds and starts no device.

    Without the compiled CPU library, a RuntimeWarning says why, and executables that contain its
    kernels cannot be loaded. Programs of `export` contain no kernels and need no registration.

    >>> register_kernels()
    """
    library.load()
    calls.register()
