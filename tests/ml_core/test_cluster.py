"""Trees grown in the processes of a Dask cluster: the forest is the one that threads grow."""

import logging
from collections.abc import Iterator
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
from distributed import Client, LocalCluster

from ml_core import RandomForestClassifier, dumps
from tests.ml_core.data import clouds


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    settings: Any = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,
        "silence_logs": logging.CRITICAL,
    }
    with (
        LocalCluster(processes=True, **settings) as workers,  # type: ignore[no-untyped-call]
        Client(workers, timeout=30) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


def test_a_forest_grown_on_a_cluster_is_byte_for_byte_that_of_threads(cluster: Client) -> None:
    x, y = clouds(3_000, 6)
    weights = np.arange(3_000) % 3
    model = RandomForestClassifier(6, max_depth=8, oob_score=True, n_jobs=2, random_state=3)
    on_threads = dumps(model.fit(x, y, weights))
    with joblib.parallel_config("dask"):
        on_cluster = dumps(model.fit(x, y, weights))
    assert on_cluster == on_threads
    executed = cluster.run(lambda dask_worker: dask_worker.state.executed_count)
    assert sum(executed.values()) >= model.n_estimators
