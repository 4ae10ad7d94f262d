"""The table of the predictions room."""

from datetime import datetime
from typing import Any

from sqlalchemy import Float, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, new_id, utc_now


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
