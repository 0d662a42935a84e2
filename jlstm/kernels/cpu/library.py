"""Finds the library of compiled CPU kernels, checks its version, and registers it with XLA."""

import ctypes
import functools
import importlib.metadata
import pathlib
import re
import sys
import warnings

import jax

import jlstm.kernels.cpu

FORMATS = ("float32", "float64", "bfloat16")  # the kernels are compiled for each
TARGETS = tuple(
    f"jlstm_{name}_{format}" for name in ("forward", "backward", "gradients") for format in FORMATS
)


@functools.cache
def load() -> tuple[ctypes.CDLL | None, str]:
    """Returns (library, "") after registering its functions, or (None, why it cannot be used).

    Without the library, a RuntimeWarning says once per process why the slower scan is used. The
    library is loaded at the first call that could use it. Versions are compared before anything is
    registered: a function built for a newer interface than XLA's would end the whole CPU backend.
    """
    path = _path()
    if path is None:
        return _unusable(
            "its compiled library is not installed, probably because there was no GCC or Clang "
            "when jlstm was installed; install a compiler, then reinstall jlstm"
        )
    try:
        library = ctypes.CDLL(str(path))
        built = (library.jlstm_ffi_major(), library.jlstm_ffi_minor())
    except (OSError, AttributeError) as error:
        return _unusable(f"its compiled library {path.name} cannot be loaded: {error}")
    runs = interface_version()
    if runs is None or built[0] != runs[0] or built[1] > runs[1]:
        found = "unknown" if runs is None else "{}.{}".format(*runs)
        return _unusable(
            f"its compiled library needs XLA's foreign function interface {built[0]}.{built[1]}, "
            f"but this jaxlib has {found}; reinstall jlstm, or install another jaxlib"
        )
    library.jlstm_isa.restype = ctypes.c_char_p
    for name in TARGETS:
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
    return library, ""


def instruction_set() -> str | None:
    """The instruction set of the kernels that this machine runs, or None without kernels."""
    library, _ = load()
    return None if library is None else library.jlstm_isa().decode()


def interface_version() -> tuple[int, int] | None:
    """The version of XLA's foreign function interface in the headers of jaxlib, None if unknown."""
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
    """The library beside this file, or in the installed package if this is a checkout."""
    name = "jlstm_native" + {"win32": ".dll"}.get(sys.platform, ".so")
    places = [pathlib.Path(folder, name) for folder in jlstm.kernels.cpu.__path__]
    try:
        installed = importlib.metadata.distribution("jlstm")
        places.append(pathlib.Path(str(installed.locate_file(f"jlstm/kernels/cpu/{name}"))))
    except importlib.metadata.PackageNotFoundError:
        pass
    return next((path for path in places if path.exists()), None)


def _unusable(reason: str) -> tuple[None, str]:
    warnings.warn(f"jlstm does not use its CPU kernels: {reason}", RuntimeWarning, stacklevel=3)
    return None, reason
