"""The build backend: scikit-build-core, with a wheel without C++ kernels where none can be built.

scikit-build-core has such a fallback too (`if.failed`), but then offers no way to prepare metadata
by itself, so that pip compiles everything while it prints "Preparing metadata".
"""

import sys

from scikit_build_core import build
from scikit_build_core.build import (
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

# pip shows nothing that a successful build prints, unless it is called with -v. It does show the
# name of the wheel, so the name says what is missing. A build tag has to begin with a digit.
WITHOUT_KERNELS = {"wheel.cmake": "false", "wheel.build-tag": "0_without_cpp_kernels"}
MESSAGE = """
*** The C++ kernels of jlstm could not be compiled; the reason is above.
*** jlstm is installed without them: it works, but is slower on CPU.
*** For the kernels, install GCC or Clang, then reinstall jlstm.
"""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Builds the wheel: with C++ kernels, or without them if CMake or the compiler fails."""
    return _build(build.build_wheel, wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Builds an editable wheel in the same way."""
    return _build(build.build_editable, wheel_directory, config_settings, metadata_directory)


def _build(hook, wheel_directory, config_settings, metadata_directory):
    try:
        return hook(wheel_directory, config_settings, metadata_directory)
    except SystemExit:  # how scikit-build-core ends when CMake or the compiler fails
        print(MESSAGE, file=sys.stderr, flush=True)
    # Without the prepared metadata: it has the tag of a wheel for one platform.
    return hook(wheel_directory, {**(config_settings or {}), **WITHOUT_KERNELS})
