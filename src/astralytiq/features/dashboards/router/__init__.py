"""Doors of the dashboards room."""

from .dashboards import dashboards
from .metrics import metrics
from .watching import live

__all__ = ["dashboards", "live", "metrics"]
