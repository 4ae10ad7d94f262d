"""Journeys run real processes on databases that the server itself migrates."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.databases import Databases


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    url = asyncio.run(databases.fresh(empty=True))
    yield url
    asyncio.run(databases.drop(url))
