"""Models that add up scores: linear ones and boosted trees, with or without classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.onnx.forest import labels_of, numbered, tree_attributes
from ml_core.onnx.graph import DOUBLE, FLOAT, graph, model, node, type_of, value_info

Constants = dict[str, NDArray[Any]]


def linear_to_onnx(
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    intercept: NDArray[np.float64],
    classes: NDArray[Any] | None,
) -> bytes:
    """The model of ``(X - mean) / scale @ coefficients + intercept``, all of it in float64.

    Parameters
    ----------
    mean, scale : (n_features,)
    coefficients : (n_features, n_outputs)
    intercept : (n_outputs,)
    classes : (n_classes,) array, or None
        None makes a regression, whose output is ``prediction``; otherwise the outputs are ``label``
        and ``probabilities``. Of two classes there is one output, for the second of them.
    """
    nodes = [
        node("Sub", ["X", "mean"], ["centred"]),
        node("Div", ["centred", "scale"], ["scaled"]),
        node("MatMul", ["scaled", "coefficients"], ["products"]),
        node("Add", ["products", "intercept"], ["scores"]),
    ]
    constants = {
        "mean": mean,
        "scale": scale,
        "coefficients": coefficients,
        "intercept": intercept,
    }
    return _model("linear", nodes, constants, mean.size, classes, np.dtype(np.float64))


def boosted_to_onnx(
    nodes: NDArray[np.void],
    roots: NDArray[np.int32],
    values: NDArray[np.float64],
    firsts: NDArray[np.intp],
    base: NDArray[np.float64],
    classes: NDArray[Any] | None,
    n_features: int,
) -> bytes:
    """The model that adds the values of leaves to ``base``, in float32.

    Parameters
    ----------
    nodes, roots
        As in `Forest`, but a leaf points at one of ``values``.
    values : (n_leaves,)
    firsts : (n_outputs,)
        The first tree of each output; the trees of one stand together.
    base : (n_outputs,)
    classes
        As in `linear_to_onnx`.
    """
    outputs = np.repeat(np.arange(firsts.size), np.diff([*firsts.tolist(), roots.size]))
    tree, number = numbered(nodes, roots)
    leaves = np.flatnonzero(nodes["feature"] < 0)
    ensemble = node(
        "TreeEnsembleRegressor",
        ["X"],
        ["sums"],
        domain="ai.onnx.ml",
        n_targets=firsts.size,
        **tree_attributes(nodes, roots),
        target_treeids=tree[leaves],
        target_nodeids=number[leaves],
        target_ids=outputs[tree[leaves]],
        target_weights=values[nodes["left"][leaves]].astype(np.float32),
    )
    parts = [ensemble, node("Add", ["sums", "base"], ["scores"])]
    constants = {"base": base.astype(np.float32)}
    return _model("boosted", parts, constants, n_features, classes, np.dtype(np.float32))


def _model(
    name: str,
    nodes: list[bytes],
    constants: Constants,
    n_features: int,
    classes: NDArray[Any] | None,
    dtype: np.dtype[Any],
) -> bytes:
    """What is behind ``scores``: the link and the label, or the number as it is."""
    type_ = DOUBLE if dtype == np.float64 else FLOAT
    inputs = [value_info("X", type_, ["rows", n_features])]
    if classes is None:
        nodes = [*nodes, node("Squeeze", ["scores", "column_axis"], ["prediction"])]
        constants = {**constants, "column_axis": np.array([1], dtype=np.int64)}
        return model(
            graph(name, nodes, inputs, [value_info("prediction", type_, ["rows"])], constants)
        )
    labels = labels_of(classes)
    nodes = [
        *nodes,
        *_link(classes.size),
        node("ArgMax", ["probabilities"], ["best"], axis=1, keepdims=0),
        node("Gather", ["classes", "best"], ["label"]),
    ]
    outputs = [
        value_info("label", type_of(labels), ["rows"]),
        value_info("probabilities", type_, ["rows", classes.size]),
    ]
    constants = {**constants, "classes": labels}
    if classes.size == 2:
        constants["one"] = np.ones(1, dtype=dtype)
    return model(graph(name, nodes, inputs, outputs, constants))


def _link(n_classes: int) -> Sequence[bytes]:
    if n_classes > 2:
        return [node("Softmax", ["scores"], ["probabilities"], axis=1)]
    return [
        node("Sigmoid", ["scores"], ["second"]),
        node("Sub", ["one", "second"], ["first"]),
        node("Concat", ["first", "second"], ["probabilities"], axis=1),
    ]
