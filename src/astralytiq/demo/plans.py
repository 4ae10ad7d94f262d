"""The forms in which the demo's content is written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from astralytiq.features.datasets.synthetic import PREFIX
from astralytiq.features.registry.models import Stage

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Frozen:
    """A version made of records: the files that arrive in the inbox and are ingested before it,
    and which records it takes (filters of /data; the source's own if there are none)."""

    files: tuple[str, ...] = ()
    query: Fields = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A data set: uploaded as `file`, or frozen from the records of the source `source`."""

    name: str
    description: str
    file: str = ""
    source: str = ""
    versions: tuple[Frozen, ...] = ()
    rules: tuple[Fields, ...] = ()  # what its owner demands; "{name}" stands for another set's id
    needs: tuple[str, ...] = ()  # data sets that must be there before


@dataclass(frozen=True)
class Training:
    """A version of a model: what is asked of training, and the stage it is given afterwards."""

    dataset: str  # "weather@1", or "synthetic:drowsiness"
    asked: Fields
    stage: Stage = Stage.none
    later: str = ""  # a version of its table with rows that it has not seen, and is asked about

    @property
    def table(self) -> str:
        return self.dataset.partition("@")[0]

    @property
    def is_made_up(self) -> bool:
        return self.dataset.startswith(PREFIX)


@dataclass(frozen=True)
class Model:
    name: str
    versions: tuple[Training, ...]
    description: str = ""
    challenger: int = 0  # the version that scores in the shadow of the one in production

    @property
    def needs(self) -> tuple[str, ...]:
        """Data sets of the plan; what is made up is made with the training."""
        tables = (version.table for version in self.versions if not version.is_made_up)
        return tuple(dict.fromkeys(tables))


@dataclass(frozen=True)
class Dashboard:
    """In its widgets "{name}" stands for the id of a data set."""

    name: str
    description: str
    widgets: tuple[Fields, ...]
    needs: tuple[str, ...] = ()  # data sets and models that must be there before


@dataclass(frozen=True)
class Project:
    name: str
    description: str
    type: str
    tables: tuple[str, ...]
    models: tuple[str, ...]
    tasks: tuple[Fields, ...] = ()
