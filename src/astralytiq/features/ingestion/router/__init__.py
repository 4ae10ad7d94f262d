"""HTTP doors of the ingestion room."""

from . import checkpoints, observing, uploads  # noqa: F401 - their doors are on `etl` and `sources`
from .data import served
from .quality import etl
from .secrets import secrets
from .sources import sources

__all__ = ["etl", "secrets", "served", "sources"]
