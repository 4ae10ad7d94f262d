"""A tracking store for each test, copied, as the 67 migrations of a new one take two seconds."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from astralytiq.core import tracking
from astralytiq.core.settings import Settings
from astralytiq.core.tracking import Tracker, store


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("mlflow")
    Tracker(f"sqlite:///{home}/mlflow.db", home / "mlartifacts").client()
    return home / "mlflow.db"


@pytest.fixture
def mlflow(settings: Settings, empty_mlflow: Path) -> Iterator[Tracker]:
    """The store of this test's house."""
    shutil.copy(empty_mlflow, settings.home / "mlflow.db")
    yield tracking.tracker(settings)
    store._opened.cache_clear()
