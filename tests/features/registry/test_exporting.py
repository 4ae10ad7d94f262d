"""A version leaves as a file: as ONNX, or as we keep it."""

import httpx2
import numpy as np
import onnxruntime
import pytest

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.registry.models import ModelVersion
from tests.conftest import SignIn

from .factories import store_version

pytestmark = pytest.mark.anyio

EXPORT = "/api/v1/models/flowers/versions/1/export"


@pytest.fixture
async def owner(sign_in: SignIn) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


@pytest.fixture
async def version(owner: httpx2.AsyncClient, resources: Resources) -> ModelVersion:
    return await store_version(resources, owner)


async def test_another_runtime_answers_as_we_do(
    owner: httpx2.AsyncClient, version: ModelVersion
) -> None:
    answer = await owner.get(EXPORT)
    assert answer.headers["content-disposition"] == 'attachment; filename="flowers-1.onnx"'
    session = onnxruntime.InferenceSession(answer.content)
    rows = np.array([[1, 0], [4, 4], [2, 1]], dtype=np.float32)
    labels, shares = session.run(None, {"X": rows})
    asked = {"instances": rows.tolist()}
    ours = (await owner.post("/api/v1/models/flowers/versions/1/predict", json=asked)).json()
    assert labels.tolist() == ours["predictions"]
    assert np.allclose(shares, ours["probabilities"], atol=1e-6)


async def test_our_own_form_is_the_file_itself(
    owner: httpx2.AsyncClient, version: ModelVersion, resources: Resources
) -> None:
    answer = await owner.get(EXPORT, params={"format": "native"})
    assert answer.content == resources.storage.get(version.storage_key)
    assert (await owner.get(EXPORT, params={"format": "pickle"})).status_code == 422


async def test_23_a_damaged_file_is_not_exported(
    owner: httpx2.AsyncClient, version: ModelVersion, resources: Resources
) -> None:
    content = bytearray(resources.storage.get(version.storage_key))
    content[-1] ^= 1
    resources.storage.delete(version.storage_key)
    resources.storage.put(version.storage_key, bytes(content))
    for form in ("onnx", "native"):
        refused = await owner.get(EXPORT, params={"format": form})
        assert (refused.status_code, "damaged" in refused.json()["detail"]) == (409, True)


async def test_what_is_not_there_is_not_exported_and_not_to_strangers(
    owner: httpx2.AsyncClient, version: ModelVersion, client: httpx2.AsyncClient
) -> None:
    assert (await owner.get(EXPORT.replace("/1/", "/2/"))).status_code == 404
    assert (await client.get(EXPORT)).status_code == 401
