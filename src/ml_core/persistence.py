"""Models as bytes, without pickle: loading a file never runs anything that is written in it.

A file is, with all numbers little-endian::

    8 bytes   magic
    4 bytes   format version, unsigned
    4 bytes   length of the header, unsigned
    32 bytes  SHA-256 of the header
    header    JSON: class, params, facts, arrays [{name, dtype, shape, offset}],
              payload {bytes, sha256}
    payload   the arrays' bytes, each beginning at a multiple of 8

The hashes find damage, not malice: whoever changes a file can also change its hashes. So whatever
is read is checked as well, and each class checks its own arrays in ``_restore``. The same model
gives the same bytes: keys are sorted, gaps are zeros, and neither time nor place is recorded.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from ml_core.base import Estimator
from ml_core.decision_tree import DecisionTreeClassifier
from ml_core.kmeans_estimator import KMeans
from ml_core.random_forest import RandomForestClassifier

# The first byte is not text and the line ends would not survive a transfer "as text".
MAGIC = b"\x93MLC\r\n\x1a\n"
VERSION = 2

_PREFIX = struct.Struct("<8sII32s")
_ALIGNMENT = 8
_PAIRS = "pairs"

# By the name of an array the types that it may have; where there are two, it is written in its own.
Types = dict[str, tuple[str, ...]]
_TREE_TYPES: Types = {
    "threshold": ("<f8", "<f4"),
    "feature": ("<i4",),
    "left": ("<i4",),
    "shares": ("<f8",),
    "roots": ("<i4",),
    "importances": ("<f8",),
}

# What a file may name as its class, with the arrays that class must find.
_CLASSES: dict[str, tuple[type[Estimator], Types]] = {
    "DecisionTreeClassifier": (DecisionTreeClassifier, _TREE_TYPES),
    "KMeans": (KMeans, {"centres": ("<f8",), "labels": ("<i4",)}),
    "RandomForestClassifier": (RandomForestClassifier, _TREE_TYPES),
}


def save(estimator: Estimator, file: str | PathLike[str] | BinaryIO) -> None:
    """Write a fitted estimator to a path or to a file open for writing bytes.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    ValueError
        If it is of a class that has no file form, or has a parameter that JSON cannot hold.
    """
    content = dumps(estimator)
    if isinstance(file, str | PathLike):
        Path(file).write_bytes(content)
    else:
        file.write(content)


def load(file: str | PathLike[str] | BinaryIO) -> Estimator:
    """Read an estimator from a path or from a file open for reading bytes.

    Raises
    ------
    ValueError
        As `loads`.
    """
    return loads(Path(file).read_bytes() if isinstance(file, str | PathLike) else file.read())


def dumps(estimator: Estimator) -> bytes:
    """A fitted estimator as bytes; raises what `save` raises."""
    name = type(estimator).__name__
    if name not in _CLASSES or type(estimator) is not _CLASSES[name][0]:
        raise ValueError(f"{name} has no file form; one of {sorted(_CLASSES)} has")
    facts, arrays = estimator._state()
    if hasattr(estimator, "feature_names_in_"):
        facts["feature_names"] = estimator.feature_names_in_.tolist()
    entries, payload = _packed(arrays, _CLASSES[name][1])
    header = {
        "class": name,
        "params": {key: _plain(key, value) for key, value in estimator.get_params().items()},
        "facts": facts,
        "arrays": entries,
        "payload": {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()},
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    # Spaces end the header, so that the payload begins aligned.
    text += b" " * (-(_PREFIX.size + len(text)) % _ALIGNMENT)
    digest = hashlib.sha256(text).digest()
    return _PREFIX.pack(MAGIC, VERSION, len(text), digest) + text + payload


def loads(content: bytes) -> Estimator:
    """The estimator that `dumps` gave these bytes for.

    Raises
    ------
    ValueError
        If they are not a model, are of an unknown version or class, are cut short or damaged, or
        describe a model that could not have been fitted (as a forged file might).
    """
    header, payload = _checked_parts(content)
    estimator, types = _new_estimator(header)
    arrays = _unpacked(header.get("arrays"), types, payload)
    facts = header.get("facts")
    if not isinstance(facts, dict):
        raise ValueError("the model's header has no facts")
    estimator._restore(facts, arrays)
    if "feature_names" in facts:
        estimator._learn_names(_restored_names(facts["feature_names"], estimator.n_features_in_))
    return estimator


def _restored_names(saved: object, n_features: int) -> list[str]:
    if not isinstance(saved, list) or not all(isinstance(name, str) for name in saved):
        raise ValueError("the model's feature names are not text")
    if len(saved) != n_features:
        raise ValueError("the model does not name as many features as it has")
    return saved


def _plain(name: str, value: object) -> object:
    is_array = isinstance(value, list | tuple) or hasattr(value, "__array__")
    if is_array and np.asarray(value).dtype.kind in "fiu":
        return np.asarray(value).tolist()
    if isinstance(value, Mapping):
        # The keys are labels, of which JSON would make text.
        return {_PAIRS: [[_plain(name, part) for part in pair] for pair in value.items()]}
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    raise ValueError(f"the parameter {name}={value!r} cannot be saved")


def _packed(arrays: Mapping[str, NDArray[Any]], types: Types) -> tuple[list[dict[str, Any]], bytes]:
    entries: list[dict[str, Any]] = []
    payload = bytearray()
    for name, allowed in types.items():
        array = arrays[name]
        own = array.dtype.newbyteorder("<").str
        dtype = own if own in allowed else allowed[0]
        entry = {"name": name, "dtype": dtype, "shape": list(array.shape), "offset": len(payload)}
        entries.append(entry)
        payload += array.astype(dtype).tobytes()
        payload += bytes(-len(payload) % _ALIGNMENT)
    return entries, bytes(payload)


def _checked_parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the payload, both whole."""
    if content[: len(MAGIC)] != MAGIC[: len(content)] or not content:
        raise ValueError("this is not an ml_core model")
    if len(content) < _PREFIX.size:
        raise ValueError("the model is cut short")
    _, version, length, digest = _PREFIX.unpack_from(content)
    if version == 1:
        raise ValueError(
            "the model has format version 1, of an older ml_core, which is no longer read: train "
            "it again and save it anew"
        )
    if version != VERSION:
        raise ValueError(f"the model has format version {version}, but only {VERSION} is known")
    text = content[_PREFIX.size : _PREFIX.size + length]
    if len(text) < length:
        raise ValueError("the model is cut short")
    if hashlib.sha256(text).digest() != digest:
        raise ValueError("the model's header is damaged: its SHA-256 differs")
    header = _parsed(text)
    payload = content[_PREFIX.size + length :]
    _check_payload(payload, header.get("payload"))
    return header, payload


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError("the model's header is not JSON") from error
    if not isinstance(header, dict):
        raise ValueError("the model's header is not a JSON object")
    return header


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_payload(payload: bytes, expected: object) -> None:
    if not isinstance(expected, dict) or not isinstance(expected.get("bytes"), int):
        raise ValueError("the model's header does not describe its payload")
    if len(payload) < expected["bytes"]:
        raise ValueError("the model is cut short")
    if len(payload) > expected["bytes"]:
        raise ValueError("the model is followed by something else")
    if hashlib.sha256(payload).hexdigest() != expected.get("sha256"):
        raise ValueError("the model's payload is damaged: its SHA-256 differs")


def _new_estimator(header: Mapping[str, Any]) -> tuple[Estimator, Types]:
    name = header.get("class")
    if not isinstance(name, str) or name not in _CLASSES:
        raise ValueError(f"the model is of the unknown class {name!r}")
    make, types = _CLASSES[name]
    params = header.get("params")
    estimator = make()
    # A file from before there was some parameter lacks it; the default does what was done then.
    if not isinstance(params, dict) or not set(params) <= set(estimator.get_params()):
        raise ValueError(f"the model's parameters are not those of {name}")
    return estimator.set_params(**{key: _unpaired(params[key]) for key in params}), types


def _unpaired(value: object) -> object:
    if not isinstance(value, dict) or not isinstance(value.get(_PAIRS), list):
        return value
    pairs = value[_PAIRS]
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError("the model's parameters hold pairs that are none")
    if not all(isinstance(key, bool | int | float | str) for key, _ in pairs):
        raise ValueError("the model's parameters name labels that are none")
    return dict(pairs)


def _unpacked(entries: object, types: Types, payload: bytes) -> dict[str, NDArray[Any]]:
    if not isinstance(entries, list) or len(entries) != len(types):
        raise ValueError("the model does not hold the arrays of its class")
    arrays: dict[str, NDArray[Any]] = {}
    for entry, (name, allowed) in zip(entries, types.items(), strict=True):
        if (
            not isinstance(entry, dict)
            or entry.get("name") != name
            or entry.get("dtype") not in allowed
        ):
            raise ValueError(f"the model's array {name!r} is missing or of another type")
        arrays[name] = _array(entry, np.dtype(entry["dtype"]), payload)
    return arrays


def _array(entry: Mapping[str, Any], dtype: np.dtype[Any], payload: bytes) -> NDArray[Any]:
    shape: Any = entry.get("shape")
    offset: Any = entry.get("offset")
    if not isinstance(shape, list) or not 1 <= len(shape) <= 2:
        raise ValueError(f"the model's array {entry['name']!r} has no shape")
    if not all(type(number) is int and number >= 0 for number in [*shape, offset]):
        raise ValueError(f"the model's array {entry['name']!r} has an impossible place")
    count = math.prod(shape)
    if offset + count * dtype.itemsize > len(payload):
        raise ValueError(f"the model's array {entry['name']!r} goes beyond the payload")
    # A copy, so that the arrays have this machine's byte order and do not hold on to the file.
    line = np.frombuffer(payload, dtype, count, offset).astype(dtype.newbyteorder("="))
    return line.reshape(shape)
