"""The compiled CPU kernels: finding the library, and handing it to XLA once it is known to fit."""

import ctypes
import functools
import importlib.metadata
import pathlib
import re
import sys
import warnings

import jax

import jlstm.kernels.cpu

TARGETS = ("jlstm_forward", "jlstm_backward", "jlstm_gradients")


@functools.cache
def load() -> tuple[ctypes.CDLL | None, str]:
    """(the library, "") with its functions registered, or (None, why it does not serve).

    Without the library a RuntimeWarning says why, once in a process, as the scan is slower.
    Looked for and registered at the first call that could use it, once in a process. XLA ends the
    whole CPU backend if it is handed a function built for a newer interface than its own, so that
    the versions are compared before.
    """
    path = _path()
    if path is None:
        return _step_aside(
            "its compiled library is not installed (no GCC or Clang when jlstm was installed?); "
            "install a compiler, then reinstall jlstm"
        )
    try:
        library = ctypes.CDLL(str(path))
        built = (library.jlstm_ffi_major(), library.jlstm_ffi_minor())
    except (OSError, AttributeError) as error:
        return _step_aside(f"its compiled library {path.name} cannot be loaded: {error}")
    runs = interface_version()
    if runs is None or built[0] != runs[0] or built[1] > runs[1]:
        found = "unknown" if runs is None else "{}.{}".format(*runs)
        return _step_aside(
            f"its compiled library needs XLA's foreign function interface {built[0]}.{built[1]}, "
            f"and this jaxlib has {found}; reinstall jlstm, or another jaxlib"
        )
    library.jlstm_isa.restype = ctypes.c_char_p
    for name in TARGETS:
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
    return library, ""


def instruction_set() -> str | None:
    """The instruction set whose kernels serve here, or None where none do."""
    library, _ = load()
    return None if library is None else library.jlstm_isa().decode()


def interface_version() -> tuple[int, int] | None:
    """The version of XLA's foreign function interface, as the headers of jaxlib state it."""
    header = pathlib.Path(jax.ffi.include_dir(), "xla/ffi/api/c_api.h")
    try:
        text = header.read_text()
    except OSError:
        return None
    found = [re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR")]
    if found[0] is None or found[1] is None:
        return None
    return int(found[0].group(1)), int(found[1].group(1))


def _path() -> pathlib.Path | None:
    """Beside this file, or in the installed package that a checkout stands before."""
    name = "jlstm_native" + {"win32": ".dll"}.get(sys.platform, ".so")
    places = [pathlib.Path(folder, name) for folder in jlstm.kernels.cpu.__path__]
    try:
        installed = importlib.metadata.distribution("jlstm")
        places.append(pathlib.Path(str(installed.locate_file(f"jlstm/kernels/cpu/{name}"))))
    except importlib.metadata.PackageNotFoundError:
        pass
    return next((path for path in places if path.exists()), None)


def _step_aside(reason: str) -> tuple[None, str]:
    warnings.warn(f"the CPU kernels of jlstm are left out: {reason}", RuntimeWarning, stacklevel=3)
    return None, reason
