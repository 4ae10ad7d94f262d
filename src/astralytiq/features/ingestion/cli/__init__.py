"""Commands for sources, their runs, and the records they brought."""

from . import files as files
from . import quality as quality
from .records import data
from .runs import etl
from .sources import source

__all__ = ["data", "etl", "source"]
