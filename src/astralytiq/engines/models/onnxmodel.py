"""Models from elsewhere as ONNX, served by ONNX Runtime from the extra `onnx`."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from .contract import Algorithm, BadTraining, Evaluation, Label, NoAnswer, Predictions, Progress
from .onnxfile import DOUBLE, checked, metadata, with_metadata

OURS = "astralytiq"  # the metadata that holds {classes}
SILENT = 4


@dataclass(frozen=True, eq=False)
class OnnxModel:
    content: bytes
    session: Any
    entry: str
    dtype: Any
    classes: list[Label] | None  # None of a regression


def signed(content: bytes, classes: list[Any] | None) -> bytes:
    """The file with its classes; raises ValueError for what is not loaded here."""
    checked(content)
    return with_metadata(content, OURS, json.dumps({"classes": classes}))


class OnnxAdapter:
    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm

    def train(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> OnnxModel:
        raise BadTraining("ONNX files are made elsewhere: nothing is trained with them.")

    def predict(self, model: OnnxModel, features: ArrayLike) -> Predictions:
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(features, dtype=model.dtype)
        found = run(model, rows)
        if model.classes is None:
            return Predictions(numbers(found, len(rows)), [])
        shares = shares_of(found, len(rows), model.classes)
        if shares is None:
            return Predictions(labels(found, len(rows), model.classes), [])
        best = shares.argmax(axis=1).tolist()
        return Predictions([model.classes[place] for place in best], shares.tolist())

    def evaluate(
        self, model: OnnxModel, features: NDArray[Any], target: NDArray[Any]
    ) -> Evaluation:
        raise BadTraining("ONNX files are made elsewhere: they were evaluated there.")

    def importances(self, model: OnnxModel) -> list[float]:
        return []

    def classes(self, model: OnnxModel) -> list[Label]:
        return model.classes or []

    def save(self, model: OnnxModel) -> bytes:
        return model.content

    def load(self, content: bytes) -> OnnxModel:
        try:
            told = json.loads(metadata(content)[OURS])
            entry = checked(content).entry
            session = opened(content)
        except (LookupError, TypeError) as error:
            raise ValueError(f"The file was not taken in here ({error}).") from None
        dtype = np.float64 if entry.kind == DOUBLE else np.float32
        return OnnxModel(content, session, entry.name, dtype, told["classes"])

    def to_onnx(self, model: OnnxModel) -> bytes:
        return model.content


def opened(content: bytes) -> Any:
    """One thread, as every request has one; raises ValueError with the first line of why not."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # Its exceptions have no class of their own in common.
        words = str(error).partition("\n")[0][:300]
        raise ValueError(f"ONNX Runtime does not load it: {words}") from None


def run(model: OnnxModel, rows: NDArray[Any]) -> list[Any]:
    try:
        found: list[Any] = model.session.run(None, {model.entry: rows})
    except Exception as error:  # See above.
        words = str(error).partition("\n")[0][:300]
        raise NoAnswer(f"ONNX Runtime says {words}") from None
    return found


# Answers ----------------------------------------------------------------------------------------


def numbers(found: list[Any], rows: int) -> list[Label]:
    first = np.asarray(found[0])
    if first.size != rows or first.dtype.kind not in "fiu":
        raise NoAnswer("its first output is not one number for each row")
    values: list[Label] = finite(first.reshape(rows).astype(np.float64)).tolist()
    return values


def finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise NoAnswer("it answers with something that is no number")
    return values


def shares_of(found: list[Any], rows: int, classes: list[Label]) -> NDArray[np.float64] | None:
    """The probabilities, in whichever form the exporters give them; None if there are none."""
    for output in reversed(found):
        if isinstance(output, list) and output and isinstance(output[0], dict):
            return finite(np.array([list(row.values()) for row in output], dtype=np.float64))
        array = np.asarray(output)
        if array.dtype.kind != "f":
            continue
        if array.shape == (rows, len(classes)):
            return finite(array.astype(np.float64))
        if array.size == rows and len(classes) == 2:
            second = finite(array.reshape(rows, 1).astype(np.float64))
            return np.concatenate([1.0 - second, second], axis=1)
    return None


def labels(found: list[Any], rows: int, classes: list[Label]) -> list[Label]:
    """Of a model that answers with labels alone."""
    given = np.asarray(found[0]).reshape(-1).tolist() if found else []
    known = {str(label): label for label in classes} | {label: label for label in classes}
    if len(given) != rows or any(label not in known for label in given):
        raise NoAnswer(
            f"its outputs are neither probabilities of {len(classes)} classes nor labels"
        )
    return [known[label] for label in given]
