"""HTTP doors of the ingestion room."""

from . import observing  # noqa: F401 - its doors are on `etl`
from .data import served
from .quality import etl
from .sources import sources

__all__ = ["etl", "served", "sources"]
