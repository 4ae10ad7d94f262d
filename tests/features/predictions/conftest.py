"""Each test loads its models anew."""

from collections.abc import Iterator

import pytest

from astralytiq.features.predictions import service


@pytest.fixture(autouse=True)
def nothing_loaded() -> Iterator[None]:
    service.loaded.clear()
    yield
    service.loaded.clear()
