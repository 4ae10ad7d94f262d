"""kill -9 in the middle of work, then a new start: nothing lost, nothing doubled."""

from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from astralytiq.client import Client
from tests.journeys.servers import Server, ended, eventually, served

ROWS = 20_000
BATCH = 200


def write_readings(path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True)
    lines = (f"{n},sensor-{n % 7},{n * 0.5},{'ab'[n % 2]}" for n in range(rows))
    path.write_text("id,sensor,value,label\n" + "\n".join(lines) + "\n")


def start_run(client: Client) -> dict[str, Any]:
    source = {
        "kind": "csv",
        "name": "readings",
        "path": "readings.csv",
        "primary_key": "id",
        "batch_size": BATCH,
    }
    client.post("/sources", json=source)
    run: dict[str, Any] = client.post("/sources/readings/run")
    return run


def work_until_some_batches_are_in(worker: psutil.Process, client: Client, run_id: str) -> None:
    """A moment at a time: it stands still while we look, so that it cannot end meanwhile."""

    def worked() -> float:
        spent = worker.cpu_times()
        return float(spent.user + spent.system)

    def some_are_in() -> bool:
        before = worked()
        worker.resume()
        eventually(lambda: worked() > before, pause=0.002)  # However long it waits for its turn.
        worker.suspend()
        run = client.get(f"/etl/runs/{run_id}")
        assert run["status"] == "in_progress", "it ended in a moment: give it more rows"
        return int(run["batches"]) >= 5

    eventually(some_are_in, pause=0.0)


def every_record_once(client: Client) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        params = {"source": "readings", "limit": 100} | ({"cursor": cursor} if cursor else {})
        page = client.get("/data", params=params)
        seen += [record["source_id"] for record in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert page["total_count"] == ROWS
    assert len(seen) == ROWS
    assert set(seen) == {str(n) for n in range(ROWS)}


def worker_of(server: Server) -> psutil.Process | None:
    children = psutil.Process(server.process.pid).children()
    return next((c for c in children if "astralytiq.worker" in " ".join(c.cmdline())), None)


@pytest.mark.parametrize("victim", ["server", "worker"])
def test_a_killed_run_goes_on_after_its_last_committed_batch(
    tmp_path: Path, database_url: str, victim: str
) -> None:
    home = tmp_path / "home"
    write_readings(home / "inbox" / "readings.csv", ROWS)
    with served(home, DATABASE_URL=database_url) as server, server.signed_in() as client:
        worker = eventually(lambda: worker_of(server))
        worker.suspend()
        run = start_run(client)
        work_until_some_batches_are_in(worker, client, run["run_id"])
        if victim == "worker":
            worker.kill()
            finish(client, run)
            return
        server.kill()
        worker.resume()
        eventually(lambda: not worker.is_running())  # It ends with its server.

    with served(home, DATABASE_URL=database_url) as server, server.signed_in() as client:
        finish(client, run)


def finish(client: Client, run: dict[str, Any]) -> None:
    """The same run goes on: not from its beginning, and each row is counted once."""
    job = ended(client, run["job_id"])
    assert job["attempts"] == 2
    done = client.get(f"/etl/runs/{run['run_id']}")
    assert done["status"] == "success"
    assert done["records_processed"] == done["records_inserted"] == ROWS
    assert done["batches"] == ROWS // BATCH
    every_record_once(client)
    again = client.post("/sources/readings/run")
    ended(client, again["job_id"])
    second = client.get(f"/etl/runs/{again['run_id']}")
    assert (second["records_processed"], second["records_inserted"]) == (ROWS, 0)
    assert second["records_updated"] == 0


def test_a_killed_training_is_tried_again_and_makes_one_version(
    tmp_path: Path, database_url: str
) -> None:
    home = tmp_path / "home"
    write_readings(home / "inbox" / "readings.csv", 3000)
    with served(home, DATABASE_URL=database_url) as server, server.signed_in() as client:
        ended(client, start_run(client)["job_id"])
        body = {"name": "readings", "from_records": {"source": "readings"}}
        made = client.post("/datasets", json=body)
        ended(client, made["job_id"])
        with FileLock(home / "mlflow.db.lock"):  # However quick it trains, it cannot end.
            asked = client.post(
                "/ml/train",
                json={
                    "algorithm": "random_forest",
                    "dataset_id": f"{made['id']}@1",
                    "target": "label",
                    "features": ["value"],
                    "params": {"n_estimators": 200},
                    "cv_folds": 20,  # so that it takes a while: a forest is there in a moment
                    "model_name": "readings_forest",
                },
            )
            eventually(lambda: client.get(f"/jobs/{asked['job_id']}")["progress"] > 0)
            assert client.get(f"/jobs/{asked['job_id']}")["status"] == "running"
            server.kill()

    with served(home, DATABASE_URL=database_url) as server, server.signed_in() as client:
        job = ended(client, asked["job_id"])
        assert job["attempts"] == 2
        versions = client.get("/models/readings_forest/versions")
        assert [version["version"] for version in versions] == [1]
