"""Makes what tests of projects start from: people with their accounts, projects, members."""

from dataclasses import dataclass
from typing import Any

import httpx2

from astralytiq.core.security import Role
from tests.conftest import SignIn

PROJECTS = "/api/v1/projects"


@dataclass(frozen=True)
class Person:
    id: int
    client: httpx2.AsyncClient


async def enter(sign_in: SignIn, role: Role = Role.analyst) -> Person:
    client = await sign_in(role)
    return Person((await client.get("/api/v1/auth/me")).json()["id"], client)


async def start(owner: Person, name: str = "churn", **fields: Any) -> int:
    """A project of `owner`."""
    made = await owner.client.post(PROJECTS, json={"name": name, **fields})
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


async def share(owner: Person, project_id: int, person: Person, role: str = "viewer") -> None:
    url = f"{PROJECTS}/{project_id}/members/{person.id}"
    answer = await owner.client.put(url, json={"role": role})
    assert answer.status_code == 200, answer.text


async def names(person: Person, **params: Any) -> list[str]:
    """Of the projects that `person` sees, in the order of the answer."""
    answer = await person.client.get(PROJECTS, params=params)
    assert answer.status_code == 200, answer.text
    return [found["name"] for found in answer.json()]
