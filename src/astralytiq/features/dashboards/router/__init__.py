"""Doors of the dashboards room."""

from .watching import live

__all__ = ["live"]
