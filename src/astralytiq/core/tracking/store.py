"""The one writer of an MLflow store: runs, their files, and model versions."""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from filelock import FileLock

from astralytiq.core.settings import Settings

from . import opening
from .entities import (
    FAILURE_TAG,
    JOB_TAG,
    VERSION_TAG,
    RunSummary,
    TrackedRun,
    inputs_of,
    metrics_of,
    millis,
    params_of,
    summary,
    tags_of,
)
from .opening import PROXIED

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MOST_EXPERIMENTS = 50_000  # MLflow's own limit of one page
LOCK_SECONDS = 300.0


class Tracker:
    """One MLflow store: a SQLite file, another database, or a tracking server.

    Every method blocks, and the first call of a process imports MLflow: call from a thread.
    `artifact_root` is where the runs' files lie, and what an MLflow server on the same store
    must be given as its artifacts destination.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path) -> None:
        self.uri = tracking_uri
        self.artifact_root = artifact_root
        self.file = opening.sqlite_file(tracking_uri)
        self._lock = FileLock(f"{self.file or artifact_root / 'mlflow'}.lock", LOCK_SECONDS)
        self._client: MlflowClient | None = None

    def log(
        self,
        run: TrackedRun,
        *,
        job_id: str | None = None,
        artifacts: Mapping[str, bytes] | None = None,
        failure: str | None = None,
    ) -> str:
        """Write the run and return its MLflow id.

        A job has one run: a retry completes the run that an earlier attempt began or failed,
        and leaves a finished one as it is. `failure` is the reason why the training failed.
        """
        client = self.client()
        with self._lock:  # To the end: two attempts at one moment must not write one run.
            found = self._run_of(client, run, job_id)
            if found.info.status != "FINISHED":
                self._write(client, found, run, artifacts or {}, failure)
        return str(found.info.run_id)

    def register(
        self,
        name: str,
        version: int,
        mlflow_run_id: str,
        *,
        alias: str | None = None,
        folder: str = "model",
    ) -> str:
        """Register the run's artifacts in `folder` as our version; returns MLflow's number.

        MLflow counts for itself, so ours is a tag; registering a version again changes nothing.
        """
        client = self.client()
        with self._lock:
            _ensure_model(client, name)
            number = _number_of(client, name, version)
            if number is None:
                source = f"{client.get_run(mlflow_run_id).info.artifact_uri}/{folder}"
                tags = {VERSION_TAG: str(version)}
                made = client.create_model_version(name, source, mlflow_run_id, tags=tags)
                number = str(made.version)
        if alias:
            client.set_registered_model_alias(name, alias, number)
        return number

    def set_alias(self, name: str, alias: str, number: str) -> None:
        """For a version that MLflow's own client registered; `number` is MLflow's."""
        if self.client().search_model_versions(f"name = '{name}' and version_number = {number}"):
            self.client().set_registered_model_alias(name, alias, number)

    def delete_alias(self, name: str, alias: str) -> None:
        """Without complaint when the model or the alias is not there."""
        if _model_exists(self.client(), name):
            self.client().delete_registered_model_alias(name, alias)

    def runs(self, max_results: int = 100) -> list[RunSummary]:
        """The newest runs of all experiments, those of other MLflow clients included."""
        if self.file and not self.file.exists():
            return []  # Nothing was ever trained: not worth importing MLflow for.
        client = self.client()
        names = {
            str(experiment.experiment_id): str(experiment.name)
            for experiment in client.search_experiments(max_results=MOST_EXPERIMENTS)
        }
        newest = ["attributes.start_time DESC"]
        found = client.search_runs(list(names), max_results=max_results, order_by=newest)
        return [summary(run, names) for run in found]

    def tags_of_job(self, job_id: str) -> tuple[str, dict[str, str]] | None:
        """The id and the tags of the run that was logged for it, in whatever experiment."""
        client = self.client()
        every = [
            str(one.experiment_id)
            for one in client.search_experiments(max_results=MOST_EXPERIMENTS)
        ]
        asked = f"tags.`{JOB_TAG}` = '{job_id}'"
        for found in client.search_runs(every, asked, max_results=1):
            return str(found.info.run_id), dict(found.data.tags)
        return None

    def client(self) -> "MlflowClient":
        """The store's client; the first call makes the store."""
        if self._client is None:
            Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                self._client = self._client or self._open()
        return self._client

    def _open(self) -> "MlflowClient":
        opening.hush()
        from mlflow import MlflowClient  # noqa: PLC0415  # 3 s: never on the start path

        if self.file and not self.file.exists():
            opening.create(self.file)
        elif self.file:
            opening.upgrade(self.file)
        return MlflowClient(self.uri, registry_uri=self.uri)

    def _run_of(self, client: "MlflowClient", run: TrackedRun, job_id: str | None) -> "Run":
        experiment_id = _experiment_id(client, run.experiment, proxied=not self._is_server())
        if job_id is not None and (found := _earlier_run(client, experiment_id, job_id, run)):
            return found
        tags = {} if job_id is None else {JOB_TAG: job_id}
        started = millis(run.started_at or run.ended_at or datetime.now(UTC))
        return client.create_run(experiment_id, started, tags, run.run_name)

    def _write(
        self,
        client: "MlflowClient",
        found: "Run",
        run: TrackedRun,
        artifacts: Mapping[str, bytes],
        failure: str | None,
    ) -> None:
        """The end comes last, so a finished run is a complete one."""
        run_id = found.info.run_id
        # The end, not the start: of two attempts MLflow shows the metrics with the later time.
        ended = millis(run.ended_at or datetime.now(UTC))
        metrics, params = metrics_of(run, ended), params_of(run)
        client.log_batch(run_id, metrics, params, tags_of(run, failure))
        if inputs := inputs_of(run):
            client.log_inputs(run_id, inputs)
        self._put(client, found, artifacts)
        if failure is None and FAILURE_TAG in found.data.tags:
            client.delete_tag(run_id, FAILURE_TAG)
        client.set_terminated(run_id, "FINISHED" if failure is None else "FAILED", ended)

    def _put(self, client: "MlflowClient", found: "Run", artifacts: Mapping[str, bytes]) -> None:
        uri = str(found.info.artifact_uri)
        if not artifacts:
            return
        if uri.startswith(PROXIED) and not self._is_server():
            _write_files(self.artifact_root / uri.removeprefix(PROXIED), artifacts)
            return
        with tempfile.TemporaryDirectory() as folder:
            _write_files(Path(folder), artifacts)
            client.log_artifacts(found.info.run_id, folder)

    def _is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))


def tracker(settings: Settings) -> Tracker:
    """The store that the settings name."""
    return _opened(settings.mlflow_uri, settings.home / "mlartifacts")


@cache
def _opened(uri: str, artifacts: Path) -> Tracker:
    """One of each store in a process: opening one costs seconds."""
    return Tracker(uri, artifacts)


def _experiment_id(client: "MlflowClient", name: str, *, proxied: bool) -> str:
    """Find or make it; one in the trash comes back. A server chooses the location itself."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # 3 s

    if found := client.get_experiment_by_name(name):
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    location = f"{PROXIED}{sha256(name.encode()).hexdigest()[:16]}" if proxied else None
    try:
        return str(client.create_experiment(name, location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return _experiment_id(client, name, proxied=proxied)  # Another process was quicker.


def _earlier_run(
    client: "MlflowClient", experiment_id: str, job_id: str, run: TrackedRun
) -> "Run | None":
    params = {param.key: param.value for param in params_of(run)}
    job = f"tags.`{JOB_TAG}` = '{job_id}'"
    for found in client.search_runs([experiment_id], job, max_results=1):
        if found.info.status == "FINISHED" or found.data.params.items() <= params.items():
            return found
        client.delete_run(found.info.run_id)  # Parameters never change in MLflow: to the trash.
    return None


def _write_files(folder: Path, artifacts: Mapping[str, bytes]) -> None:
    for name, content in artifacts.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"An artifact is named by a path below its run, not {name!r}.")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _ensure_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # 3 s

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _model_exists(client: "MlflowClient", name: str) -> bool:
    return bool(client.search_registered_models(f"name = '{name}'", max_results=1))


def _number_of(client: "MlflowClient", name: str, version: int) -> str | None:
    ours = f"name = '{name}' and tags.`{VERSION_TAG}` = '{version}'"
    return next((str(found.version) for found in client.search_model_versions(ours)), None)
