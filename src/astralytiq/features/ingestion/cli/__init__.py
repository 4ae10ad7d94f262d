"""Commands for sources, their runs, and the records they brought."""

from . import checkpoints as checkpoints
from . import files as files
from . import quality as quality
from . import uploads as uploads
from .records import data
from .runs import etl
from .secrets import secret
from .sources import source

__all__ = ["data", "etl", "secret", "source"]
