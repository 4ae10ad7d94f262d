"""Files that were made elsewhere: which are taken, how they answer, and what is refused."""

import json
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from astralytiq.engines.models import contract, onnxfile, trying
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.engines.models.contract import BadTraining, status_of
from astralytiq.engines.models.foreign import Refused, Signature, taken, tried
from astralytiq.engines.models.onnxfile import BadOnnx, checked
from ml_core.onnx.graph import DOUBLE, FLOAT, INT64, graph, model, node, value_info
from ml_core.onnx.protobuf import integer, message, packed, text

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(80, 2))
CLASSES = np.array(["a", "b", "c"])[np.digitize(FEATURES[:, 0], [-0.4, 0.4])]
OF_CLASSES = Signature(["length", "width"], ["a", "b", "c"])
OF_TWO = Signature(["length", "width"], ["a", "b"])
OF_NUMBERS = Signature(["length", "width"], None)
ROWS = FEATURES[:5].tolist()


def ignore(done: int, total: int) -> None: ...


def exported(name: str, target: NDArray[Any]) -> bytes:
    adapter = adapter_of(name)
    return adapter.to_onnx(adapter.train(FEATURES, target, {}, 0, ignore))


def of_nodes(*nodes: bytes, outputs: tuple[str, ...] = ("y",), **more: Any) -> bytes:
    inputs = more.pop("inputs", [value_info("X", FLOAT, ["rows", 2])])
    made = [value_info(name, FLOAT, ["rows", "n"]) for name in outputs]
    return model(graph("g", nodes, inputs, made, more.pop("constants", {})))


def booster(target: NDArray[Any], **params: Any) -> Any:
    given = {"verbosity": 0, "nthread": 1, **params}
    return xgboost.train(given, xgboost.DMatrix(FEATURES, target, nthread=1), 3)


def answered(content: bytes, signature: Signature) -> Any:
    algorithm, made = taken(content, signature)
    adapter = adapter_of(algorithm)
    tried(adapter, made, signature, 20)
    loaded = adapter.load(made)
    assert adapter.save(loaded) == made
    assert adapter.classes(loaded) == (signature.classes or [])
    return adapter.predict(loaded, ROWS)


# Taken ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random_forest", "logistic_regression", "xgboost"])
def test_an_onnx_classifier_answers_as_what_it_was_exported_from(name: str) -> None:
    adapter = adapter_of(name)
    ours = adapter.train(FEATURES, CLASSES, {}, 0, ignore)
    found, wanted = answered(adapter.to_onnx(ours), OF_CLASSES), adapter.predict(ours, ROWS)
    assert found.labels == wanted.labels
    assert np.allclose(found.probabilities, wanted.probabilities, atol=1e-6)


def test_an_onnx_regression_answers_with_numbers() -> None:
    numbers = FEATURES @ [2.0, 1.0]
    found = answered(exported("linear_regression", numbers), OF_NUMBERS)
    assert found.labels == pytest.approx(numbers[:5])
    assert found.probabilities == []


def test_the_forms_of_other_exporters_are_understood() -> None:
    """Maps of labels to probabilities; one probability, of the second class; labels alone."""
    softmax = node("Softmax", ["X"], ["y"], axis=1)
    ids = np.array([0, 1])
    zipped = node("ZipMap", ["y"], ["z"], domain="ai.onnx.ml", classlabels_int64s=ids)
    number = message(2, message(1, integer(1, FLOAT)))
    maps = message(2, message(4, message(1, message(5, integer(1, INT64), number))))
    inputs = [value_info("X", FLOAT, ["rows", 2])]
    content = model(graph("g", [softmax, zipped], inputs, [text(1, "z") + maps], {}))
    found = answered(content, OF_TWO)
    wanted = np.exp(ROWS) / np.exp(ROWS).sum(axis=1, keepdims=True)
    assert np.allclose(found.probabilities, wanted, atol=1e-6)

    first = node("Gather", ["X", "at"], ["one"], axis=1)
    content = of_nodes(first, node("Sigmoid", ["one"], ["y"]), constants={"at": np.array([0])})
    found = answered(content, OF_TWO)
    assert np.allclose(np.array(found.probabilities)[:, 1], 1 / (1 + np.exp(-FEATURES[:5, 0])))

    argmax = node("ArgMax", ["X"], ["y"], axis=1)
    content = model(graph("g", [argmax], inputs, [value_info("y", INT64, ["rows", 1])], {}))
    found = answered(content, Signature(["length", "width"], [0, 1]))
    assert found.labels == FEATURES[:5].argmax(axis=1).tolist()
    assert found.probabilities == []


@pytest.mark.parametrize(
    ("params", "target", "signature"),
    [
        ({"objective": "binary:logistic"}, CLASSES == "b", OF_TWO),
        ({"objective": "multi:softmax", "num_class": 3}, np.searchsorted(["a", "b", "c"], CLASSES),
         OF_CLASSES),
        ({}, FEATURES[:, 0], OF_NUMBERS),
    ],
)  # fmt: skip
def test_xgboosts_file_answers_as_xgboost_does(
    params: dict[str, Any], target: NDArray[Any], signature: Signature
) -> None:
    theirs = booster(target, **params)
    theirs.set_attr(note="of somebody else")
    found = answered(bytes(theirs.save_raw("ubj")), signature)
    margins = theirs.predict(xgboost.DMatrix(FEATURES[:5], nthread=1))
    if signature.classes is None:
        assert np.allclose(found.labels, margins, atol=1e-5)
    elif len(signature.classes) == 2:
        assert np.allclose(np.array(found.probabilities)[:, 1], margins, atol=1e-5)
    else:
        assert found.labels == [signature.classes[int(place)] for place in margins]


def test_a_file_that_another_house_trained_comes_as_it_is() -> None:
    adapter = adapter_of("xgboost")
    content = adapter.save(adapter.train(FEATURES, CLASSES, {}, 0, ignore))
    assert taken(content, OF_CLASSES) == ("xgboost", content)
    for other in (OF_TWO, OF_NUMBERS):
        with pytest.raises(Refused, match="other classes"):
            taken(content, other)


# Refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"a": 1}), r"is a pickle .* Export the model as ONNX"),
        (b"PK\x03\x04 and more", "a ZIP"),
        (b"\x89HDF\r\n", "HDF5"),
        (b'{"learner": {}}', "is JSON"),
        (b"", "no graph"),
        (b"not a model at all", "no ONNX file"),
        (b"{L", "ends too early"),
        (b"{L" + bytes(7) + b"\x01aZ}", "no model of XGBoost"),
        (b"{L" + bytes(7) + b"\x07learner[]}", "no model of XGBoost"),
    ],
)
def test_23_other_files_are_refused_with_the_remedy(content: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words):
        taken(content, OF_CLASSES)


def outside() -> bytes:
    tensor = [integer(1, 2), integer(2, FLOAT), text(8, "b"), integer(14, 1),
              message(13, text(1, "location"), text(2, "/etc/passwd"))]  # fmt: skip
    return packed(5, b"".join(tensor))


def graph_with(*more: bytes) -> bytes:
    inputs = [value_info("X", FLOAT, ["rows", 2])]
    made = graph("g", [node("Identity", ["X"], ["y"])], inputs, inputs, {})
    return model([*made, *more])


BRANCH = message(5, text(1, "then_branch"), message(6, text(2, "inner")), integer(20, 5))
HIDDEN = message(5, text(1, "value"), message(5, text(8, "c"), integer(14, 1)), integer(20, 4))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (graph_with(outside()), "other files"),
        (graph_with(packed(1, text(4, "Constant") + HIDDEN)), "other files"),
        (graph_with(packed(1, text(4, "If") + BRANCH)), "loops, branches"),
        (graph_with(packed(1, text(4, "Identity") + BRANCH)), "loops, branches"),
        (graph_with(packed(1, text(4, "Loop"))), "operator 'Loop'"),
        (graph_with(packed(1, text(4, "Expand"))), "operator 'Expand'"),
        (graph_with(packed(1, text(4, "Add") + text(7, "com.microsoft"))), "operator 'Add'"),
        (graph_with(packed(15, b"")), "sparse"),
        (graph_with() + message(8, text(1, "com.evil"), integer(2, 1)), "'com.evil'"),
        (graph_with() + message(25, text(1, "f")), "functions"),
        (graph_with() + packed(7, b""), "no graph"),
        (of_nodes(inputs=[]), "0 inputs"),
        (of_nodes(inputs=[value_info(name, FLOAT, ["r", 2]) for name in "XY"]), "2 inputs"),
        (of_nodes(inputs=[value_info("X", INT64, ["r", 2])]), "float32 or float64"),
        (of_nodes(inputs=[value_info("X", DOUBLE, ["r", 2, 2])]), "float32 or float64"),
    ],
)
def test_23_what_reaches_outside_or_could_grow_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BadOnnx, match=words):
        checked(content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 7))
def test_23_any_bytes_are_taken_apart_or_refused(noise: bytes, at: int, bit: int) -> None:
    whole = bytearray(of_nodes(node("Sigmoid", ["X"], ["y"])))
    whole[at % len(whole)] ^= 1 << bit
    for content in (noise, bytes(whole), graph_with()[: at % 80]):
        with suppress(BadOnnx):
            checked(content)


@pytest.mark.parametrize(
    ("content", "signature", "words"),
    [
        (of_nodes(node("Softmax", ["X"], ["y"], axis=1)), OF_CLASSES, "neither probabilities"),
        (of_nodes(node("Sigmoid", ["X"], ["y"])), OF_NUMBERS, "one number for each row"),
        (of_nodes(node("Log", ["X"], ["y"])), OF_TWO, "no number"),
        (of_nodes(node("MatMul", ["X", "X"], ["y"])), OF_TWO, "cannot predict rows of 2"),
        (of_nodes(node("Sigmoid", ["nothing"], ["y"])), OF_TWO, "ONNX Runtime does not load it"),
        (of_nodes(node("Sigmoid", ["X"], ["y"])), Signature(["a", "b", "c"], ["a", "b"]), "3 feat"),
    ],
)
def test_a_file_that_does_not_fit_its_signature_is_refused(
    content: bytes, signature: Signature, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        answered(content, signature)


def test_features_in_another_order_than_xgboosts_are_refused() -> None:
    names = ["width", "length"]
    rows = xgboost.DMatrix(FEATURES, FEATURES[:, 0], feature_names=names, nthread=1)
    content = bytes(xgboost.train({"nthread": 1}, rows, 1).save_raw("ubj"))
    with pytest.raises(Refused, match="its features are"):
        taken(content, OF_NUMBERS)


def test_23_an_onnx_file_that_was_not_taken_in_is_not_loaded() -> None:
    adapter = adapter_of("onnx")
    for content in (b"", b"nothing", of_nodes(node("Sigmoid", ["X"], ["y"]))):
        with pytest.raises(ValueError, match=r"."):
            adapter.load(content)
    with pytest.raises(BadTraining):
        adapter.train(FEATURES, CLASSES, {}, 0, ignore)


def test_without_the_extra_a_file_of_onnx_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contract, "find_spec", lambda module: None)
    status_of.cache_clear()
    try:
        with pytest.raises(Refused, match=r"pip install 'astralytiq\[onnx\]'"):
            taken(graph_with(), OF_TWO)
    finally:
        status_of.cache_clear()


# In a process of its own --------------------------------------------------------------------------


def in_a_process(folder: Path, content: bytes, signature: Signature) -> Any:
    file, made = folder / "sent", folder / "taken"
    file.write_bytes(content)
    told = json.dumps({"features": signature.features, "classes": signature.classes})
    command = [sys.executable, "-m", trying.__name__, str(file), str(made)]
    ended = subprocess.run(command, input=told, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_the_process_writes_what_is_to_be_kept(tmp_path: Path) -> None:
    content = of_nodes(node("Softmax", ["X"], ["y"], axis=1))
    assert in_a_process(tmp_path, content, OF_TWO) == {"algorithm": "onnx"}
    kept = (tmp_path / "taken").read_bytes()
    assert kept.startswith(content)
    assert onnxfile.metadata(kept) == {"astralytiq": '{"classes": ["a", "b"]}'}
    assert onnxruntime.InferenceSession(kept).get_inputs()[0].name == "X"


def test_23_a_model_that_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    nodes = [node("Gather", [a, "at"], [b], axis=1) for a, b in ("Xp", "py")]
    wide = {"at": np.zeros(1_000_000, dtype=np.int64)}
    found = in_a_process(tmp_path, of_nodes(*nodes, constants=wide), OF_TWO)
    assert "cannot predict" in found["refused"]
