"""What an ONNX file holds, before any runtime gets it: only what computes numbers from rows.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. A file with parts
outside of itself, loops, functions or operators that are not listed here is refused. None of those
listed makes an array that grows with the values in the rows: the memory that a model needs for so
many rows it needs for any so many rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ml_core.onnx.protobuf import message, text

OWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
OPERATORS = {
    "": frozenset(
        {"Abs", "Add", "And", "ArgMax", "ArgMin", "BatchNormalization", "Cast", "Clip", "Concat",
         "Constant", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Flatten", "Gather", "Gelu",
         "Gemm", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity",
         "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "MatMul",
         "Max", "Min", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "ReduceMax",
         "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Selu", "Sigmoid", "Sign",
         "Softmax", "Softplus", "Softsign", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Transpose",
         "Unsqueeze", "Where"}
    ),
    "ai.onnx.ml": frozenset(
        {"LinearClassifier", "LinearRegressor", "Normalizer", "Scaler", "TreeEnsembleClassifier",
         "TreeEnsembleRegressor", "ZipMap"}
    ),
}  # fmt: skip
FLOAT, DOUBLE = 1, 11  # TensorProto.DataType
SEPTET, MOST_SEPTETS = 7, 10


class BadOnnx(ValueError):
    """No ONNX file, or one that is not loaded here. The message says why."""


@dataclass(frozen=True)
class Input:
    name: str
    kind: int  # a TensorProto.DataType
    sizes: list[int | None]  # None: any


@dataclass(frozen=True)
class Layout:
    entry: Input
    outputs: list[str]


def checked(content: bytes) -> Layout:
    """Its one input and its outputs; raises BadOnnx."""
    graphs = []
    for number, value in fields(content):
        if number == 8:
            refuse_domain(value)
        elif number in (20, 25):
            raise BadOnnx("it holds functions or training steps, which are not loaded here")
        elif number == 7:
            graphs.append(value)
    if len(graphs) != 1:
        raise BadOnnx("it is no ONNX file: it holds no graph")
    return layout(graphs[0])


def refuse_domain(operator_set: Any) -> None:
    domain = "".join(decoded(value) for number, value in fields(operator_set) if number == 1)
    if domain not in OWN_DOMAINS:
        raise BadOnnx(
            f"it needs operators of {domain!r}: export it with those of ai.onnx and ai.onnx.ml"
        )


def layout(graph: Any) -> Layout:
    parts: dict[int, list[Any]] = {number: [] for number in (1, 5, 11, 12, 15)}
    for number, value in fields(graph):
        parts.get(number, []).append(value)
    if parts[15]:
        raise BadOnnx("it holds sparse arrays, which are not loaded here")
    for node in parts[1]:
        refuse_node(node)
    constants = {tensor_name(tensor) for tensor in parts[5]}
    inputs = [found for found in map(described, parts[11]) if found.name not in constants]
    if len(inputs) != 1:
        raise BadOnnx(f"it has {len(inputs)} inputs: export it with one, of all features")
    if inputs[0].kind not in (FLOAT, DOUBLE) or len(inputs[0].sizes) != 2:
        raise BadOnnx("its input must be rows by features of float32 or float64")
    return Layout(inputs[0], [described(value).name for value in parts[12]])


def refuse_node(node: Any) -> None:
    operator = domain = ""
    for number, value in fields(node):
        if number == 4:
            operator = decoded(value)
        elif number == 7:
            domain = decoded(value)
        elif number == 5:
            refuse_attribute(value)
    if operator not in OPERATORS.get("" if domain == "ai.onnx" else domain, frozenset()):
        raise BadOnnx(f"its operator {operator!r} is none of those that are loaded here")


def refuse_attribute(attribute: Any) -> None:
    for number, value in fields(attribute):
        if number in (6, 11, 22, 23):
            raise BadOnnx("it holds loops, branches or sparse arrays, which are not loaded here")
        if number in (5, 10):
            tensor_name(value)


def tensor_name(tensor: Any) -> str:
    name = ""
    for number, value in fields(tensor):
        if number == 13 or (number == 14 and value):
            raise BadOnnx("parts of it lie in other files: export it as a single one")
        if number == 8:
            name = decoded(value)
    return name


def described(value_info: Any) -> Input:
    """An input or output; what is no tensor has the kind 0."""
    name, kind = "", 0
    sizes: list[int | None] = []
    for number, value in fields(value_info):
        if number == 1:
            name = decoded(value)
        elif number == 2:
            for type_ in (inner for at, inner in fields(value) if at == 1):
                kind, sizes = tensor_type(type_)
    return Input(name, kind, sizes)


def tensor_type(type_: Any) -> tuple[int, list[int | None]]:
    kind = 0
    sizes: list[int | None] = []
    for number, value in fields(type_):
        if number == 1:
            kind = whole(value)
        elif number == 2:
            sizes = [size_of(size) for at, size in fields(value) if at == 1]
    return kind, sizes


def size_of(dimension: Any) -> int | None:
    return next((whole(value) for number, value in fields(dimension) if number == 1), None)


# Metadata ---------------------------------------------------------------------------------------


def with_metadata(content: bytes, key: str, value: str) -> bytes:
    """A field at the end of a message is a field of it: the file stays what it was."""
    return content + message(14, text(1, key), text(2, value))


def metadata(content: bytes) -> dict[str, str]:
    found = {}
    for number, value in fields(content):
        if number == 14:
            entry = dict(fields(value))
            found[decoded(entry.get(1, b""))] = decoded(entry.get(2, b""))
    return found


# Protobuf ---------------------------------------------------------------------------------------


def fields(content: Any) -> Iterator[tuple[int, Any]]:
    """The number of each field, and what it holds: a whole number, or bytes."""
    if isinstance(content, int):
        raise BadOnnx("it is no ONNX file: a number stands where parts should be")
    view, at = memoryview(content), 0
    while at < len(view):
        key, at = varint(view, at)
        wire, size = key & 7, 0
        if wire == 0:
            value, at = varint(view, at)
            yield key >> 3, value
            continue
        if wire == 2:
            size, at = varint(view, at)
        elif wire not in (1, 5):
            raise BadOnnx("it is no ONNX file: it cannot be taken apart")
        size = {1: 8, 5: 4}.get(wire, size)
        if at + size > len(view):
            raise BadOnnx("it is no ONNX file, or it ends too early")
        yield key >> 3, view[at : at + size]
        at += size


def varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(MOST_SEPTETS):
        if at + place >= len(view):
            break
        byte = view[at + place]
        value |= (byte & 0x7F) << (SEPTET * place)
        if byte < 0x80:
            return value, at + place + 1
    raise BadOnnx("it is no ONNX file, or it ends too early")


def whole(value: Any) -> int:
    if not isinstance(value, int):
        raise BadOnnx("it is no ONNX file: parts stand where a number should be")
    return value


def decoded(value: Any) -> str:
    if isinstance(value, int):
        raise BadOnnx("it is no ONNX file: a number stands where text should be")
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise BadOnnx("it holds text that is no UTF-8") from None
