"""HTTP doors of the ingestion room."""

from .data import served
from .runs import etl
from .sources import sources

__all__ = ["etl", "served", "sources"]
