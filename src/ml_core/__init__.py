"""K-Means, decision trees and random forests written from the papers, on NumPy alone.

The names below are loaded at first use, so that ``import ml_core`` costs next to nothing and
``python -m ml_core.random_forest`` does not import its own module twice.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_core.conventions import ConvergenceWarning, DataConversionWarning, NotFittedError
    from ml_core.decision_tree import DecisionTreeClassifier
    from ml_core.decision_tree import DecisionTreeClassifier as DecisionTree
    from ml_core.kmeans_estimator import KMeans
    from ml_core.persistence import dumps, load, loads, save
    from ml_core.random_forest import RandomForestClassifier
    from ml_core.random_forest import RandomForestClassifier as RandomForest
    from ml_core.trees import Tree

__all__ = [
    "ConvergenceWarning",
    "DataConversionWarning",
    "DecisionTree",
    "DecisionTreeClassifier",
    "KMeans",
    "NotFittedError",
    "RandomForest",
    "RandomForestClassifier",
    "Tree",
    "dumps",
    "load",
    "loads",
    "save",
]

_MODULE_OF = {
    "ConvergenceWarning": "conventions",
    "DataConversionWarning": "conventions",
    "DecisionTreeClassifier": "decision_tree",
    "KMeans": "kmeans_estimator",
    "NotFittedError": "conventions",
    "RandomForestClassifier": "random_forest",
    "Tree": "trees",
    "dumps": "persistence",
    "load": "persistence",
    "loads": "persistence",
    "save": "persistence",
}


_FULL_NAMES = {
    "DecisionTree": "DecisionTreeClassifier",
    "RandomForest": "RandomForestClassifier",
}


def __getattr__(name: str) -> Any:
    name = _FULL_NAMES.get(name, name)
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
