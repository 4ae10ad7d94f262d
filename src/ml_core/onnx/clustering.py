"""K-Means as a graph of standard operators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.onnx.graph import DOUBLE, INT64, graph, model, node, type_of, value_info


def kmeans_to_onnx(centres: NDArray[Any], *, feature_names: Sequence[str] | None = None) -> bytes:
    """The model whose outputs are ``label`` and ``distances``.

    Parameters
    ----------
    centres : (n_clusters, n_features) float32 or float64
        Their type is that of the input ``X`` and of ``distances``.
    feature_names : sequence of str, or None
        Noted in the model as the JSON of its ``feature_names``.

    Notes
    -----
    As in `KMeans.predict`, differences are taken and squared in float64; the shorter way through
    products loses all digits of rows close to a centre. The runtime holds n_rows x n_clusters x
    n_features numbers at once: give it many rows in batches.
    """
    n_clusters, n_features = centres.shape
    type_ = type_of(centres)
    nodes = [
        node("Cast", ["X"], ["rows_64"], to=DOUBLE),
        node("Unsqueeze", ["rows_64", "cluster_axis"], ["one_by_one"]),
        node("Sub", ["one_by_one", "centres"], ["differences"]),
        node("Mul", ["differences", "differences"], ["squares"]),
        node("ReduceSum", ["squares", "feature_axis"], ["squared_distances"], keepdims=0),
        node("ArgMin", ["squared_distances"], ["label"], axis=1, keepdims=0),
        node("Sqrt", ["squared_distances"], ["distances_64"]),
        node("Cast", ["distances_64"], ["distances"], to=type_),
    ]
    constants = {
        "centres": centres.astype(np.float64),
        "cluster_axis": np.array([1], dtype=np.int64),
        "feature_axis": np.array([2], dtype=np.int64),
    }
    outputs = [
        value_info("label", INT64, ["rows"]),
        value_info("distances", type_, ["rows", n_clusters]),
    ]
    inputs = [value_info("X", type_, ["rows", n_features])]
    return model(graph("kmeans", nodes, inputs, outputs, constants), feature_names=feature_names)
