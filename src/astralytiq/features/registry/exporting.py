"""A version's file for others: as we keep it, or as ONNX, which many runtimes read."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from astralytiq.core.errors import Conflict
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.engines.models.contract import NoOnnx

from .serving import Served, open_file, serving


class ModelFormat(StrEnum):
    onnx = "onnx"
    native = "native"


SUFFIXES = {ModelFormat.onnx: "onnx", ModelFormat.native: "model"}


@dataclass(frozen=True)
class Exported:
    filename: str
    content: bytes


async def export(
    resources: Resources, actor: Actor, name: str, number: int, form: ModelFormat
) -> Exported:
    """The file, once its hash is checked."""
    version = await serving(resources).version(name, number)
    content = await open_file(resources, actor, version)
    if form is ModelFormat.onnx:
        content = await asyncio.to_thread(as_onnx, version, content)
    return Exported(f"{name}-{number}.{SUFFIXES[form]}", content)


def as_onnx(version: Served, content: bytes) -> bytes:
    try:
        adapter = adapter_of(version.algorithm)
        return adapter.to_onnx(adapter.load(content))
    except (NoOnnx, ValueError) as error:
        raise Conflict(f"This version has no form in ONNX ({error}): take format=native.") from None
