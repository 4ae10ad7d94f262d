"""What versions are compared with, from what is stored of them: no data is read again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.features.datasets.models import DatasetProfile
from astralytiq.features.registry.models import ModelVersion

from .tallies import Tally, key

if TYPE_CHECKING:
    from .cells import Baseline

HELD_OUT, CLUSTERS, TARGET = "held-out rows", "training rows", "the training data's target"


@dataclass(frozen=True)
class Known:
    """A version's own words; the profile as text, to be read away from the event loop."""

    task: str
    target: str
    classes: list[Any]
    evaluation: dict[str, Any]
    profile: str | None


async def known_of(session: AsyncSession, version_ids: Iterable[int]) -> dict[int, Known]:
    columns = (ModelVersion.id, ModelVersion.task, ModelVersion.target, ModelVersion.classes,
               ModelVersion.evaluation, ModelVersion.dataset_version_id)  # fmt: skip
    found = await session.execute(select(*columns).where(ModelVersion.id.in_(set(version_ids))))
    versions = {row[0]: row for row in found.all()}
    profiles = await profiles_of(session, {row[5] for row in versions.values() if row[5]})
    return {
        version_id: Known(row[1], row[2], row[3] or [], row[4] or {}, profiles.get(row[5]))
        for version_id, row in versions.items()
    }


async def profiles_of(session: AsyncSession, dataset_version_ids: set[int]) -> dict[int, str]:
    columns = (DatasetProfile.version_id, cast(DatasetProfile.profile, Text))
    chosen = DatasetProfile.version_id.in_(dataset_version_ids)
    return {row[0]: row[1] for row in await session.execute(select(*columns).where(chosen))}


def restored(known: Mapping[int, Known]) -> dict[int, "Baseline"]:
    """Reads what may be megabytes of JSON, and needs NumPy: call it from a thread."""
    return {version_id: baseline_of(one) for version_id, one in known.items()}


def baseline_of(known: Known) -> "Baseline":
    from astralytiq.engines.tabular import profile as profiles  # noqa: PLC0415 - NumPy
    from astralytiq.engines.tabular.histograms import Distribution  # noqa: PLC0415 - NumPy

    from .cells import Baseline  # noqa: PLC0415 - NumPy

    profile = profiles.restored(msgspec.json.decode(known.profile)) if known.profile else None
    if known.task != "regression":
        labels, against = labels_of(known)
        return Baseline(profile, labels, against=against)
    if stored := known.evaluation.get("predicted"):
        return Baseline(profile, predicted=Distribution(**stored), against=HELD_OUT)
    target = profile.column(known.target) if profile else None
    if target and target.distribution:
        return Baseline(profile, predicted=target.distribution, against=TARGET)
    return Baseline(profile)


def labels_of(known: Known) -> tuple[Tally, str]:
    """How often each label was predicted of held-out rows; of clusters, of all rows."""
    if sizes := known.evaluation.get("cluster_sizes"):
        return dict(zip(map(key, known.classes), sizes, strict=True)), CLUSTERS
    confusion = known.evaluation.get("confusion_matrix") or []
    counts = [sum(column) for column in zip(*confusion, strict=True)]
    if not sum(counts):
        return {}, ""
    return dict(zip(map(key, known.classes), counts, strict=True)), HELD_OUT
