"""Models in the ONNX format: what they hold, and that ONNX Runtime answers as ml_core does."""

import json
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from ml_core import DecisionTreeClassifier, KMeans, NotFittedError, RandomForestClassifier
from ml_core.onnx import forest_to_onnx, graph, kmeans_to_onnx
from ml_core.onnx.forest import float32_at_most
from ml_core.onnx.protobuf import texts, varint, varints
from ml_core.prediction import predict_proba
from ml_core.trees import NODE_OF, Forest
from tests.ml_core.data import clouds
from tests.ml_core.forests import DOUBLE, SINGLE, forest, rows_for

# Sums of float32 weights, one for each tree, against sums of float64.
CLOSE = 1e-6
LARGEST = float(np.finfo(np.float32).max)


def session(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def run(model: bytes, X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    label, numbers = session(model).run(None, {"X": X})
    return label, numbers


def as_onnx(of: Forest, *, hard: bool = False) -> bytes:
    classes = np.arange(of.shares.shape[1])
    return forest_to_onnx(of.nodes, of.roots, of.shares, classes, 4, hard=hard)


def agree(label: Any, found: NDArray[Any], expected: NDArray[np.float64], classes: Any) -> bool:
    """As good as equal shares, and the same labels but where the two best are as good as equal."""
    second, first = np.sort(expected, axis=1)[:, -2:].T if expected.shape[1] > 1 else (-1.0, 1.0)
    clear = first - second > CLOSE
    same = np.asarray(label) == np.asarray(classes)[expected.argmax(axis=1)]
    return bool(np.abs(found - expected).max() < CLOSE and (same | ~clear).all())


@pytest.mark.parametrize("n_trees", [1, 2, 60])
@pytest.mark.parametrize("n_classes", [1, 2, 3, 7])
@pytest.mark.parametrize("type_", [SINGLE, DOUBLE], ids=str)
def test_a_forest_is_answered_for_alike(type_: Any, n_classes: int, n_trees: int) -> None:
    of, X = forest(1, n_trees, n_classes=n_classes, type_=type_), rows_for(2, 400)
    expected = predict_proba(of.nodes, of.roots, of.shares, X)
    label, probabilities = run(as_onnx(of), X)
    assert label.dtype == np.int64
    assert probabilities.dtype == np.float32
    assert agree(label, probabilities, expected, range(n_classes))


@pytest.mark.parametrize("n_classes", [1, 2, 3, 7])
def test_votes_are_counted_exactly_and_of_equals_the_first_wins(n_classes: int) -> None:
    of, X = forest(3, 10, n_classes=n_classes), rows_for(4, 400)
    expected = predict_proba(of.nodes, of.roots, of.shares, X, hard=True)
    label, probabilities = run(as_onnx(of, hard=True), X)
    assert np.array_equal(label, expected.argmax(axis=1))
    assert np.array_equal(probabilities, expected.astype(np.float32))


def test_one_row_gets_the_answer_it_gets_among_many() -> None:
    of, X = forest(5, 30), rows_for(6, 50)
    walker = session(as_onnx(of))
    label, probabilities = walker.run(None, {"X": X})
    for row in range(50):
        alone = walker.run(None, {"X": X[[row]]})
        assert alone[0].tolist() == [label[row]]
        assert np.abs(alone[1] - probabilities[row]).max() < CLOSE


@given(st.floats(allow_nan=False, allow_infinity=False, width=64))
@example(0.1)
@example(-0.1)
@example(LARGEST)
@example(np.nextafter(LARGEST, np.inf))
@example(np.nextafter(-LARGEST, -np.inf))
@example(1e-50)
@example(-1e-50)
@example(1e300)
@example(-1e300)
def test_rows_of_float32_go_the_same_way_by_the_rounded_threshold(threshold: float) -> None:
    (rounded,) = float32_at_most(np.array([threshold]))
    with np.errstate(over="ignore", under="ignore"):
        nearest = np.float32(threshold)
        rows = [np.nextafter(nearest, np.float32(to)) for to in (-np.inf, np.inf)] + [nearest]
    for row in [*rows, np.float32(0.0), np.float32(LARGEST), np.float32(-LARGEST)]:
        if np.isfinite(row):
            assert (float(row) <= threshold) == bool(row <= rounded)


def test_thresholds_of_float64_decide_float32_rows_next_to_them_exactly() -> None:
    """Each tree asks about one threshold, each row stands next to one."""
    rng = np.random.default_rng(7)
    thresholds = np.concatenate([rng.normal(size=100), rng.normal(size=100).astype(np.float32)])
    roots = 3 * np.arange(thresholds.size, dtype=np.int32)
    nodes = np.zeros(3 * thresholds.size, NODE_OF[DOUBLE])
    nodes["feature"], nodes["left"] = -1, np.arange(nodes.size) % 3 - 1
    nodes[roots] = list(zip(thresholds, np.zeros_like(roots), roots + 1, strict=True))
    of = Forest(nodes, np.eye(2), roots)
    nearest = thresholds.astype(np.float32)
    beside = [np.nextafter(nearest, np.float32(to)) for to in (-np.inf, np.inf)]
    X = np.concatenate([nearest, *beside])[:, None]
    model = forest_to_onnx(of.nodes, of.roots, of.shares, np.arange(2), 1)
    expected = predict_proba(of.nodes, of.roots, of.shares, X)
    assert np.array_equal(run(model, X)[1], expected.astype(np.float32))


def test_a_forest_on_digits_reads_them_alike() -> None:
    X, y = load_digits(return_X_y=True)
    model = RandomForestClassifier(30, random_state=0).fit(X[:900], y[:900])
    rows = X[900:].astype(np.float32)
    expected = model.predict_proba(rows)
    assert agree(*run(model.to_onnx(), rows), expected, model.classes_)


@pytest.mark.parametrize("n_classes", [2, 7])
@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_an_estimator_s_model_answers_as_it_does(voting: str, n_classes: int) -> None:
    x, y = clouds(300, 4, n_classes=n_classes)
    rows = x.astype(np.float32)
    model = RandomForestClassifier(12, max_depth=4, voting=voting, random_state=0).fit(rows, y)
    assert agree(*run(model.to_onnx(), rows), model.predict_proba(rows), model.classes_)


@pytest.mark.parametrize(
    ("labels", "answered"),
    [
        (["low", "höchst"], ["höchst", "low"]),
        ([True, False], [0, 1]),
        ([-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        ([2.0, -1.0], [-1, 2]),
        (["only", "only"], ["only", "only"]),
    ],
)
def test_labels_of_every_kind_are_given_back(labels: list[Any], answered: list[Any]) -> None:
    X = np.array([[1.0], [2.0]], np.float32)
    model = DecisionTreeClassifier().fit(X, labels)
    low_first = answered if labels[0] == model.classes_[0] else answered[::-1]
    label, probabilities = run(model.to_onnx(), X)
    assert label.tolist() == low_first
    assert np.array_equal(probabilities, model.predict_proba(X))


def test_labels_beyond_int64_are_refused() -> None:
    model = DecisionTreeClassifier().fit([[1.0], [2.0]], np.array([0, 2**63], np.uint64))
    with pytest.raises(ValueError, match="not all classes fit"):
        model.to_onnx()


@pytest.mark.parametrize("model", [DecisionTreeClassifier(), RandomForestClassifier(), KMeans()])
def test_only_what_was_fitted_can_be_written(model: Any) -> None:
    with pytest.raises(NotFittedError):
        model.to_onnx()


@pytest.mark.parametrize("type_", [SINGLE, DOUBLE], ids=str)
def test_k_means_finds_the_same_clusters(type_: Any) -> None:
    X = clouds(500, 5, n_classes=6)[0].astype(type_)
    model = KMeans(6, random_state=0).fit(X)
    for rows in (X, X[:1]):
        label, distances = run(model.to_onnx(), rows)
        assert label.dtype == np.int64
        assert distances.dtype == type_
        assert np.array_equal(label, model.predict(rows))
        assert np.allclose(distances, model.transform(rows), rtol=1e-6, atol=0)


def test_k_means_keeps_all_digits_far_from_zero() -> None:
    """Squares of these numbers differ in digits that float64 does not have."""
    centres = np.array([[1e9], [1e9 + 1]])
    label, distances = run(kmeans_to_onnx(centres), np.array([[1e9 + 0.25], [1e9 + 0.75]]))
    assert label.tolist() == [0, 1]
    assert distances.tolist() == [[0.25, 0.75], [0.75, 0.25]]


def test_of_equally_near_centres_the_first_wins() -> None:
    label, _ = run(kmeans_to_onnx(np.array([[2.0], [0.0], [2.0]])), np.array([[1.0], [9.0]]))
    assert label.tolist() == [0, 0]


def test_inputs_and_outputs_are_named_and_sized() -> None:
    for model, numbers in (
        (as_onnx(forest(8)), "probabilities"),
        (kmeans_to_onnx(np.eye(4)), None),
    ):
        made = session(model)
        (X,) = made.get_inputs()
        assert (X.name, X.shape) == ("X", ["rows", 4])
        assert [out.name for out in made.get_outputs()] == ["label", numbers or "distances"]
        assert made.get_modelmeta().producer_name == "ml_core"


@pytest.mark.parametrize("model", [as_onnx(forest(8)), kmeans_to_onnx(np.eye(4, dtype=np.float32))])
@pytest.mark.parametrize("shape", [(3, 5), (3, 3), (4,)])
def test_rows_of_another_shape_are_refused(model: bytes, shape: tuple[int, ...]) -> None:
    with pytest.raises(Exception, match=r"invalid dimensions|Invalid rank"):
        run(model, np.zeros(shape, np.float32))


def test_the_names_of_the_columns_are_noted() -> None:
    names = ["höhe", "width"]
    model = kmeans_to_onnx(np.eye(2), feature_names=names)
    noted = session(model).get_modelmeta().custom_metadata_map
    assert json.loads(noted["feature_names"]) == names
    assert (
        "feature_names"
        not in session(kmeans_to_onnx(np.eye(2))).get_modelmeta().custom_metadata_map
    )


def test_a_node_takes_about_thirty_bytes() -> None:
    """In integers of 8 bytes it would be more than twice as much."""
    of = forest(9, 300, n_splits=100)
    assert len(as_onnx(of, hard=True)) < 1000 + 32 * of.nodes.size


def test_the_same_model_has_the_same_bytes() -> None:
    assert as_onnx(forest(10)) == as_onnx(forest(10))


def test_a_model_that_no_reader_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MOST_BYTES", 500)
    with pytest.raises(ValueError, match="at most"):
        as_onnx(forest(11))


def test_integers_are_written_as_the_specification_shows() -> None:
    assert varint(1) == b"\x01"
    assert varint(150) == b"\x96\x01"
    assert varint(-2) == b"\xfe" + b"\xff" * 8 + b"\x01"


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 2**15)))
def test_many_integers_are_written_as_one_by_one(values: list[int]) -> None:
    assert varints(np.array(values, dtype=np.int64)) == b"".join(map(varint, values))


def test_texts_are_counted_in_bytes() -> None:
    assert texts(1, ["é", "", "é"]) == b"\x0a\x02\xc3\xa9\x0a\x00\x0a\x02\xc3\xa9"
