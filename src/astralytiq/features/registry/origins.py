"""What a model version was trained from, and where it went, as edges in the lineage."""

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import lineage
from astralytiq.core.lineage import Edge, Kind, Node

from .models import ModelVersion


async def connect_training(session: AsyncSession, name: str, version: ModelVersion) -> None:
    """Data set version, training run, model version: in the transaction that adds the last."""
    assert version.job_id  # Only what was trained comes here.
    training = Node(Kind.training_run, version.job_id)
    data = Node(Kind.dataset_version, version.dataset)
    trained = {"algorithm": version.algorithm, "seed": version.seed,
               "mlflow_run_id": version.mlflow_run_id}  # fmt: skip
    made = {"sha256": version.sha256, "metrics": version.metrics}
    await lineage.connect(
        session,
        [
            Edge(data, training, version.job_id, trained),
            Edge(training, node_of(name, version), version.job_id, made),
        ],
    )


async def connect_upload(
    session: AsyncSession, name: str, version: ModelVersion, sent: str
) -> None:
    """The file as it came, model version."""
    made = {"sha256": version.sha256, "algorithm": version.algorithm}
    edge = Edge(Node(Kind.upload, sent), node_of(name, version), version.job_id, made)
    await lineage.connect(session, [edge])


async def connect_deployment(session: AsyncSession, name: str, version: ModelVersion) -> None:
    """A version that goes into production again is the same deployment."""
    made = node_of(name, version)
    await lineage.connect(session, [Edge(made, Node(Kind.deployment, made.id))])


def node_of(name: str, version: ModelVersion) -> Node:
    return Node(Kind.model_version, f"{name}@{version.number}")
