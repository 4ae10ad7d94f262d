"""What a room offers to those that may not name it: counts, and what happens to its things.

A room registers an async function under its own name, in a module that `wiring.load_offers` loads.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.security import Actor

Offer = TypeVar("Offer", bound=Callable[..., Awaitable[object]])


class Fate(StrEnum):
    """What becomes of a project's resources when it goes."""

    detach = "detach"
    delete = "delete"


@dataclass(frozen=True)
class Scope:
    """Whose things are counted: those that `actor` may read; `changed` counts from `since` on."""

    actor: Actor
    since: datetime


Count = Callable[[AsyncSession, Scope], Awaitable[dict[str, int]]]
OnProjectDeleted = Callable[[AsyncSession, int, Fate], Awaitable[int]]

COUNTS: dict[str, Count] = {}
ON_PROJECT_DELETED: dict[str, OnProjectDeleted] = {}


def counts(name: str) -> Callable[[Count], Count]:
    """Offer numbers by name, `total` and `changed` among them."""
    return registering(COUNTS, name)


def project_deleted(name: str) -> Callable[[OnProjectDeleted], OnProjectDeleted]:
    """Offer to detach or delete what belongs to a project; answers how many things that were."""
    return registering(ON_PROJECT_DELETED, name)


def registering(registry: dict[str, Offer], name: str) -> Callable[[Offer], Offer]:
    def register(offer: Offer) -> Offer:
        if name in registry:
            raise ValueError(f"Two offers are named {name!r}.")
        registry[name] = offer
        return offer

    return register


async def count_all(session: AsyncSession, scope: Scope) -> dict[str, dict[str, int]]:
    """Each room's numbers, by its name."""
    return {name: await count(session, scope) for name, count in COUNTS.items()}


async def delete_project(session: AsyncSession, project_id: int, fate: Fate) -> dict[str, int]:
    """Let every room settle what belongs to the project, in the transaction of its end."""
    return {
        name: await settle(session, project_id, fate) for name, settle in ON_PROJECT_DELETED.items()
    }
