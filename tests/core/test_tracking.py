"""Runs and model versions are written to a real MLflow store: a SQLite file of the test's own."""

import json
import logging
import math
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from astralytiq.core.tracking import TrackedRun, Tracker

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN = TrackedRun(
    experiment="drowsiness / winter",
    run_name="random_forest",
    params={"n_estimators": 100, "features": ["blink", "yawn"]},
    metrics={"accuracy": 0.93, "f1_score": 0.91},
    tags={"algorithm": "random_forest"},
    dataset_name="events",
    dataset_digest="0123456789abcdef" * 4,
    dataset_source="astralytiq:datasets/events@3",
    started_at=START,
    ended_at=START + timedelta(seconds=42),
)
MODEL = {"model/model.npz": b"arrays", "model/manifest.json": b"{}"}


def tracker_in(home: Path) -> Tracker:
    return Tracker(f"sqlite:///{home}/mlflow.db", home / "mlartifacts")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, as the 67 migrations take two seconds."""
    home = tmp_path_factory.mktemp("store")
    tracker_in(home).client()
    return home / "mlflow.db"


@pytest.fixture
def tracker(tmp_path: Path, empty_store: Path) -> Tracker:
    shutil.copy(empty_store, tmp_path)
    return tracker_in(tmp_path)


@pytest.fixture
def new_tracker(tmp_path: Path) -> Tracker:
    return tracker_in(tmp_path)


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ)
    )


def test_a_logged_run_is_found_with_its_params_metrics_tags_and_times(tracker: Tracker) -> None:
    run_id = tracker.log(RUN, job_id="7")
    found = tracker.client().get_run(run_id)
    assert found.data.params == {"n_estimators": "100", "features": "['blink', 'yawn']"}
    assert found.data.metrics == RUN.metrics
    assert found.data.tags["algorithm"] == "random_forest"
    assert found.info.status == "FINISHED"
    assert found.info.end_time - found.info.start_time == 42_000


def test_the_data_set_version_is_an_input_of_the_run(tracker: Tracker) -> None:
    found = tracker.client().get_run(tracker.log(RUN))
    assert found.inputs is not None
    (used,) = found.inputs.dataset_inputs
    assert used.dataset.name == "events"
    assert RUN.dataset_digest.startswith(used.dataset.digest)
    assert json.loads(used.dataset.source) == {"uri": RUN.dataset_source}
    assert {tag.key: tag.value for tag in used.tags}["astralytiq.digest"] == RUN.dataset_digest


def test_runs_are_listed_newest_first_with_the_name_of_their_experiment(tracker: Tracker) -> None:
    tracker.log(RUN)
    later = replace(RUN, experiment="other", started_at=START + timedelta(hours=1), ended_at=None)
    tracker.log(later)
    newest, oldest = tracker.runs()
    assert (newest["experiment"], oldest["experiment"]) == ("other", RUN.experiment)
    assert (oldest["start_time"], oldest["end_time"]) == (RUN.started_at, RUN.ended_at)
    assert oldest["run_name"] == "random_forest"
    assert len(tracker.runs(max_results=1)) == 1


def test_a_store_that_nobody_wrote_to_lists_no_runs_and_is_not_made(
    new_tracker: Tracker, tmp_path: Path
) -> None:
    assert new_tracker.runs() == []
    assert list(tmp_path.iterdir()) == []


def test_a_job_logged_twice_has_one_run(tracker: Tracker) -> None:
    first = tracker.log(RUN, job_id="7", artifacts=MODEL)
    assert tracker.log(RUN, job_id="7", artifacts=MODEL) == first
    assert len(tracker.runs()) == 1


def test_two_attempts_at_the_same_moment_have_one_run(tracker: Tracker) -> None:
    start = Barrier(4)

    def attempt() -> str:
        start.wait()
        return tracker.log(RUN, job_id="7")

    tracker.log(RUN)
    with ThreadPoolExecutor(4) as pool:
        ids = {run.result() for run in [pool.submit(attempt) for _ in range(4)]}
    assert len(ids) == 1
    assert len(tracker.runs()) == 2


def test_a_series_keeps_the_step_of_each_of_its_values(tracker: Tracker) -> None:
    series = {"cv_accuracy": {1: 0.9, 2: math.nan, 3: 0.8}}
    run_id = tracker.log(replace(RUN, series=series))
    history = tracker.client().get_metric_history(run_id, "cv_accuracy")
    assert [(one.step, one.value) for one in history] == [(1, 0.9), (3, 0.8)]
    found = tracker.client().get_run(run_id).data
    assert found.metrics["cv_accuracy"] == 0.8
    assert found.tags["astralytiq.skipped_metrics"] == "cv_accuracy"


def test_runs_without_a_job_are_each_their_own(tracker: Tracker) -> None:
    assert tracker.log(RUN) != tracker.log(RUN)


def test_a_failed_run_says_why_and_the_retry_completes_it(tracker: Tracker) -> None:
    failed = tracker.log(replace(RUN, metrics={}), job_id="7", failure="Disk full.")
    found = tracker.client().get_run(failed)
    assert (found.info.status, found.data.tags["astralytiq.failure"]) == ("FAILED", "Disk full.")
    assert tracker.log(RUN, job_id="7") == failed
    found = tracker.client().get_run(failed)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == RUN.metrics
    assert "astralytiq.failure" not in found.data.tags


def test_a_retry_with_other_params_starts_anew_because_params_never_change(
    tracker: Tracker,
) -> None:
    failed = tracker.log(RUN, job_id="7", failure="Disk full.")
    retried = tracker.log(replace(RUN, params={"n_estimators": 50}), job_id="7")
    assert retried != failed
    assert [run["run_id"] for run in tracker.runs()] == [retried]


def test_metrics_that_are_not_finite_are_left_out_and_named_in_a_tag(tracker: Tracker) -> None:
    run = replace(RUN, metrics={"accuracy": 0.9, "roc_auc": math.nan, "log_loss": math.inf})
    found = tracker.client().get_run(tracker.log(run))
    assert found.data.metrics == {"accuracy": 0.9}
    assert found.data.tags["astralytiq.skipped_metrics"] == "log_loss, roc_auc"


def test_more_than_one_batch_long_values_and_odd_names_are_logged(tracker: Tracker) -> None:
    params: dict[str, object] = {f"p{number}": number for number in range(250)}
    params["long"] = "x" * 10_000
    metrics = {f"m{number}": 0.5 for number in range(2500)} | {"recall >50K": 1.0}
    found = tracker.client().get_run(tracker.log(replace(RUN, params=params, metrics=metrics)))
    assert len(found.data.params) == 251
    assert len(found.data.params["long"]) == 6000
    assert len(found.data.metrics) == 2501
    assert found.data.metrics["recall _x3E_50K"] == 1.0


def test_artifacts_lie_below_the_root_and_no_path_of_it_is_in_the_store(
    tracker: Tracker, tmp_path: Path
) -> None:
    found = tracker.client().get_run(tracker.log(RUN, artifacts=MODEL))
    below = found.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    folder = tmp_path / "mlartifacts" / below
    assert {name: (folder / name).read_bytes() for name in MODEL} == MODEL
    assert tracker.file is not None
    assert str(tmp_path).encode() not in tracker.file.read_bytes()


@pytest.mark.parametrize("name", ["../outside", "/outside", "model/../../outside", ""])
def test_an_artifact_cannot_leave_its_run(tracker: Tracker, name: str) -> None:
    with pytest.raises(ValueError, match="path below its run"):
        tracker.log(RUN, artifacts={name: b""})


def test_artifacts_of_an_experiment_with_a_folder_of_its_own_go_there(
    tracker: Tracker, tmp_path: Path
) -> None:
    tracker.client().create_experiment("elsewhere", (tmp_path / "elsewhere").as_uri())
    run_id = tracker.log(replace(RUN, experiment="elsewhere"), artifacts=MODEL)
    stored = tmp_path / "elsewhere" / run_id / "artifacts/model/model.npz"
    assert stored.read_bytes() == b"arrays"


def test_an_experiment_in_the_trash_comes_back(tracker: Tracker) -> None:
    tracker.log(RUN)
    experiment = tracker.client().get_experiment_by_name(RUN.experiment)
    assert experiment is not None
    tracker.client().delete_experiment(experiment.experiment_id)
    run_id = tracker.log(RUN)
    assert tracker.client().get_run(run_id).info.experiment_id == experiment.experiment_id


def test_a_registered_version_is_read_by_its_alias(tracker: Tracker) -> None:
    run_id = tracker.log(RUN, artifacts=MODEL)
    tracker.register("drowsy", 1, run_id, alias="staging")
    found = tracker.client().get_model_version_by_alias("drowsy", "staging")
    run = tracker.client().get_run(run_id)
    assert (found.run_id, found.source) == (run_id, f"{run.info.artifact_uri}/model")
    assert found.tags == {"astralytiq.version": "1"}


def test_registering_again_makes_no_second_version(tracker: Tracker) -> None:
    run_id = tracker.log(RUN)
    assert tracker.register("drowsy", 1, run_id) == tracker.register("drowsy", 1, run_id) == "1"
    assert len(tracker.client().search_model_versions("name = 'drowsy'")) == 1


def test_an_alias_follows_our_version_even_where_mlflow_counts_differently(
    tracker: Tracker,
) -> None:
    run_id = tracker.log(RUN)
    tracker.register("drowsy", 1, run_id, alias="production")
    tracker.client().create_model_version("drowsy", "s3://bucket/of/another/client")
    assert tracker.register("drowsy", 2, run_id, alias="production") == "3"
    found = tracker.client().get_model_version_by_alias("drowsy", "production")
    assert str(found.version) == "3"


def test_a_deleted_alias_is_gone_and_deleting_it_again_is_no_error(tracker: Tracker) -> None:
    tracker.register("drowsy", 1, tracker.log(RUN), alias="staging")
    for _ in range(2):
        tracker.delete_alias("drowsy", "staging")
    tracker.delete_alias("no such model", "staging")
    model = tracker.client().get_registered_model("drowsy")
    assert model.aliases == {}


OPEN = """
import sys
from pathlib import Path
from threading import Barrier
from astralytiq.core.tracking import TrackedRun, Tracker
tracker = Tracker(f"sqlite:///{sys.argv[1]}/mlflow.db", Path(sys.argv[1]) / "mlartifacts")
tracker.log(TrackedRun("same", "run"), job_id=sys.argv[2])
"""


def test_two_processes_that_meet_a_new_home_at_once_both_succeed_and_are_quiet(
    new_tracker: Tracker, tmp_path: Path
) -> None:
    others = [python(OPEN, tmp_path, number) for number in range(2)]
    assert [(other.communicate()[0], other.returncode) for other in others] == [("", 0)] * 2
    assert {run["tags"]["astralytiq.job_id"] for run in new_tracker.runs()} == {"0", "1"}


def test_a_store_half_made_by_a_killed_process_is_made_again(
    new_tracker: Tracker, tmp_path: Path
) -> None:
    (tmp_path / "mlflow.db.new").write_bytes(b"half")
    assert new_tracker.log(RUN)
    assert {file.name for file in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_a_store_of_an_older_mlflow_is_upgraded_and_a_copy_kept(
    tracker: Tracker, tmp_path: Path
) -> None:
    run_id = tracker.log(RUN)
    older = step_back(tmp_path / "mlflow.db")
    assert [run["run_id"] for run in tracker_in(tmp_path).runs()] == [run_id]
    assert (tmp_path / f"mlflow.db.{older}.bak").exists()


def step_back(file: Path) -> str:
    from alembic import command  # noqa: PLC0415
    from mlflow.store.db import utils  # noqa: PLC0415

    engine = utils.create_sqlalchemy_engine(f"sqlite:///{file}")  # type: ignore[no-untyped-call]
    config = utils._get_alembic_config(f"sqlite:///{file}")  # type: ignore[no-untyped-call]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    revision = utils._get_schema_version(engine)  # type: ignore[no-untyped-call]
    engine.dispose()
    return str(revision)


def test_importing_the_module_does_not_import_mlflow() -> None:
    code = "import astralytiq.core.tracking, sys; print('mlflow' in sys.modules)"
    assert python(code).communicate()[0] == "False\n"


def test_mlflow_sends_no_telemetry_and_leaves_our_loggers_alone() -> None:
    code = """
import logging
from pathlib import Path
from threading import Barrier
from astralytiq.core.tracking import hush
hush()
import mlflow
from mlflow.telemetry.utils import is_telemetry_disabled
names = ("mlflow", "alembic", "sqlalchemy.engine")
print(is_telemetry_disabled(), [logging.getLogger(name).handlers for name in names])
"""
    assert python(code).communicate()[0] == "True [[], [], []]\n"


def test_mlflow_writes_no_line_to_the_log(
    new_tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        new_tracker.register("drowsy", 1, new_tracker.log(RUN, artifacts=MODEL))
    assert caplog.messages == []
