"""ONNX models made of the numbers of their fields.

The numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; what the fields
mean says https://github.com/onnx/onnx/blob/main/docs/IR.md. The versions below are old enough for
any runtime in use and have all that is needed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.onnx.protobuf import floats, integer, integers, message, packed, text, texts

IR_VERSION = 8
OPERATOR_SETS = {"": 13, "ai.onnx.ml": 3}

PRODUCER = "ml_core"
# Counted up whenever the models are made in another way.
PRODUCER_VERSION = "1"

# TensorProto.DataType
FLOAT, INT64, STRING, DOUBLE = 1, 7, 8, 11
_NUMBERS = {np.dtype(np.float32): FLOAT, np.dtype(np.float64): DOUBLE, np.dtype(np.int64): INT64}

# AttributeProto.AttributeType
_INT, _STRING, _FLOATS, _INTS, _STRINGS = 2, 3, 6, 7, 8

# What protobuf's readers take at most.
MOST_BYTES = 2**31 - 1

Dimension = int | str
AttributeValue = int | str | NDArray[Any] | Sequence[str]


def model(graph: Sequence[bytes], *, feature_names: Sequence[str] | None = None) -> bytes:
    """The whole, ready to be written to a file.

    Raises
    ------
    ValueError
        If it is larger than 2 GiB, which no reader takes.
    """
    sets = [
        message(8, text(1, domain), integer(2, version))
        for domain, version in OPERATOR_SETS.items()
    ]
    facts = [integer(1, IR_VERSION), text(2, PRODUCER), text(3, PRODUCER_VERSION), *sets]
    if feature_names is not None:
        names = json.dumps(list(feature_names), ensure_ascii=False)
        facts.append(message(14, text(1, "feature_names"), text(2, names)))
    written = b"".join([*facts, message(7, *graph)])
    if len(written) > MOST_BYTES:
        raise ValueError(
            f"the model takes {len(written)} bytes in ONNX, but its readers take {MOST_BYTES} at "
            "most; fit fewer or smaller trees"
        )
    return written


def graph(
    name: str,
    nodes: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
    constants: Mapping[str, NDArray[Any]],
) -> list[bytes]:
    """The fields of a graph; nodes stand behind those whose outputs they take."""
    return [
        *(packed(1, node) for node in nodes),
        text(2, name),
        *(packed(5, tensor(name, values)) for name, values in constants.items()),
        *(packed(11, value) for value in inputs),
        *(packed(12, value) for value in outputs),
    ]


def node(
    operator: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    domain: str = "",
    **attributes: AttributeValue,
) -> bytes:
    return b"".join(
        [
            texts(1, inputs),
            texts(2, outputs),
            text(4, operator),
            *(packed(5, attribute(name, value)) for name, value in attributes.items()),
            text(7, domain),
        ]
    )


def attribute(name: str, value: AttributeValue) -> bytes:
    """An attribute; of an array float32 becomes floats and any other type integers."""
    if isinstance(value, int):
        kind, content = _INT, integer(3, value)
    elif isinstance(value, str):
        kind, content = _STRING, text(4, value)
    elif not isinstance(value, np.ndarray):
        kind, content = _STRINGS, texts(9, value)
    elif value.dtype == np.float32:
        kind, content = _FLOATS, floats(7, value)
    else:
        kind, content = _INTS, integers(8, value)
    return text(1, name) + content + integer(20, kind)


def value_info(name: str, type_: int, shape: Sequence[Dimension]) -> bytes:
    """An input or output; a dimension of any size is given by a name."""
    sizes = [
        message(1, text(2, size) if isinstance(size, str) else integer(1, size)) for size in shape
    ]
    return text(1, name) + message(2, message(1, integer(1, type_), message(2, *sizes)))


def tensor(name: str, values: NDArray[Any]) -> bytes:
    sizes = [integer(1, size) for size in values.shape]
    kind = type_of(values)
    if kind == STRING:
        content = texts(6, values.tolist())
    else:
        content = packed(9, values.astype(values.dtype.newbyteorder("<")).tobytes())
    return b"".join([*sizes, integer(2, kind), text(8, name), content])


def type_of(values: NDArray[Any]) -> int:
    return STRING if values.dtype.kind == "U" else _NUMBERS[values.dtype]
