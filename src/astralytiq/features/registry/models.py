"""Tables of the model registry."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Entity, Json, Versioned


class Stage(StrEnum):
    none = "none"
    staging = "staging"
    production = "production"
    archived = "archived"


IN_PRODUCTION = text("stage = 'production'")


class Model(Versioned):
    """A name under which versions are trained, promoted and served."""

    __tablename__ = "models"

    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    latest: Mapped[int] = mapped_column(default=0)


class ModelVersion(Entity):
    """What was trained, from what, and how good it is. Only its stage and counters change."""

    __tablename__ = "model_versions"
    __table_args__ = (
        UniqueConstraint("model_id", "number"),
        UniqueConstraint("model_id", "mlflow_version"),
        Index(
            "uq_model_versions_production",
            "model_id",
            unique=True,
            sqlite_where=IN_PRODUCTION,
            postgresql_where=IN_PRODUCTION,
        ),
    )

    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    number: Mapped[int]
    algorithm: Mapped[str]
    task: Mapped[str]
    params: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]  # accuracy, precision, recall, f1_score
    # {confusion_matrix, importances, train_rows, test_rows, test_size}
    evaluation: Mapped[dict[str, Any]]
    features: Mapped[list[Any]]  # the signature: [{name, type}]
    target: Mapped[str]
    classes: Mapped[list[Any]]
    # The data-set room stands beside this one: its tables are named, not imported. Versions that
    # were not trained here have no data set version, job or seed.
    dataset_version_id: Mapped[int | None] = mapped_column(ForeignKey("dataset_versions.id"))
    dataset: Mapped[str]  # "7@2"
    seed: Mapped[int | None] = mapped_column(BigInteger)
    code_version: Mapped[str]
    storage_key: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    # {astralytiq, python, system, kernels, packages}; None of versions from before it was kept.
    environment: Mapped[dict[str, Any] | None] = mapped_column(Json)
    mlflow_run_id: Mapped[str | None]
    mlflow_version: Mapped[str | None]  # MLflow's number of one that its client registered
    job_id: Mapped[str | None] = mapped_column(unique=True)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    stage: Mapped[Stage] = mapped_column(default=Stage.none)
    deployed_at: Mapped[datetime | None]
    # When it was last found wanting in production: no roll-back returns to it until it is deployed
    # again.
    rolled_back_at: Mapped[datetime | None]
    # Requests answered, how many of them before it was deployed, and the milliseconds they took.
    served_count: Mapped[int] = mapped_column(BigInteger, default=0)
    served_before: Mapped[int] = mapped_column(BigInteger, default=0)
    served_ms: Mapped[float] = mapped_column(Float, default=0.0)
