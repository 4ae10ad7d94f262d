"""The models used last, ready to predict."""

import asyncio
from collections import OrderedDict
from typing import Any

from astralytiq.core.errors import Conflict
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.features.registry.serving import Served, open_file

MOST_LOADED = 8


class LoadedModels:
    """In the order of their use; the one that was not used longest gives way."""

    def __init__(self, most: int = MOST_LOADED) -> None:
        self._most = most
        self._models: OrderedDict[int, Any] = OrderedDict()

    def get(self, version_id: int) -> Any:
        if version_id in self._models:
            self._models.move_to_end(version_id)
        return self._models.get(version_id)

    def put(self, version_id: int, model: Any) -> None:
        self._models[version_id] = model
        while len(self._models) > self._most:
            self._models.popitem(last=False)

    async def close(self) -> None:
        self._models.clear()


async def model_of(resources: Resources, actor: Actor, version: Served) -> Any:
    loaded = resources.own("predictions.models", lambda _: LoadedModels())
    if (known := loaded.get(version.version_id)) is not None:
        return known
    content = await open_file(resources, actor, version)
    try:
        model = await asyncio.to_thread(load, version.algorithm, content)
    except ValueError as error:
        raise Conflict(f"This version cannot be served ({error}): train it again.") from None
    loaded.put(version.version_id, model)
    return model


def load(algorithm: str, content: bytes) -> Any:
    return adapter_of(algorithm).load(content)
