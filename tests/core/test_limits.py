"""Budgets: charged by identity, told in headers, refused when spent."""

import time
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.app import create_app
from astralytiq.core.errors import TooMany
from astralytiq.core.limits import Limits
from astralytiq.core.security import Role
from astralytiq.core.settings import PRODUCTION_BUDGETS, Settings
from tests.factories import make_client, signed_in

ME = "/api/v1/users/me"


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


def test_a_budget_is_spent_by_each_identity_alone() -> None:
    limits = Limits({"general": "2/minute"})
    first, second = limits.charge("general", "ada"), limits.charge("general", "ada")
    assert first is not None
    assert second is not None
    assert (first.limit, first.remaining, second.remaining) == (2, 1, 0)
    with pytest.raises(TooMany, match="wait") as refusal:
        limits.charge("general", "ada")
    assert 0 < int(refusal.value.headers["Retry-After"]) <= 60
    assert limits.charge("general", "bob") is not None


def test_a_spent_budget_is_whole_again_in_its_next_window(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits({"general": "1/minute"})
    limits.charge("general", "ada")
    later(monkeypatch, 61)
    assert limits.charge("general", "ada") is not None


def test_what_has_no_budget_has_no_bound() -> None:
    limits = Limits({})
    assert [limits.charge("general", "ada") for _ in range(5)] == [None] * 5


def test_several_windows_make_the_wait_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, rule = Limits(), "2/minute;4/hour"
    for _ in range(2):
        assert limits.wait(rule, "ada") == 0
        limits.count(rule, "ada")
    assert 0 < limits.wait(rule, "ada") <= 60
    later(monkeypatch, 61)
    assert limits.wait(rule, "ada") == 0
    for _ in range(2):
        limits.count(rule, "ada")
    assert 60 < limits.wait(rule, "ada") <= 3600


def test_production_has_budgets_and_other_places_only_those_that_are_set() -> None:
    def made(**given: str) -> dict[str, str]:
        return Settings(_env_file=None, **given).budgets  # type: ignore[arg-type]

    assert made() == {}
    assert made(rate_limit="5/second") == {"general": "5/second"}
    assert made(environment="production") == PRODUCTION_BUDGETS
    off = made(environment="production", rate_limit="off")
    assert off == {k: v for k, v in PRODUCTION_BUDGETS.items() if k != "general"}


def test_a_rule_that_cannot_be_read_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="rate_limit"):
        Settings(_env_file=None, rate_limit="often")


@pytest.fixture
async def bounded(settings: Settings) -> AsyncIterator[FastAPI]:
    """An application in which everything has a small budget."""
    rules = dict.fromkeys(("rate_limit", "rate_limit_expensive", "rate_limit_open"), "3/minute")
    app = create_app(settings.model_copy(update=rules | {"rate_limit_predict": "4/minute"}))
    async with app.router.lifespan_context(app):
        yield app


async def statuses(client: httpx2.AsyncClient, path: str, method: str = "GET") -> list[int]:
    return [(await client.request(method, path)).status_code for _ in range(5)]


@pytest.mark.anyio
async def test_the_answer_says_what_is_left_and_when_to_come_back(bounded: FastAPI) -> None:
    async with await signed_in(bounded, Role.viewer) as viewer:
        answer = await viewer.get(ME)
        assert answer.headers["RateLimit-Limit"] == "3"
        assert answer.headers["RateLimit-Remaining"] == "2"
        assert answer.headers["RateLimit-Policy"] == "3;w=60"
        assert await statuses(viewer, ME) == [200, 200, 429, 429, 429]
        refusal = await viewer.get(ME)
    assert refusal.headers["RateLimit-Remaining"] == "0"
    assert refusal.headers["Retry-After"] == refusal.headers["RateLimit-Reset"]
    assert refusal.json()["title"] == "Too many requests"
    assert "wait" in refusal.json()["detail"]


@pytest.mark.anyio
async def test_a_key_has_a_budget_beside_its_owners_and_each_account_its_own(
    bounded: FastAPI,
) -> None:
    async with await signed_in(bounded, Role.viewer) as viewer:
        body = {"name": "device", "scopes": ["data:read"]}
        key = (await viewer.post("/api/v1/api-keys", json=body)).json()["key"]
        assert await statuses(viewer, ME) == [200, 200, 429, 429, 429]
    async with make_client(bounded, key) as device:
        assert (await device.get(ME)).status_code == 200
    async with await signed_in(bounded, Role.viewer) as other:
        assert (await other.get(ME)).status_code == 200


@pytest.mark.anyio
async def test_expensive_doors_and_predictions_have_budgets_of_their_own(bounded: FastAPI) -> None:
    async with await signed_in(bounded, Role.admin) as admin:
        assert await statuses(admin, "/api/v1/audit/verify") == [200, 200, 200, 429, 429]
        assert (await statuses(admin, "/api/v1/models/none/predict", "POST"))[3:] == [422, 429]
        assert (await admin.get(ME)).status_code == 200


@pytest.mark.anyio
async def test_guessing_tokens_and_open_doors_spend_the_budget_of_an_address(
    bounded: FastAPI,
) -> None:
    async with make_client(bounded, "no token") as guesser:
        assert await statuses(guesser, ME) == [401, 401, 401, 429, 429]
    async with make_client(bounded) as visitor:
        register = "/api/v1/auth/register"
        assert await statuses(visitor, register, "POST") == [422, 422, 422, 429, 429]
        assert (await visitor.get("/api/v1/health/live")).status_code == 200
    async with make_client(bounded, address="198.51.100.7") as elsewhere:
        assert (await elsewhere.post(register)).status_code == 422
