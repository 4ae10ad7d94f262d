"""Compiles the kernels of ml_core and of ingestion while the package is built or installed.

The compiler comes as a Python package, `ziglang`, that only the build needs: nobody who installs
has to have one. Where it fails the package is built without kernels and says so when it is used.
"""

import os
import platform
import runpy
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path(__file__).parent / "src"
ML_CORE, ETL = SOURCES / "ml_core/native", SOURCES / "astralytiq/engines/etl/native"
# What tells the processor's level and the sources is written once, and goes into each library.
ALSO = {ML_CORE: (), ETL: (ML_CORE / "processor.c", ML_CORE / "built_from.c")}
SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
X86 = ("x86_64_v2", "x86_64_v3", "x86_64_v4")
BUILDS = X86 if platform.machine().lower() in ("x86_64", "amd64") else ("baseline",)
# Without -mcpu the compiler takes what this very machine has. Contraction would round a product and
# a sum once where the reference rounds twice.
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-Wall", "-Werror")
# As it is when they are loaded. The package itself cannot be imported: it needs NumPy.
CHECKSUM = runpy.run_path(str(SOURCES / "ml_core/builds.py"))["checksum"]
POSITION_INDEPENDENT = () if sys.platform == "win32" else ("-fPIC",)


def compile_kernels(folder: Path, build: str) -> None:
    sources = [str(path) for path in (*sorted(folder.glob("*.c")), *ALSO[folder])]
    target = folder / f"kernels_{build}{SUFFIX}"
    # First beside its place: a process that runs has the old file open, another may build too.
    fresh = target.with_suffix(f".{os.getpid()}")
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *POSITION_INDEPENDENT]
    made_for = (f"-mcpu={build}", f"-DBUILT_FROM={CHECKSUM(folder)}")
    subprocess.run([*command, *made_for, "-o", str(fresh), *sources], check=True)
    fresh.replace(target)


def compile_all() -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(compile_kernels, *zip(*product(ALSO, BUILDS), strict=True)))


def wheel_tag() -> str:
    """One wheel serves every Python of a platform: the kernels know nothing of Python."""
    place = sysconfig.get_platform().replace("universal2", platform.machine())
    return "py3-none-" + place.replace("-", "_").replace(".", "_")


class KernelsHook(BuildHookInterface):
    """What hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        try:
            compile_all()
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"the package is built without its compiled kernels: {error}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = wheel_tag()


if __name__ == "__main__":
    compile_all()
