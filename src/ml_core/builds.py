"""Compiled kernels in a folder: which build of them this processor runs, and which one is loaded.

Without NumPy, so that who computes nothing with arrays does not pay for its import.
"""

import ctypes
import os
import platform
import sys
import warnings
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REFERENCE = "reference"
SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")

# By the name of the build the level that a processor must have, the best build last.
_X86_BUILDS = {"x86_64_v2": 2, "x86_64_v3": 3, "x86_64_v4": 4}
_OTHER_BUILDS = {"baseline": 1}
BUILDS = _X86_BUILDS if platform.machine().lower() in ("x86_64", "amd64") else _OTHER_BUILDS


def checksum(folder: Path) -> int:
    """Of the sources in `folder`, 0 without any. Kernels know of which ones they were built."""
    found = 0
    for path in sorted([*folder.glob("*.c"), *folder.glob("*.h")]):
        found = zlib.crc32(path.name.encode() + path.read_bytes(), found)
    return found & 0x7FFFFFFF


@dataclass(frozen=True)
class Kernels:
    """The builds in `folder`. `variable` of the environment asks for one, or for "reference".

    `owner` and `instead` tell whoever has no build whose it would be, and what does its work.
    """

    folder: Path
    variable: str
    owner: str
    instead: str

    def path_of(self, build: str) -> Path:
        return self.folder / f"kernels_{build}{SUFFIX}"

    @cache  # noqa: B019 - there is one for each folder, as long as the process lives
    def library(self) -> ctypes.CDLL | None:
        """The build to use, or None for the reference; found once for the life of the process.

        Raises
        ------
        ValueError
            If `variable` names a build that is not there or that the processor cannot run.
        """
        asked = os.environ.get(self.variable, "")
        if asked == REFERENCE:
            return None
        try:
            return self.asked_for(asked) if asked else self.best()
        except OSError as error:
            warnings.warn(
                f"{self.owner}'s compiled kernels cannot be loaded, so {self.instead} does their "
                f"work: the results are the same, but come later. Install the package anew to "
                f"build them. ({error})",
                RuntimeWarning,
                stacklevel=2,
            )
            return None

    def in_use(self) -> str:
        """The name of the build in use, or "reference"."""
        found = self.library()
        return REFERENCE if found is None else Path(found._name).stem.removeprefix("kernels_")

    def best(self) -> ctypes.CDLL:
        names = list(BUILDS)
        least = self.opened(names[0])
        level = least.processor_level()
        if level < BUILDS[names[0]]:
            raise OSError(f"the processor is older than {names[0]}")
        best = [name for name in names if BUILDS[name] <= level][-1]
        return least if best == names[0] else self.opened(best)

    def asked_for(self, name: str) -> ctypes.CDLL:
        if name not in BUILDS:
            raise ValueError(f"{self.variable} must be one of {[*BUILDS, REFERENCE]}, got {name!r}")
        found = self.opened(name)
        if found.processor_level() < BUILDS[name]:
            raise ValueError(f"{self.variable}={name}, but this processor cannot run it")
        return found

    def opened(self, build: str) -> ctypes.CDLL:
        """Kernels of other sources would take other arguments than they are given, and crash."""
        path = self.path_of(build)
        found = ctypes.CDLL(str(path))
        present = checksum(self.folder)
        if present and (not hasattr(found, "built_from") or found.built_from() != present):
            raise OSError(f"{path} was built from other sources than those beside it")
        return found
