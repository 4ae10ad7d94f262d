"""Tables of the predictions room."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, BigId, Entity, Json, new_id, utc_now

RUNNING = text("ended_at IS NULL")


class Prediction(Base):
    """One predict request: what came in, what went out, and from which model version."""

    __tablename__ = "predictions"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    # The registry is another room: its table is named, not imported.
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    model: Mapped[str]
    version: Mapped[int]
    inputs: Mapped[dict[str, Any]]  # {columns, data}
    outputs: Mapped[dict[str, Any]]  # {predictions, probabilities, classes}
    rows: Mapped[int]
    latency_ms: Mapped[float] = mapped_column(Float)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)


class Uncounted(Base):
    """Predictions that `prediction_hours` does not hold yet, stored with them.

    A mark of how far has been counted could pass by what is committed late: this cannot.
    """

    __tablename__ = "predictions_uncounted"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - a number is never used twice

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    ids: Mapped[str] = mapped_column(Text)  # of predictions, with commas between
    rows: Mapped[int]


class PredictionHour(Base):
    """What a version answered within an hour, counted: it stays when the predictions go."""

    __tablename__ = "prediction_hours"

    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    statistics: Mapped[dict[str, Any]]  # tallies.Statistics


class QualityHour(Base):
    """How the answers of an hour fit the truth that was told of them since."""

    __tablename__ = "prediction_quality_hours"

    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    statistics: Mapped[dict[str, Any]]  # tallies.Quality


class Outcome(Base):
    """What was true in the end of a row that was predicted."""

    __tablename__ = "prediction_outcomes"

    prediction_id: Mapped[str] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
    )
    row: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    predicted: Mapped[Any] = mapped_column(Json, nullable=False)
    outcome: Mapped[Any] = mapped_column(Json, nullable=False)
    observed_at: Mapped[datetime]
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    told_at: Mapped[datetime] = mapped_column(default=utc_now)
    # The outcomes told before this one, the newest last: [{outcome, observed_at, told_at}]
    before: Mapped[list[Any]] = mapped_column(default=list, server_default=text("'[]'"))


class Shadow(Entity):
    """A challenger that scores what its model's production version answers; nobody is told."""

    __tablename__ = "shadows"
    __table_args__ = (
        Index(
            "uq_shadows_running",
            "model_id",
            unique=True,
            sqlite_where=RUNNING,
            postgresql_where=RUNNING,
        ),
    )

    # The registry is another room: its tables are named, not imported.
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), index=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    share: Mapped[float] = mapped_column(Float)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    ended_at: Mapped[datetime | None]


class ShadowResult(Base):
    """What the challenger would have answered."""

    __tablename__ = "shadow_results"

    prediction_id: Mapped[str] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
    )
    shadow_id: Mapped[int] = mapped_column(ForeignKey("shadows.id"), primary_key=True)
    predictions: Mapped[list[Any]]
    latency_us: Mapped[int] = mapped_column(BigInteger)


class ShadowTally(Base):
    """A challenger beside one champion, counted."""

    __tablename__ = "shadow_tallies"

    shadow_id: Mapped[int] = mapped_column(ForeignKey("shadows.id"), primary_key=True)
    champion_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    statistics: Mapped[dict[str, Any]]  # tallies.Comparison
