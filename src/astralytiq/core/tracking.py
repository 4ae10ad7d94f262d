"""Training runs and model versions, kept in a real MLflow store that is written in process."""

import json
import logging
import math
import os
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypedDict

from filelock import FileLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SADeprecationWarning

from astralytiq.core.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run, RunTag

JOB_TAG = "astralytiq.job_id"
FAILURE_TAG = "astralytiq.failure"
SKIPPED_TAG = "astralytiq.skipped_metrics"
VERSION_TAG = "astralytiq.version"

PROXIED = "mlflow-artifacts:/"
LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG, LONGEST_DIGEST = 250, 6000, 5000, 36
MOST_EXPERIMENTS = 50_000  # MLflow's own limit of one page
LOCK_SECONDS = 300.0


@dataclass(frozen=True)
class TrackedRun:
    """Everything known of one training that has ended."""

    experiment: str
    run_name: str
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset_name: str = ""
    dataset_digest: str = ""
    dataset_source: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


class RunSummary(TypedDict):
    """One line of `GET /mlflow/runs`."""

    run_id: str
    run_name: str
    experiment: str
    status: str
    start_time: datetime | None
    end_time: datetime | None
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]


class Tracker:
    """One MLflow store: a SQLite file, another database, or a tracking server.

    Every method blocks, and the first call of a process imports MLflow: call from a thread.
    `artifact_root` is where the runs' files lie, and what an MLflow server on the same store
    must be given as its artifacts destination.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path) -> None:
        self.uri = tracking_uri
        self.artifact_root = artifact_root
        self.file = _sqlite_file(tracking_uri)
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
        return [_summary(run, names) for run in found]

    def client(self) -> "MlflowClient":
        """The store's client; the first call makes the store."""
        if self._client is None:
            Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                self._client = self._client or self._open()
        return self._client

    def _open(self) -> "MlflowClient":
        hush()
        from mlflow import MlflowClient  # noqa: PLC0415  # 3 s: never on the start path

        if self.file and not self.file.exists():
            _create(self.file)
        elif self.file:
            _upgrade(self.file)
        return MlflowClient(self.uri, registry_uri=self.uri)

    def _run_of(self, client: "MlflowClient", run: TrackedRun, job_id: str | None) -> "Run":
        experiment_id = _experiment_id(client, run.experiment, proxied=not self._is_server())
        if job_id is not None and (found := _earlier_run(client, experiment_id, job_id, run)):
            return found
        tags = {} if job_id is None else {JOB_TAG: job_id}
        started = _millis(run.started_at or run.ended_at or datetime.now(UTC))
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
        ended = _millis(run.ended_at or datetime.now(UTC))
        metrics, params = _metrics(run, ended), _params(run)
        client.log_batch(run_id, metrics, params, _tags(run, failure))
        _log_dataset(client, run_id, run)
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


def _sqlite_file(uri: str) -> Path | None:
    database = make_url(uri).database if uri.startswith("sqlite") else None
    return Path(database).absolute() if database else None


def hush() -> None:
    """No telemetry, nothing on stdout, no handlers of MLflow's on our loggers, only warnings.

    To be called before the first import of MLflow, which reads these variables.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # A silent server costs seconds, not MLflow's minutes: jobs have retries of their own.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Raised by MLflow's own tables under SQLAlchemy 2.1.
    warnings.filterwarnings("ignore", "The ``noload`` loader", SADeprecationWarning)


def _create(file: Path) -> None:
    """Make the schema beside its place and move it there whole: a kill leaves no half of one."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    # Locations without a folder in them: home may move, and clients may come through a server.
    stores = import_module("mlflow.store.tracking.sqlalchemy_store")  # 3 s
    store = stores.SqlAlchemyStore(f"sqlite:///{fresh}", PROXIED)
    store.engine.dispose()
    fresh.replace(file)


def _upgrade(file: Path) -> None:
    """Bring a file of an older MLflow up to date, which MLflow itself refuses to do unasked."""
    utils = import_module("mlflow.store.db.utils")  # 3 s
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{file}")
    revision = utils._get_schema_version(engine)
    if revision != utils._get_latest_schema_revision():
        _copy(file, file.with_name(f"{file.name}.{revision}.bak"))
        utils._upgrade_db(engine)
    engine.dispose()


def _copy(file: Path, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as database:
        database.execute("VACUUM INTO ?", (str(copy),))  # whole, though others may be writing


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
    params = {param.key: param.value for param in _params(run)}
    job = f"tags.`{JOB_TAG}` = '{job_id}'"
    for found in client.search_runs([experiment_id], job, max_results=1):
        if found.info.status == "FINISHED" or found.data.params.items() <= params.items():
            return found
        client.delete_run(found.info.run_id)  # Parameters never change in MLflow: to the trash.
    return None


def _metrics(run: TrackedRun, at: int) -> "list[Metric]":
    """Only finite ones: databases have no NaN, and MLflow would show 0 or 1.8e308 instead."""
    from mlflow.entities import Metric  # noqa: PLC0415  # 3 s

    finite = {key: float(value) for key, value in run.metrics.items() if math.isfinite(value)}
    return [Metric(_key(key), value, at, 0) for key, value in finite.items()]


def _params(run: TrackedRun) -> "list[Param]":
    from mlflow.entities import Param  # noqa: PLC0415  # 3 s

    return [Param(_key(key), _cut(str(value))) for key, value in run.params.items()]


def _tags(run: TrackedRun, failure: str | None) -> "list[RunTag]":
    from mlflow.entities import RunTag  # noqa: PLC0415  # 3 s

    tags = {_key(key): value for key, value in run.tags.items()}
    if skipped := sorted(key for key, value in run.metrics.items() if not math.isfinite(value)):
        tags[SKIPPED_TAG] = ", ".join(skipped)
    if failure is not None:
        tags[FAILURE_TAG] = failure
    return [RunTag(key, value[:LONGEST_TAG]) for key, value in tags.items()]


def _log_dataset(client: "MlflowClient", run_id: str, run: TrackedRun) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415  # 3 s

    if not run.dataset_name:
        return
    source = json.dumps({"uri": run.dataset_source})
    digest = run.dataset_digest[:LONGEST_DIGEST]  # MLflow's column; the whole one is a tag.
    tags = [
        InputTag("mlflow.data.context", "training"),
        InputTag("astralytiq.digest", run.dataset_digest),
    ]
    dataset = Dataset(run.dataset_name, digest, "astralytiq", source)
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])


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


def _summary(run: "Run", experiments: Mapping[str, str]) -> RunSummary:
    return RunSummary(
        run_id=run.info.run_id,
        run_name=run.info.run_name or "",
        experiment=experiments.get(run.info.experiment_id, ""),
        status=run.info.status,
        start_time=_moment(run.info.start_time),
        end_time=_moment(run.info.end_time),
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        tags=dict(run.data.tags),
    )


def _key(name: str) -> str:
    """MLflow takes letters, digits and `/_-.: `; anything else keeps its code (`>` is `_x3E_`)."""
    return re.sub(r"[^/\w.\- :]", lambda odd: f"_x{ord(odd[0]):X}_", name)[:LONGEST_KEY]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_PARAM else f"{text[: LONGEST_PARAM - 1]}…"


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(millis: int | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)
