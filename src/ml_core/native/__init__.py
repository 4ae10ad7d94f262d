"""The compiled kernels: which build of them is loaded, if any, and how arrays are handed to them.

They are C, called through ctypes, which lets go of Python's lock meanwhile. A build exists for each
level of the processor that matters; all give the same bits as the reference. Where none can be
loaded everything works through the reference, slower. ``ML_CORE_KERNELS`` asks for one build by its
name (see `BUILDS`), or for "reference".
"""

import ctypes
import os
import platform
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

FOLDER = Path(__file__).parent
REFERENCE = "reference"
SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")

# By the name of the build the level that a processor must have, the best build last.
_X86_BUILDS = {"x86_64_v2": 2, "x86_64_v3": 3, "x86_64_v4": 4}
_OTHER_BUILDS = {"baseline": 1}
BUILDS = _X86_BUILDS if platform.machine().lower() in ("x86_64", "amd64") else _OTHER_BUILDS


def path_of(build: str) -> Path:
    return FOLDER / f"kernels_{build}{SUFFIX}"


@cache
def library() -> ctypes.CDLL | None:
    """The build to use, or None for the reference; found once for the life of the process.

    Raises
    ------
    ValueError
        If ``ML_CORE_KERNELS`` names a build that is not there or that the processor cannot run.
    """
    asked = os.environ.get("ML_CORE_KERNELS", "")
    if asked == REFERENCE:
        return None
    try:
        return _asked_for(asked) if asked else _best()
    except OSError as error:
        warnings.warn(
            f"ml_core's compiled kernels cannot be loaded, so the reference does their work: the "
            f"results are the same, but come later. Install the package anew to build them. "
            f"({error})",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


@cache
def holding(kernels: ctypes.CDLL) -> ctypes.PyDLL:
    """The same kernels, called with Python's lock held.

    For what takes less time than to give the lock away and to wait for it again.
    """
    return ctypes.PyDLL(kernels._name, handle=kernels._handle)


def build_in_use() -> str:
    """The name of the build in use, or "reference"."""
    found = library()
    return REFERENCE if found is None else Path(found._name).stem.removeprefix("kernels_")


def pointer(array: NDArray[Any] | None) -> ctypes.c_void_p:
    """Where an array's numbers begin, for a kernel that takes them one behind the other."""
    if array is None:
        return ctypes.c_void_p()
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def _best() -> ctypes.CDLL:
    names = list(BUILDS)
    least = ctypes.CDLL(str(path_of(names[0])))
    level = least.processor_level()
    if level < BUILDS[names[0]]:
        raise OSError(f"the processor is older than {names[0]}")
    best = [name for name in names if BUILDS[name] <= level][-1]
    return least if best == names[0] else ctypes.CDLL(str(path_of(best)))


def _asked_for(name: str) -> ctypes.CDLL:
    if name not in BUILDS:
        raise ValueError(f"ML_CORE_KERNELS must be one of {[*BUILDS, REFERENCE]}, got {name!r}")
    found = ctypes.CDLL(str(path_of(name)))
    if found.processor_level() < BUILDS[name]:
        raise ValueError(f"ML_CORE_KERNELS={name}, but this processor cannot run it")
    return found
