"""The compiled kernels: which build of them is loaded, if any, and how arrays are handed to them.

They are C, called through ctypes, which lets go of Python's lock meanwhile. A build exists for each
level of the processor that matters; all give the same bits as the reference. Where none can be
loaded everything works through the reference, slower. ``ML_CORE_KERNELS`` asks for one build by its
name (see `BUILDS`), or for "reference".
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ml_core.builds import BUILDS as BUILDS
from ml_core.builds import REFERENCE as REFERENCE
from ml_core.builds import Kernels

KERNELS = Kernels(Path(__file__).parent, "ML_CORE_KERNELS", "ml_core", "the reference")
path_of = KERNELS.path_of


def library() -> ctypes.CDLL | None:
    """The build to use, or None for the reference; found once for the life of the process."""
    return KERNELS.library()


@cache
def holding(kernels: ctypes.CDLL) -> ctypes.PyDLL:
    """The same kernels, called with Python's lock held.

    For what takes less time than to give the lock away and to wait for it again.
    """
    return ctypes.PyDLL(kernels._name, handle=kernels._handle)


def build_in_use() -> str:
    """The name of the build in use, or "reference"."""
    return KERNELS.in_use()


def pointer(array: NDArray[Any] | None) -> ctypes.c_void_p:
    """Where an array's numbers begin, for a kernel that takes them one behind the other."""
    if array is None:
        return ctypes.c_void_p()
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)
