"""Trees and forests as sums of ai.onnx.ml's TreeEnsembleRegressor, one target for each class.

https://github.com/onnx/onnx/blob/main/docs/Changelog-ml.md describes the operator; version 3 is
meant, which runtimes know longest. TreeEnsembleClassifier would seem closer, but it is told apart
by the number of classes and the sign of their weights what it does: of two classes ONNX Runtime
answers with the second as soon as its sum is above 0, and it has no answer for a single one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.onnx.graph import FLOAT, AttributeValue, graph, model, node, type_of, value_info

_LARGEST_INT64 = 2**63 - 1


def forest_to_onnx(
    nodes: NDArray[np.void],
    roots: NDArray[np.int32],
    shares: NDArray[np.float64],
    classes: NDArray[Any],
    n_features: int,
    *,
    hard: bool = False,
    feature_names: Sequence[str] | None = None,
) -> bytes:
    """The model whose outputs are ``label`` and ``probabilities``.

    Parameters
    ----------
    nodes, roots, shares
        As in `Forest`.
    classes : (n_classes,) array
        Text stays text; numbers and truth values become int64.
    n_features : int
        Columns of the input ``X``, which is float32.
    hard : bool
        Let each tree give one vote instead of its leaf's shares.
    feature_names : sequence of str, or None
        Noted in the model as the JSON of its ``feature_names``.

    Raises
    ------
    ValueError
        If a class does not fit in int64, or the model is larger than 2 GiB.

    Notes
    -----
    Shares are added in float32 before they are divided by the number of trees: sums of whole
    numbers are exact, so that votes, and leaves of one class, give the very label that `predict`
    gives. Otherwise the two may differ where the best classes are as good as equal.
    """
    labels = labels_of(classes)
    sums = _sums(nodes, roots, _votes(shares) if hard else shares)
    inputs = [value_info("X", FLOAT, ["rows", n_features])]
    outputs = [
        value_info("label", type_of(labels), ["rows"]),
        value_info("probabilities", FLOAT, ["rows", classes.size]),
    ]
    constants = {"n_trees": np.array([roots.size], dtype=np.float32), "classes": labels}
    made = graph("forest", [sums, *_answers()], inputs, outputs, constants)
    return model(made, feature_names=feature_names)


def _sums(nodes: NDArray[np.void], roots: NDArray[np.int32], answers: NDArray[np.float64]) -> bytes:
    """From ``X`` the ``sums`` over trees of what their leaves answer."""
    return node(
        "TreeEnsembleRegressor",
        ["X"],
        ["sums"],
        domain="ai.onnx.ml",
        n_targets=answers.shape[1],
        **tree_attributes(nodes, roots),
        **_leaf_attributes(nodes, roots, answers),
    )


def _answers() -> list[bytes]:
    """From the ``sums`` their mean over trees, and the class that has most."""
    return [
        node("Div", ["sums", "n_trees"], ["probabilities"]),
        node("ArgMax", ["sums"], ["best"], axis=1, keepdims=0),
        node("Gather", ["classes", "best"], ["label"]),
    ]


def float32_at_most(thresholds: NDArray[Any]) -> NDArray[np.float32]:
    """The largest float32 that is no larger than each threshold.

    No float32 lies between the two, so every float32 row goes the same way by either.
    """
    # Beyond float32's range the nearest is infinity, and the largest below it is right again.
    with np.errstate(over="ignore", under="ignore"):
        nearest = thresholds.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, below, nearest)


def _votes(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    votes: NDArray[np.float64] = np.eye(shares.shape[1])[shares.argmax(axis=1)]
    return votes


def labels_of(classes: NDArray[Any]) -> NDArray[Any]:
    if classes.dtype.kind == "U":
        return classes
    numbers = [int(label) for label in classes.tolist()]
    if max(numbers) > _LARGEST_INT64 or min(numbers) < -_LARGEST_INT64 - 1:
        raise ValueError("ONNX gives labels as int64, and not all classes fit in it")
    return np.array(numbers, dtype=np.int64)


def tree_attributes(nodes: NDArray[np.void], roots: NDArray[np.int32]) -> dict[str, AttributeValue]:
    tree, number = numbered(nodes, roots)
    is_leaf = nodes["feature"] < 0
    left = np.where(is_leaf, 0, nodes["left"] - roots[tree])
    return {
        "nodes_treeids": tree,
        "nodes_nodeids": number,
        "nodes_featureids": np.where(is_leaf, 0, nodes["feature"]),
        "nodes_values": np.where(is_leaf, np.float32(0.0), float32_at_most(nodes["threshold"])),
        "nodes_modes": ["LEAF" if leaf else "BRANCH_LEQ" for leaf in is_leaf.tolist()],
        "nodes_truenodeids": left,
        "nodes_falsenodeids": np.where(is_leaf, 0, left + 1),
    }


def _leaf_attributes(
    nodes: NDArray[np.void], roots: NDArray[np.int32], answers: NDArray[np.float64]
) -> dict[str, AttributeValue]:
    """What each leaf adds to which class; nothing is said of shares of 0."""
    tree, number = numbered(nodes, roots)
    leaves = np.flatnonzero(nodes["feature"] < 0)
    weights = answers[nodes["left"][leaves]].astype(np.float32)
    leaf, of_class = np.nonzero(weights)
    return {
        "target_treeids": tree[leaves[leaf]],
        "target_nodeids": number[leaves[leaf]],
        "target_ids": of_class,
        "target_weights": weights[leaf, of_class],
    }


def numbered(
    nodes: NDArray[np.void], roots: NDArray[np.int32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each node's tree, and its number in it: in ONNX every tree counts its nodes from 0."""
    tree = np.repeat(np.arange(roots.size), np.diff(np.append(roots, nodes.size)))
    return tree, np.arange(nodes.size) - roots[tree]
