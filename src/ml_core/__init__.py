"""Decision trees and random forests written from the papers, on NumPy alone.

The names below are loaded at first use, so that ``import ml_core`` costs next to nothing and
``python -m ml_core.random_forest`` does not import its own module twice.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_core.decision_tree import DecisionTreeClassifier
    from ml_core.persistence import dumps, load, loads, save
    from ml_core.random_forest import RandomForestClassifier
    from ml_core.trees import Tree
    from ml_core.validation import NotFittedError

__all__ = [
    "DecisionTreeClassifier",
    "NotFittedError",
    "RandomForestClassifier",
    "Tree",
    "dumps",
    "load",
    "loads",
    "save",
]

_MODULE_OF = {
    "DecisionTreeClassifier": "decision_tree",
    "NotFittedError": "validation",
    "RandomForestClassifier": "random_forest",
    "Tree": "trees",
    "dumps": "persistence",
    "load": "persistence",
    "loads": "persistence",
    "save": "persistence",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
