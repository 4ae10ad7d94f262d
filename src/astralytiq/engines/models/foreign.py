"""Models that were made elsewhere and are sent as a file: which are taken, and as what."""

from dataclasses import dataclass
from typing import Any

from .catalogue import ONNX, adapter_of
from .contract import Adapter

HEAD = 16  # bytes that tell what a file is
UBJ, JSON = b"{L", b"{"
# First bytes of what people send instead, and what it is.
OTHERS = {
    b"\x80": "a pickle (also joblib, cloudpickle and PyTorch write them)",
    b"PK\x03\x04": "a ZIP, as of PyTorch, Keras or skops",
    b"\x89HDF": "HDF5, as of Keras",
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"x\x9c": "compressed with zlib, as joblib does",
    b"x\x01": "compressed with zlib, as joblib does",
    b"x\xda": "compressed with zlib, as joblib does",
    b"binf": "XGBoost's old binary form",
}


class Refused(ValueError):
    """This file is not taken. The message says why and what to do."""


@dataclass(frozen=True)
class Signature:
    """What a file does not say itself."""

    features: list[str]
    classes: list[Any] | None  # in the order of the model's outputs; None of a regression

    @property
    def task(self) -> str:
        return "classification" if self.classes is not None else "regression"


def is_ubj(head: bytes) -> bool:
    """Raises Refused for what is surely neither UBJ nor ONNX."""
    for begin, kind in OTHERS.items():
        if head.startswith(begin):
            raise Refused(
                f"The file is {kind}: such files can run code, or hold anything, and are never "
                "opened here. Export the model as ONNX, or save an XGBoost model as .ubj."
            )
    if head.startswith(JSON) and not head.startswith(UBJ):
        raise Refused("The file is JSON: save the XGBoost model as .ubj, or export it as ONNX.")
    return head.startswith(UBJ)


def taken(content: bytes, signature: Signature) -> tuple[str, bytes]:
    """The algorithm that serves it, and the file with the signature inside; raises Refused."""
    try:
        if is_ubj(content[:HEAD]):
            from .xgb import adopted  # noqa: PLC0415 - NumPy: the API asks for `is_ubj` alone

            return adopted(content, signature.features, signature.classes)
        adapter_of(ONNX.name)  # Where the extra is missing, it says so.
        from .onnxmodel import signed  # noqa: PLC0415 - the same

        return ONNX.name, signed(content, signature.classes)
    except Refused:
        raise
    except ValueError as error:
        raise Refused(f"The file is not taken: {error}.".replace("..", ".")) from None


def tried(adapter: Adapter, content: bytes, signature: Signature, rows: int) -> None:
    """Load it and let it predict so many rows; raises Refused."""
    import numpy as np  # noqa: PLC0415 - see above

    width = len(signature.features)
    some = np.random.default_rng(0).normal(size=(rows, width))
    try:
        model = adapter.load(content)
        for features in (some[:1], np.zeros((3, width)), some):
            found = adapter.predict(model, features)
            if len(found.labels) != len(features):
                raise Refused(f"Of {len(features)} rows it answers for {len(found.labels)}.")
    except Refused:
        raise
    except Exception as error:  # Whatever a runtime raises.
        raise Refused(f"The model cannot predict rows of {width} features: {line(error)}") from None


def line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
