"""A family of refresh tokens, against a model of it: whatever comes after whatever."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update

from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import utc_now
from astralytiq.core.security import Role
from astralytiq.features.accounts.models import RefreshToken
from astralytiq.features.accounts.sessions import GRACE
from tests.databases import Databases
from tests.machines import BOUNDED, Stage, staged

AUTH = "/api/v1/auth"
MOST_FAMILIES = 2
number = count()
some_family, some_place = st.integers(0, MOST_FAMILIES - 1), st.integers(0, 20)
Thing = TypeVar("Thing")


def pick(things: Sequence[Thing], which: int) -> Thing:
    return things[which % len(things)]


@dataclass
class Family:
    """One sign-in: its refresh tokens from the first to the newest, and what it opened last."""

    chain: list[str]
    access: str
    alive: bool = True
    late: set[str] = field(default_factory=set)  # used, and past the grace


class Account(RuleBasedStateMachine):
    """One account in one browser after another, and an admin who closes and opens it."""

    stage: Stage
    admin: httpx2.AsyncClient

    def __init__(self) -> None:
        super().__init__()
        self.client = self.stage.visitor()
        self.families: list[Family] = []
        self.reused = self.changes = 0
        name = f"ada{next(number)}"
        self.login = {"username": name, "password": "correct horse 0"}
        body = {**self.login, "email": f"{name}@example.com"}
        self.id = self.ask("POST", "/api/v1/auth/register", body).json()["id"]

    def ask(
        self, method: str, url: str, body: Any = None, access: str | None = None
    ) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {access}"} if access else {}
        return self.stage.do(self.client.request(method, url, json=body, headers=headers))

    def refresh(self, token: str) -> httpx2.Response:
        return self.ask("POST", f"{AUTH}/refresh", {"refresh_token": token})

    @property
    def living(self) -> list[Family]:
        return [family for family in self.families if family.alive]

    @property
    def grown(self) -> list[Family]:
        return [family for family in self.living if len(family.chain) > 1]

    @property
    def ended(self) -> list[Family]:
        return [family for family in self.families if not family.alive]

    def end_all(self, *, but: Family | None = None) -> None:
        for family in self.families:
            family.alive = family.alive and family is but

    @initialize()
    def begin(self) -> None:
        self.sign_in_elsewhere()
        self.refresh_the_newest(0, "twice")

    @rule()
    def sign_in_elsewhere(self) -> None:
        answer = self.ask("POST", f"{AUTH}/login", self.login)
        assert answer.status_code == 200
        found = answer.json()
        self.families.append(Family([found["refresh_token"]], found["access_token"]))
        del self.families[:-MOST_FAMILIES]

    def grew(self, family: Family, *answers: httpx2.Response) -> None:
        """Every answer names the same child, that nobody had before."""
        assert [answer.status_code for answer in answers] == [200] * len(answers)
        (child,) = {answer.json()["refresh_token"] for answer in answers}
        assert all(child not in one.chain for one in self.families)
        family.chain.append(child)
        family.access = answers[-1].json()["access_token"]

    @precondition(lambda self: self.living)
    @rule(which=some_family, how=st.sampled_from(("once", "twice", "at once")))
    def refresh_the_newest(self, which: int, how: str) -> None:
        """Twice: as somebody whose first answer was lost."""
        family = pick(self.living, which)
        if how == "at once":
            self.grew(family, *self.both_at_once(family.chain[-1]))
        else:
            times = 2 if how == "twice" else 1
            self.grew(family, *[self.refresh(family.chain[-1]) for _ in range(times)])

    def both_at_once(self, token: str) -> list[httpx2.Response]:
        body = {"refresh_token": token}

        async def both() -> list[httpx2.Response]:
            asked = (self.client.post(f"{AUTH}/refresh", json=body) for _ in range(2))
            return list(await asyncio.gather(*asked))

        return self.stage.do(both())

    @precondition(lambda self: self.grown)
    @rule(which=some_family, place=some_place, waits=st.booleans())
    def refresh_an_older_one(self, which: int, place: int, waits: bool) -> None:
        if waits:
            self.let_the_grace_pass()
        family = pick(self.grown, which)
        place %= len(family.chain) - 1
        token = family.chain[place]
        answer = self.refresh(token)
        if token in family.late:
            assert answer.status_code == 401
            family.alive, self.reused = False, self.reused + 1
        else:
            assert answer.status_code == 200
            assert answer.json()["refresh_token"] == family.chain[place + 1]
            family.access = answer.json()["access_token"]

    @precondition(lambda self: self.ended)
    @rule(which=some_family, place=some_place)
    def refresh_what_has_ended(self, which: int, place: int) -> None:
        family = pick(self.ended, which)
        for token in (pick(family.chain, place), "x" * 43):
            assert self.refresh(token).status_code == 401

    def let_the_grace_pass(self) -> None:
        earlier = utc_now() - GRACE - timedelta(seconds=1)

        async def age() -> None:
            async with self.stage.resources.database.transaction() as session:
                used = RefreshToken.used_at.is_not(None)
                await session.execute(update(RefreshToken).where(used).values(used_at=earlier))

        self.stage.do(age())
        for family in self.families:
            family.late |= set(family.chain[:-1])

    @precondition(lambda self: self.living)
    @rule(which=some_family)
    def log_out(self, which: int) -> None:
        family = pick(self.living, which)
        assert self.ask("POST", f"{AUTH}/logout", access=family.access).status_code == 200
        family.alive = False

    @precondition(lambda self: self.living)
    @rule(which=some_family)
    def change_the_password(self, which: int) -> None:
        family, self.changes = pick(self.living, which), self.changes + 1
        new = f"correct horse {self.changes}"
        body = {"old_password": self.login["password"], "new_password": new}
        answer = self.ask("POST", "/api/v1/users/me/password", body, family.access)
        assert answer.status_code == 204
        self.login["password"] = new
        self.end_all(but=family)

    @precondition(lambda self: self.grown)
    @rule()
    def close_the_account_and_open_it_again(self) -> None:
        url = f"/api/v1/users/{self.id}"
        for is_open in (False, True):
            answer = self.stage.do(self.admin.patch(url, json={"is_active": is_open}))
            assert answer.status_code == 200
            assert self.refresh(self.families[-1].chain[-1]).status_code == 401
        self.end_all()

    @invariant()
    def what_lives_opens_doors_and_nothing_else_does(self) -> None:
        for family in self.families:
            answer = self.ask("GET", f"{AUTH}/me", access=family.access)
            assert answer.status_code == (200 if family.alive else 401)

    def teardown(self) -> None:
        """What was taken for theft is on record, once each."""

        async def entries() -> int | None:
            mine = AuditEntry.actor_id == self.id, AuditEntry.action == "session.token_reused"
            async with self.stage.resources.database.reading() as session:
                return await session.scalar(select(func.count(AuditEntry.id)).where(*mine))

        assert self.stage.do(entries()) == self.reused
        self.stage.do(self.client.aclose())


def test_09_no_sequence_of_uses_breaks_a_family_of_refresh_tokens(
    databases: Databases, tmp_path: Path
) -> None:
    with staged(databases, tmp_path) as stage:
        Account.stage, Account.admin = stage, stage.person(Role.admin)
        run_state_machine_as_test(Account, settings=BOUNDED)


def test_09_the_grace_is_ten_seconds() -> None:
    assert timedelta(seconds=10) == GRACE
