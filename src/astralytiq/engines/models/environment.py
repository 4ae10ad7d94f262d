"""What a training ran on: whoever repeats it elsewhere sees what differs."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from astralytiq import __version__
from ml_core import native

# Of these the arithmetic of training is made.
PACKAGES = ("numpy", "scikit-learn", "xgboost")


def here() -> dict[str, Any]:
    return {
        "astralytiq": __version__,
        "python": platform.python_version(),
        "system": f"{sys.platform}-{platform.machine()}",
        "kernels": native.build_in_use(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
    }


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """In words: "numpy was 2.4.6, is 2.5.0"."""
    old, new = flat(before), flat(now)
    return [
        f"{name} was {old.get(name, 'absent')}, is {new.get(name, 'absent')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def flat(environment: dict[str, Any]) -> dict[str, Any]:
    packages: dict[str, Any] = environment.get("packages", {})
    return {
        **{name: found for name, found in environment.items() if name != "packages"},
        **packages,
    }
