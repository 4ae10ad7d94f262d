"""Tables of the dashboards room."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Date, Float, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, Versioned


class DashboardStatus(StrEnum):
    draft = "draft"
    active = "active"
    archived = "archived"


class Dashboard(Versioned):
    """Views are counted past the mapping: they change neither its version nor its dates."""

    __tablename__ = "dashboards"

    name: Mapped[str]
    description: Mapped[str | None]
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"), index=True)
    private: Mapped[bool] = mapped_column(default=False)
    status: Mapped[DashboardStatus] = mapped_column(default=DashboardStatus.active)
    refresh_rate: Mapped[int]  # seconds
    widgets: Mapped[list[Any]]  # as schemas.Widget has them
    views_total: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    views_of_day: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    viewed_on: Mapped[date | None] = mapped_column(Date)


class FigureSample(Base):
    """What a figure was at the beginning of a minute."""

    __tablename__ = "figure_samples"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's own declaration

    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(Float)


class DayCount(Base):
    """How often something happened on a day (UTC), added up over all processes."""

    __tablename__ = "day_counts"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    name: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
