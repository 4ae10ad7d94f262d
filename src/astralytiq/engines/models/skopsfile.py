"""Models of scikit-learn as bytes, through skops: no pickle, and the same model the same bytes.

A file is a ZIP of `schema.json` and arrays. skops numbers what is in it by where it lay in memory
and notes the time; here it is numbered in order and every time is the same. What a file may hold
is told by this page, which is far less than what skops itself would load.
"""

import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import skops.io

SCHEMA = "schema.json"
OLDEST = (1980, 1, 1, 0, 0, 0)
UNIX = 3
TREE = "sklearn.tree._tree.Tree"
PLAIN = frozenset(
    {"builtins.dict", "builtins.list", "builtins.str", "builtins.tuple", "numpy.float64",
     "numpy.int64", "numpy.ndarray"}
)  # fmt: skip
LINEAR = frozenset({"sklearn.pipeline.Pipeline", "sklearn.preprocessing._data.StandardScaler"})
BOOSTED = frozenset(
    {"sklearn._loss.link.Interval", "sklearn.tree._classes.DecisionTreeRegressor", TREE}
)
TYPES: dict[str, frozenset[str]] = {
    "linear_regression": PLAIN | LINEAR | {"sklearn.linear_model._base.LinearRegression"},
    "logistic_regression": PLAIN | LINEAR | {"sklearn.linear_model._logistic.LogisticRegression"},
    "ridge_regression": PLAIN | LINEAR | {"sklearn.linear_model._ridge.Ridge"},
    "gradient_boosting": PLAIN
    | BOOSTED
    | {
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn.dummy.DummyClassifier",
        "sklearn.ensemble._gb.GradientBoostingClassifier",
    },
    "gradient_boosting_regressor": PLAIN
    | BOOSTED
    | {
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn.dummy.DummyRegressor",
        "sklearn.ensemble._gb.GradientBoostingRegressor",
    },
}
# How skops may build them: nothing that calls a function, a method or a random generator.
LOADERS = frozenset(
    {"DictNode", "JsonNode", "ListNode", "LossNode", "NdArrayNode", "ObjectNode", "TreeNode",
     "TupleNode", "TypeNode"}
)  # fmt: skip


def dumps(model: Any) -> bytes:
    with ZipFile(io.BytesIO(skops.io.dumps(model))) as given:
        schema = json.loads(given.read(SCHEMA))
        files = renumbered(schema)
        buffer = io.BytesIO()
        with ZipFile(buffer, "w", ZIP_STORED) as made:
            text = json.dumps(schema, sort_keys=False, separators=(",", ":"))
            made.writestr(entry(SCHEMA), text)
            for name, old in files.items():
                made.writestr(entry(name), without_gaps(given.read(old)))
    return buffer.getvalue()


def entry(name: str) -> ZipInfo:
    info = ZipInfo(name, OLDEST)
    info.create_system = UNIX
    return info


def without_gaps(content: bytes) -> bytes:
    """An array as NumPy writes it. A tree's nodes have gaps between their fields, in which lies
    whatever was in memory before: other bytes each time, and nothing to be given away.
    """
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()


def renumbered(schema: dict[str, Any]) -> dict[str, str]:
    """Number its nodes in order; new names of its files -> the old ones.

    Two nodes never share a number: that two parts are one in memory is not kept.
    """
    files = {}
    for number, node in enumerate(nodes(schema)):
        node["__id__"] = number
        if "file" in node:
            name = f"{number}{PurePosixPath(node['file']).suffix}"
            files[name], node["file"] = node["file"], name
    return files


def nodes(part: Any) -> Iterator[dict[str, Any]]:
    """All that name a class, from the outside to the inside."""
    if isinstance(part, dict):
        if "__class__" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from nodes(inner)


def loads(content: bytes, algorithm: str) -> Any:
    """The model that `dumps` gave these bytes for; raises ValueError for any other bytes."""
    try:
        refuse_others(content, algorithm)
        trusted = [name for name in TYPES[algorithm] if name == TREE]
        return skops.io.loads(content, trusted=trusted)
    except BadZipFile:
        raise ValueError("The file is damaged, or no model of scikit-learn.") from None
    except (ArithmeticError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"The file cannot be read ({type(error).__name__}).") from None


def refuse_others(content: bytes, algorithm: str) -> None:
    with ZipFile(io.BytesIO(content)) as given:
        # What is stored as it is cannot be larger than the file.
        if any(info.compress_type != ZIP_STORED for info in given.infolist()):
            raise ValueError("The file is compressed, which no model of ours is.")
        if damaged := given.testzip():
            raise ValueError(f"The file is damaged at {damaged!r}.")
        for node in nodes(json.loads(given.read(SCHEMA))):
            name = f"{node['__module__']}.{node['__class__']}"
            if name not in TYPES[algorithm] or node.get("__loader__") not in LOADERS:
                raise ValueError(f"The file holds {name!r}, which no {algorithm} has.")
