"""A training job ends in a registered version and an MLflow run, or says why it cannot."""

import asyncio
import time
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, update

from astralytiq.core.db import Database
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job, JobCancelled, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.tracking import Tracker
from astralytiq.engines.models.contract import BadTraining
from astralytiq.engines.models.trees import TreeAdapter
from astralytiq.features.registry.models import ModelVersion
from astralytiq.features.training import fitting
from tests.conftest import RunJobs, SignIn
from tests.factories import folder_of
from tests.features.datasets.factories import CSV, upload
from tests.patience import PATIENCE, until

pytestmark = pytest.mark.anyio


class Lab:
    """A data scientist at work."""

    def __init__(self, client: httpx2.AsyncClient, run_jobs: RunJobs) -> None:
        self.client = client
        self.run_jobs = run_jobs

    async def ask(self, content: str = CSV, **change: Any) -> str:
        dataset_id = (await upload(self.client, content)).json()["id"]
        body = {
            "algorithm": "random_forest",
            "dataset_id": dataset_id,
            "target": "species",
            "params": {"n_estimators": 5},
            "model_name": "flowers",
            **change,
        }
        answer = await self.client.post("/api/v1/ml/train", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    async def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/api/v1/jobs/{job_id}")).json()
        return found

    async def train(self, content: str = CSV, **change: Any) -> dict[str, Any]:
        job_id = await self.ask(content, **change)
        await self.run_jobs()
        return await self.job(job_id)

    async def version(self, number: int) -> dict[str, Any]:
        url = f"/api/v1/models/flowers/versions/{number}"
        found: dict[str, Any] = (await self.client.get(url)).json()
        return found


@pytest.fixture
async def lab(sign_in: SignIn, run_jobs: RunJobs, mlflow: Tracker) -> Lab:
    return Lab(await sign_in(Role.data_scientist), run_jobs)


@pytest.mark.parametrize("algorithm", ["random_forest", "decision_tree"])
async def test_a_job_ends_in_a_version_and_a_run(
    lab: Lab, mlflow: Tracker, algorithm: str, resources: Resources
) -> None:
    job = await lab.train(algorithm=algorithm, params={"max_depth": 4}, experiment="garden")
    assert (job["status"], job["progress"]) == ("succeeded", 1.0)
    result = job["result"]
    assert (result["model"], result["version"]) == ("flowers", 1)
    version = await lab.version(1)
    assert version["metrics"] == result["metrics"]
    assert version["metrics"]["accuracy"] > 0.8
    evaluation = version["evaluation"]
    assert (evaluation["train_rows"], evaluation["test_rows"]) == (45, 15)
    assert sum(map(sum, evaluation["confusion_matrix"])) == 15
    assert set(evaluation["importances"]) == {"length", "width"}
    assert (version["params"]["max_depth"], version["stage"]) == (4, "none")

    (run,) = mlflow.runs()
    assert (run["run_id"], run["experiment"]) == (result["mlflow_run_id"], "garden")
    assert run["metrics"] == result["metrics"]
    assert run["params"]["max_depth"] == "4"
    assert run["tags"]["dataset"] == result["dataset"]
    artifacts = list(mlflow.artifact_root.rglob("model.bin"))
    stored = resources.storage.get(await stored_key(resources))
    assert [path.read_bytes() for path in artifacts] == [stored]


async def test_clusters_are_found_without_a_target_and_serve(lab: Lab) -> None:
    asked: dict[str, Any] = {
        "algorithm": "kmeans",
        "target": None,
        "params": {"n_clusters": 3},
        "seed": 1,
    }
    job = await lab.train(**asked)
    assert job["status"] == "succeeded", job["error"]
    version = await lab.version(1)
    assert (version["task"], version["target"], version["classes"]) == ("clustering", "", [0, 1, 2])
    assert set(version["metrics"]) == {"inertia", "silhouette"}
    evaluation = version["evaluation"]
    assert (evaluation["train_rows"], evaluation["test_rows"]) == (60, 0)
    assert sum(evaluation["cluster_sizes"]) == 60
    await lab.client.post("/api/v1/models/flowers/versions/1/stage", json={"stage": "production"})
    rows = {"instances": evaluation["cluster_centres"]}
    answer = (await lab.client.post("/api/v1/models/flowers/predict", json=rows)).json()
    assert (answer["predictions"], answer["probabilities"]) == ([0, 1, 2], [])
    await lab.client.post("/api/v1/models/flowers/versions/1/reproduce")
    await lab.run_jobs()
    (last, *_) = (await lab.client.get("/api/v1/jobs")).json()
    assert last["result"]["reproduced"] is True


async def test_a_target_of_numbers_is_learnt_and_predicted(lab: Lab) -> None:
    asked: dict[str, Any] = {"algorithm": "linear_regression", "params": {}, "cv_folds": 2}
    rows = "".join(f"{n},{n % 7},{3 * n + 1}\n" for n in range(40))
    job = await lab.train("length,width,price\n" + rows, target="price", **asked)
    assert job["status"] == "succeeded", job["error"]
    version = await lab.version(1)
    assert (version["task"], version["classes"]) == ("regression", [])
    answers = version["evaluation"]["predicted"]  # What later answers are watched beside.
    assert answers["up_to"][-1] == version["evaluation"]["test_rows"]
    assert version["metrics"]["r2"] == pytest.approx(1)
    assert set(version["evaluation"]["cross_validation"]["metrics"]) == {"r2", "rmse", "mae"}
    await lab.client.post("/api/v1/models/flowers/versions/1/stage", json={"stage": "production"})
    given = {"records": [{"length": 100, "width": 0}]}
    answer = (await lab.client.post("/api/v1/models/flowers/predict", json=given)).json()
    assert answer["predictions"] == [pytest.approx(301)]
    assert (answer["probabilities"], answer["classes"]) == ([], [])


def steps(mlflow: Tracker, run_id: str, name: str) -> dict[int, float]:
    return {one.step: one.value for one in mlflow.client().get_metric_history(run_id, name)}


async def test_cross_validation_is_told_beside_the_test(lab: Lab, mlflow: Tracker) -> None:
    for folds in (3, 3, None):
        assert (await lab.train(cv_folds=folds, seed=2))["status"] == "succeeded"
    first, again, without = [await lab.version(number) for number in (1, 2, 3)]
    found = first["evaluation"]["cross_validation"]
    assert found == again["evaluation"]["cross_validation"]
    assert (found["folds"], len(found["scores"])) == (3, 3)
    scores = [score["accuracy"] for score in found["scores"]]
    assert found["metrics"]["accuracy"]["mean"] == pytest.approx(sum(scores) / 3)
    assert found["metrics"]["accuracy"]["std"] >= 0
    tracked = mlflow.client().get_run(first["mlflow_run_id"]).data.metrics
    assert tracked["cv_accuracy_mean"] == found["metrics"]["accuracy"]["mean"]
    assert tracked["cv_accuracy_std"] == found["metrics"]["accuracy"]["std"]
    by_fold = steps(mlflow, first["mlflow_run_id"], "cv_accuracy")
    assert by_fold == dict(enumerate(scores, start=1))
    assert "cross_validation" not in without["evaluation"]
    assert first["sha256"] == without["sha256"]  # The model is that of all training rows.
    (curve,) = first["evaluation"]["curves"]
    assert (curve["class"], curve["auc"]) == ("virginica", first["metrics"]["roc_auc"])


@pytest.mark.parametrize(
    "search",
    [
        {"grid": {"max_depth": [1, 4], "min_samples_leaf": [40, 1]}},
        {"random": {"max_depth": [1, 4], "min_samples_leaf": [40, 1], "n_iter": 100}},
    ],
)
async def test_a_search_takes_the_params_that_do_best_on_training_rows(
    lab: Lab, search: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {"algorithm": "decision_tree", "seed": 1, "cv_folds": 3}
    job = await lab.train(params={"criterion": "entropy"}, search=search, **asked)
    assert job["status"] == "succeeded", job["error"]
    version = await lab.version(1)
    found = version["evaluation"]["search"]
    assert (found["metric"], found["folds"], len(found["candidates"])) == ("accuracy", 3, 4)
    best = found["candidates"][found["best"]]
    assert best["params"]["min_samples_leaf"] == 1  # 40 rows on both sides are more than all
    means = [candidate["metrics"]["accuracy"]["mean"] for candidate in found["candidates"]]
    assert max(means) == best["metrics"]["accuracy"]["mean"] > min(means)
    assert version["evaluation"]["cross_validation"]["metrics"] == best["metrics"]
    used = {name: version["params"][name] for name in ("criterion", *best["params"])}
    assert used == {"criterion": "entropy", **best["params"]}
    await lab.train(params=used, **{**asked, "cv_folds": None})
    assert (await lab.version(2))["sha256"] == version["sha256"]


async def test_a_candidate_that_cannot_be_trained_leaves_the_others_their_chance(
    lab: Lab, mlflow: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TreeAdapter.train

    def train(self: TreeAdapter, x: Any, y: Any, params: dict[str, Any], *more: Any) -> Any:
        if params["max_depth"] == 9:
            raise BadTraining("Nine is too deep.")
        return real(self, x, y, params, *more)

    monkeypatch.setattr(TreeAdapter, "train", train)
    asked: dict[str, Any] = {"algorithm": "decision_tree", "params": {}}
    job = await lab.train(search={"grid": {"max_depth": [9, 2]}}, **asked)
    assert job["status"] == "succeeded", job["error"]
    version = await lab.version(1)
    bad, good = version["evaluation"]["search"]["candidates"]
    assert (bad["error"], bad["metrics"]) == ("Nine is too deep.", {})
    assert (good["params"], version["params"]["max_depth"]) == ({"max_depth": 2}, 2)
    by_candidate = steps(mlflow, version["mlflow_run_id"], "search_accuracy_mean")
    assert by_candidate == {2: good["metrics"]["accuracy"]["mean"]}
    job = await lab.train(search={"grid": {"max_depth": [9]}}, **asked)
    assert job["status"] == "failed"
    assert "None of 1 candidates can be trained: Nine is too deep." in job["error"]


async def test_a_training_stops_between_two_folds(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []

    def report(self: Work, progress: float, phase: str, message: str = "") -> None:
        told.append((phase, message))
        if phase == "fold 2 of 3":
            raise JobCancelled(self.claim.id)

    monkeypatch.setattr(Work, "report", report)
    job = await lab.train(cv_folds=3, algorithm="decision_tree", params={})
    assert job["status"] == "cancelled"
    assert [phase for phase, _ in told] == ["reading", "fold 1 of 3", "fold 2 of 3"]
    assert told[1][1] == "0 of 1 trees"
    told.clear()
    asked = {"grid": {"max_depth": [1, 2]}}
    await lab.train(cv_folds=3, algorithm="decision_tree", params={}, search=asked)
    assert told[1][1] == "candidate 1 of 2, 0 of 1 trees"


async def stored_key(resources: Resources) -> str:
    async with resources.database.reading() as session:
        return (await session.scalars(select(ModelVersion.storage_key))).one()


async def test_the_same_data_params_and_seed_give_the_same_bytes(lab: Lab) -> None:
    for seed in (3, 3, 4):
        assert (await lab.train(seed=seed))["status"] == "succeeded"
    first, again, other = [await lab.version(number) for number in (1, 2, 3)]
    assert first["sha256"] == again["sha256"] != other["sha256"]
    assert first["metrics"] == again["metrics"]


async def test_a_job_that_runs_twice_registers_one_version(
    lab: Lab, mlflow: Tracker, database: Database
) -> None:
    before = await lab.train()

    async def queue_again(session: Any) -> None:
        again = update(Job).values(status=JobStatus.queued, result=None)
        await session.execute(again.where(Job.id == before["job_id"]))

    await database.write(queue_again)
    await lab.run_jobs()
    after = await lab.job(before["job_id"])
    assert (after["result"], after["attempts"]) == (before["result"], 2)
    assert len(mlflow.runs()) == 1
    async with database.reading() as session:
        assert await session.scalar(select(func.count(ModelVersion.id))) == 1


async def test_a_retry_after_mlflow_was_away_does_not_train_again(
    lab: Lab, mlflow: Tracker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> str:
        raise ConnectionError("MLflow is away.")

    job_id = await lab.ask()
    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "log", away)
        await lab.run_jobs()
    waiting = await lab.job(job_id)
    assert waiting["status"] == "queued"
    assert "the model is kept" in waiting["error"]

    def train_again(*_: Any) -> None:
        raise AssertionError("The checkpoint holds the model already.")

    monkeypatch.setattr(fitting, "train", train_again)

    async def no_more_waiting(session: Any) -> None:
        await session.execute(update(Job).values(run_at=Job.created_at))

    await database.write(no_more_waiting)
    await lab.run_jobs()
    assert (await lab.job(job_id))["status"] == "succeeded"


@pytest.mark.parametrize(
    ("content", "change", "words"),
    [
        (CSV + ",1,setosa\n2,1,\n", {}, "length: 1, species: 1"),
        (CSV + "inf,1,setosa\n", {}, "length: 1"),
        ("length,species\n1,a\n2,a\n", {}, "single value"),
        ("length,species\n1,a\n2,b\n", {}, "too few"),
        (CSV, {"cv_folds": 20, "test_size": 0.9}, "too few for 20 folds"),
        ("length,species\n1,0.5\n2,1.5\n1,0.5\n2,1.5\n", {"test_size": 0.5}, "continuous"),
        ("x,species\n" + "".join(f"1,{n}\n" for n in range(2000)), {}, "2000 different values"),
    ],
)
async def test_data_that_cannot_be_learnt_from_end_the_job_with_the_reason(
    lab: Lab, content: str, change: dict[str, Any], words: str
) -> None:
    job = await lab.train(content, **change)
    assert (job["status"], job["attempts"]) == ("failed", 1)
    assert words in job["error"]
    assert (await lab.client.get("/api/v1/models")).json() == []


async def test_a_damaged_data_set_is_not_trained_on(lab: Lab, resources: Resources) -> None:
    job_id = await lab.ask()
    (path,) = (folder_of(resources) / "datasets").glob("*.parquet")
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    await lab.run_jobs()
    job = await lab.job(job_id)
    assert (job["status"], "damaged" in job["error"]) == ("failed", True)


async def test_a_training_tells_its_progress_and_stops_between_two_trees(
    lab: Lab, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await lab.ask(params={"n_estimators": 100})
    monkeypatch.setattr("astralytiq.core.executor.REPORT_SECONDS", 0.01)
    report = Work.report

    def again_and_again(self: Work, progress: float, phase: str, message: str = "") -> None:
        """Until it hears of the cancel, once some trees are grown."""
        report(self, progress, phase, message)
        ends = time.monotonic() + PATIENCE
        while phase == "training" and not message.startswith("0 ") and time.monotonic() < ends:
            time.sleep(0.01)
            report(self, progress, phase, message)

    monkeypatch.setattr(Work, "report", again_and_again)

    async def cancel_while_training() -> None:
        async def trees_are_told() -> bool:
            job = await lab.job(job_id)
            return job["phase"] == "training" and not job["message"].startswith("0 ")

        await until(trees_are_told)
        await lab.client.post(f"/api/v1/jobs/{job_id}/cancel")

    await asyncio.gather(lab.run_jobs(), cancel_while_training())
    job = await lab.job(job_id)
    assert job["status"] == "cancelled"
    assert 0.05 < job["progress"] < 0.85
    assert "of 100 trees" in job["message"]
    async with database.reading() as session:
        assert await session.scalar(select(func.count(ModelVersion.id))) == 0
