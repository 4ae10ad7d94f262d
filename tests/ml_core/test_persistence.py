"""A model survives as bytes; a damaged or forged one is refused."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml_core import (
    DecisionTreeClassifier,
    KMeans,
    RandomForestClassifier,
    dumps,
    load,
    loads,
    save,
)
from ml_core.base import Estimator
from ml_core.persistence import _PREFIX, MAGIC, VERSION
from tests.ml_core.data import clouds

Header = dict[str, Any]


def forest(**params: Any) -> RandomForestClassifier:
    x, y = clouds(60, 4)
    model = RandomForestClassifier(3, random_state=0).set_params(**params)
    return model.fit(x, np.array(["ä", "b", "c"])[y])


def small_tree() -> DecisionTreeClassifier:
    return DecisionTreeClassifier().fit([[1.0], [2.0], [3.0]], [0, 1, 0])


def split_up(content: bytes) -> tuple[Header, bytes]:
    length = _PREFIX.unpack_from(content)[2]
    return json.loads(content[_PREFIX.size :][:length]), content[_PREFIX.size + length :]


def put_together(header: Header | bytes, payload: bytes) -> bytes:
    """A file whose hashes are right, as a forger would write it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    digest = hashlib.sha256(text).digest()
    return _PREFIX.pack(MAGIC, VERSION, len(text), digest) + text + payload


def forged(change: Callable[[Header], None]) -> bytes:
    header, payload = split_up(dumps(small_tree()))
    change(header)
    return put_together(header, payload)


@pytest.mark.parametrize("params", [{}, {"oob_score": True}, {"max_depth": 2, "max_features": 0.5}])
def test_a_loaded_model_answers_as_the_saved_one(params: dict[str, Any]) -> None:
    x, _ = clouds(200, 4, seed=9)
    model = forest(**params)
    copy = loads(dumps(model))
    assert isinstance(copy, RandomForestClassifier)
    assert copy.get_params() == model.get_params()
    assert np.array_equal(copy.predict_proba(x), model.predict_proba(x))
    assert copy.predict(x).tolist() == model.predict(x).tolist()
    assert np.array_equal(copy.feature_importances_, model.feature_importances_)
    assert copy.n_features_in_ == 4
    assert getattr(copy, "oob_score_", None) == getattr(model, "oob_score_", None)
    assert dumps(copy) == dumps(model)


@pytest.mark.parametrize(
    "labels",
    [[0, 1], ["no", "yes"], [False, True], [1.0, 2.0], np.array([1, 2], dtype=np.uint8)],
    ids=["int", "text", "bool", "float", "uint8"],
)
def test_labels_survive_with_their_type(labels: Any) -> None:
    model = DecisionTreeClassifier().fit([[1.0], [2.0]], labels)
    copy = loads(dumps(model))
    assert isinstance(copy, DecisionTreeClassifier)
    assert copy.classes_.dtype == model.classes_.dtype
    assert copy.classes_.tolist() == model.classes_.tolist()
    assert dumps(copy) == dumps(model)


def test_a_score_that_is_nan_survives() -> None:
    with pytest.warns(UserWarning, match="No row was left out"):
        model = RandomForestClassifier(2, oob_score=True).fit([[1.0]], [0])
    copy = loads(dumps(model))
    assert isinstance(copy, RandomForestClassifier)
    assert np.isnan(copy.oob_score_)


def test_numpy_parameters_are_saved_as_plain_ones() -> None:
    model = DecisionTreeClassifier(max_depth=np.int64(3)).fit([[1.0], [2.0]], [0, 1])  # type: ignore[arg-type]
    assert dumps(model) == dumps(DecisionTreeClassifier(max_depth=3).fit([[1.0], [2.0]], [0, 1]))


def test_centres_given_as_a_data_frame_are_saved_as_numbers() -> None:
    pandas: Any = pytest.importorskip("pandas")
    x, _ = clouds(30, 2)
    model = KMeans(2, init=pandas.DataFrame(x[:2], columns=["a", "b"])).fit(x)
    copy: Any = loads(dumps(model))
    assert copy.init == x[:2].tolist()
    assert np.array_equal(copy.fit(x).labels_, model.labels_)


def test_a_loaded_model_can_be_fitted_again() -> None:
    x, y = clouds(60, 4)
    model = loads(dumps(forest()))
    assert isinstance(model, RandomForestClassifier)
    assert dumps(model.fit(x, np.array(["ä", "b", "c"])[y])) == dumps(forest())


def test_a_file_from_before_a_parameter_takes_its_default() -> None:
    content = forged(lambda header: header["params"].pop("ccp_alpha"))
    assert dumps(loads(content)) == dumps(small_tree())


def test_a_model_goes_to_a_path_and_to_an_open_file(tmp_path: Path) -> None:
    model, stream = small_tree(), io.BytesIO()
    for file in (tmp_path / "model", str(tmp_path / "other")):
        save(model, file)
        assert dumps(load(file)) == dumps(model)
    save(model, stream)
    stream.seek(0)
    assert dumps(load(stream)) == dumps(model)
    assert stream.getvalue() == (tmp_path / "model").read_bytes()


def test_an_unfitted_model_is_not_saved() -> None:
    with pytest.raises(ValueError, match="is not fitted yet"):
        dumps(DecisionTreeClassifier())


def test_another_class_is_not_saved() -> None:
    class Guess(DecisionTreeClassifier):
        """A subclass of a known class is not that class."""

    assert issubclass(Guess, Estimator)
    with pytest.raises(ValueError, match="Guess has no file form"):
        dumps(Guess().fit([[1.0]], [0]))


def test_a_parameter_that_json_cannot_hold_is_not_saved() -> None:
    model = small_tree().set_params(class_weight={b"label": 1.0})
    with pytest.raises(ValueError, match=r"class_weight=b'label' cannot be saved"):
        dumps(model)


def test_a_flipped_bit_in_any_byte_is_refused() -> None:
    content = dumps(small_tree())
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        with pytest.raises(ValueError, match=r"model"):
            loads(bytes(damaged))


def test_a_flipped_byte_of_the_payload_is_named_as_damage() -> None:
    content = bytearray(dumps(small_tree()))
    content[-1] ^= 0xFF
    with pytest.raises(ValueError, match="payload is damaged"):
        loads(bytes(content))


def test_a_file_cut_short_anywhere_is_refused() -> None:
    content = dumps(small_tree())
    for length in range(len(content)):
        with pytest.raises(ValueError, match="cut short" if length else "not an ml_core model"):
            loads(content[:length])


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(ValueError, match="followed by something else"):
        loads(dumps(small_tree()) + b"\0")


def test_a_wrong_magic_is_refused() -> None:
    with pytest.raises(ValueError, match="not an ml_core model"):
        loads(b"\x80\x04" + dumps(small_tree())[2:])


def test_an_unknown_version_is_refused() -> None:
    content = bytearray(dumps(small_tree()))
    content[len(MAGIC)] = 9
    with pytest.raises(ValueError, match="format version 9, but only 2 is known"):
        loads(bytes(content))


def test_a_file_of_version_1_is_refused_with_what_to_do() -> None:
    content = bytearray(dumps(small_tree()))
    content[len(MAGIC)] = 1
    with pytest.raises(ValueError, match=r"format version 1, .* train it again"):
        loads(bytes(content))


@pytest.mark.parametrize("name", ["Forest", "__import__", "", None, ["DecisionTreeClassifier"]])
def test_an_unknown_class_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match="unknown class"):
        loads(forged(lambda header: header.update({"class": name})))


@pytest.mark.parametrize(
    ("array", "node", "value"),
    [
        ("left", 0, 0),
        ("left", 0, -1),
        ("left", 0, -7),
        ("left", 0, 5),
        ("left", 0, 2_000_000_000),
        ("left", 0, 2**31 - 1),
        ("left", 1, -1),
        ("left", 1, 2),
        ("left", 1, 2**31 - 1),
        ("left", 1, -(2**31)),
        ("feature", 0, 1),
        ("feature", 0, -2),
        ("feature", 0, -1),
        ("feature", 1, 0),
        ("threshold", 0, np.nan),
        ("threshold", 0, np.inf),
        ("roots", 0, 1),
        ("roots", 0, -1),
    ],
)
def test_a_forged_array_is_refused(array: str, node: int, value: float) -> None:
    model = small_tree()
    assert model.tree_.feature.tolist() == [0, -1, 0, -1, -1]
    nodes, roots = model._forest.nodes.copy(), model._forest.roots.copy()
    (roots if array == "roots" else nodes[array])[node] = value
    model._forest = replace(model._forest, nodes=nodes, roots=roots)
    with pytest.raises(ValueError, match="the model"):
        loads(dumps(model))


@pytest.mark.parametrize("roots", [[0, 0, 9], [0, 9, 5], [0, 5, 2_000_000_000], [0, 9, -(2**31)]])
def test_forged_beginnings_of_trees_are_refused(roots: list[int]) -> None:
    model = forest()
    model._forest = replace(model._forest, roots=np.array(roots, dtype=np.int32))
    with pytest.raises(ValueError, match="trees are empty or out of order"):
        loads(dumps(model))


def test_a_tree_that_begins_inside_another_is_refused() -> None:
    model = forest()
    model._forest = replace(model._forest, roots=np.array([0, 1, 2], dtype=np.int32))
    with pytest.raises(ValueError, match="child indices are out of range"):
        loads(dumps(model))


@pytest.mark.parametrize("line", [[0.5, 0.4], [1.5, -0.5], [np.nan, 1.0], [np.inf, 0.0]])
def test_forged_shares_are_refused(line: list[float]) -> None:
    model = DecisionTreeClassifier().fit([[1.0], [1.0]], [1, 0])
    assert model._forest.shares.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    shares = np.array([[1.0, 0.0], [0.0, 1.0], line])
    model._forest = replace(model._forest, shares=shares)
    with pytest.raises(ValueError, match="class shares are not shares"):
        loads(dumps(model))


def test_nodes_that_no_row_could_reach_are_refused() -> None:
    model = DecisionTreeClassifier().fit([[1.0], [2.0], [3.0]], [0, 1, 0])
    nodes = model._forest.nodes.copy()
    nodes["left"][2] = nodes["left"][0]
    model._forest = replace(model._forest, nodes=nodes)
    with pytest.raises(ValueError, match=r"out of range|do not form trees"):
        loads(dumps(model))


def test_arrays_begin_at_multiples_of_eight_bytes() -> None:
    content = dumps(forest())
    header, payload = split_up(content)
    places = [entry["offset"] for entry in header["arrays"]]
    places.append(len(content) - len(payload))
    assert [place % 8 for place in places] == [0] * len(places)


def test_a_child_in_another_tree_is_refused() -> None:
    model = forest()
    nodes = model._forest.nodes.copy()
    nodes["left"][0] = model._forest.roots[1] + 1
    model._forest = replace(model._forest, nodes=nodes)
    with pytest.raises(ValueError, match="child indices are out of range"):
        loads(dumps(model))


@pytest.mark.parametrize("params", [{"n_estimators": 2}, {"n_estimators": 10**9}])
def test_another_number_of_trees_than_the_parameters_say_is_refused(params: Header) -> None:
    header, payload = split_up(dumps(forest()))
    header["params"].update(params)
    with pytest.raises(ValueError, match="as many trees"):
        loads(put_together(header, payload))


@pytest.mark.parametrize(
    ("model", "params", "words"),
    [
        (forest, {"n_estimators": 2}, "ask for 2 trees, but 3 were grown: fit the model again"),
        (forest, {"criterion": "x"}, "criterion must be"),
        (small_tree, {"max_depth": 0}, "max_depth must be"),
        (lambda: clusters(), {"n_clusters": 3}, "ask for 3 clusters, but 2 were found: fit"),
        (lambda: clusters(), {"tol": -1.0}, "tol must be"),
    ],
)
def test_a_model_that_could_not_be_loaded_again_is_not_saved(
    model: Callable[[], Estimator], params: Header, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        dumps(model().set_params(**params))


@pytest.mark.parametrize("n_classes", [10**6, 10**9, 10**18])
def test_classes_that_are_only_claimed_take_no_memory(n_classes: int) -> None:
    def claim(header: Header) -> None:
        entry = next(one for one in header["arrays"] if one["name"] == "shares")
        assert entry["shape"] == [0, 2]
        entry["shape"] = [0, n_classes]

    with pytest.raises(
        ValueError, match=r"do not match its class shares|goes beyond|too (big|large)"
    ):
        loads(forged(claim))


@pytest.mark.parametrize(
    "params",
    [
        {"max_depth": "deep"},
        {"max_depth": [1]},
        {"criterion": {}},
        {"max_features": [1]},
        {"random_state": 1.5},
        {"class_weight": {"pairs": [1]}},
        {"class_weight": {"pairs": [[[0], 1]]}},
        {"class_weight": {"pairs": [[0, "heavy"]]}},
        {"class_weight": {"0": [1]}},
        {"max_bins": [255]},
        {"fit": 1},
    ],
)
def test_forged_parameters_are_refused(params: Header) -> None:
    with pytest.raises(ValueError, match=r"must be|must hold|parameters"):
        loads(forged(lambda header: header["params"].update(params)))


@pytest.mark.parametrize(
    "classes",
    [
        None,
        {"type": "object", "values": [0, 1]},
        {"type": ["int64"], "values": [0, 1]},
        {"type": "<U999999999", "values": ["a", "b"]},
        {"type": "int64", "values": [0]},
        {"type": "int64", "values": [0, 0]},
        {"type": "int64", "values": [1, 0]},
        {"type": "int64", "values": [0, 1.5]},
        {"type": "int64", "values": [0, None]},
        {"type": "int64", "values": [0, 2**80]},
        {"type": "int64", "values": [[0], [1]]},
        {"type": "str", "values": [0, 1]},
        {"type": "float64", "values": ["a", "b"]},
    ],
)
def test_forged_classes_are_refused(classes: object) -> None:
    with pytest.raises(ValueError, match=r"classes|could not convert"):
        loads(forged(lambda header: header["facts"].update({"classes": classes})))


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "other"},
        {"dtype": "|O"},
        {"dtype": "<i8"},
        {"shape": [10**18]},
        {"shape": [-5]},
        {"shape": [2.0]},
        {"shape": []},
        {"shape": [1, 1, 5]},
        {"shape": [5, 1]},
        {"shape": [0]},
        {"shape": 5},
        {"offset": -4},
        {"offset": None},
        {"offset": 10**18},
    ],
)
def test_a_forged_place_of_an_array_is_refused(entry: Header) -> None:
    with pytest.raises(ValueError, match="the model"):
        loads(forged(lambda header: header["arrays"][0].update(entry)))


@pytest.mark.parametrize("key", ["class", "params", "facts", "arrays", "payload"])
def test_a_header_without_a_part_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="the model"):
        loads(forged(lambda header: header.pop(key)))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"\xff", b'{"facts": NaN}', b"[" * 200_000], ids=range(6)
)
def test_a_header_that_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="header is not"):
        loads(put_together(text, b""))


@pytest.mark.parametrize("score", ["high", 3, 1.5, [0.5]])
def test_a_forged_score_is_refused(score: object) -> None:
    header, payload = split_up(dumps(forest(oob_score=True)))
    header["facts"]["oob_score"] = score
    with pytest.raises(ValueError, match="oob_score is not a share"):
        loads(put_together(header, payload))


def clusters() -> KMeans:
    return KMeans(2, random_state=0).fit([[1.0], [2.0], [8.0]])


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("cluster_centers_", [[1.0], [2.0], [3.0]]),
        ("cluster_centers_", [1.0, 2.0]),
        ("cluster_centers_", [[], []]),
        ("cluster_centers_", [[1.0], [np.nan]]),
        ("labels_", [0, 1, 2]),
        ("labels_", [0, 1, -1]),
        ("labels_", [0]),
        ("labels_", [[0, 1, 1]]),
    ],
)
def test_forged_clusters_are_refused(array: str, value: list[Any]) -> None:
    model = clusters()
    setattr(model, array, np.array(value, dtype=getattr(model, array).dtype))
    with pytest.raises(ValueError, match="the model"):
        loads(dumps(model))


@pytest.mark.parametrize(
    "facts",
    [
        {"dtype": "object"},
        {"dtype": None},
        {"dtype": "float32"},
        {"inertia": -1.0},
        {"inertia": "low"},
        {"n_iter": 0},
        {"n_iter": 1.5},
        {"n_iter": True},
    ],
)
def test_forged_facts_of_clusters_are_refused(facts: Header) -> None:
    model = KMeans(2, init=[[0.1], [8.0]]).fit([[0.1], [0.2], [8.0]])
    header, payload = split_up(dumps(model))
    header["facts"].update(facts)
    with pytest.raises(ValueError, match="the model"):
        loads(put_together(header, payload))


@pytest.mark.parametrize("params", [{"n_clusters": 3}, {"init": "somehow"}, {"tol": [1]}])
def test_forged_parameters_of_clusters_are_refused(params: Header) -> None:
    header, payload = split_up(dumps(clusters()))
    header["params"].update(params)
    with pytest.raises(ValueError, match=r"must be|as many centres"):
        loads(put_together(header, payload))
