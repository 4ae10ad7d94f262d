"""Rules fire and resolve once each, and the right people are told."""

import asyncio
import hmac
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from astralytiq.core import mail
from astralytiq.core.db import utc_now
from astralytiq.core.jobs import Job, Transient
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.alerts import telling, watching
from astralytiq.features.alerts.models import Rule, State
from tests.conftest import RunJobs, SignIn
from tests.features.projects.factories import Person, enter
from tests.patience import until

from .conftest import Delivery, Dial, Receiver

pytestmark = pytest.mark.anyio

URL = "/api/v1/alerts"
THEIRS = "secret:key"
Json = dict[str, Any]


@pytest.fixture
async def owner(sign_in: SignIn) -> Person:
    return await enter(sign_in, Role.data_scientist)


async def made(client: httpx2.AsyncClient, path: str, **body: Any) -> Json:
    answer = await client.post(f"{URL}/{path}", json=body)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


async def ruled(owner: Person, **more: Any) -> Json:
    body = {"name": "too much", "metric": "pressure", "operator": ">", "threshold": 5, **more}
    return await made(owner.client, "rules", **body)


async def alerts_of(owner: Person) -> list[Json]:
    found: list[Json] = (await owner.client.get(URL)).json()
    return found


async def jobs_due(resources: Resources, run_jobs: RunJobs) -> None:
    """Also those that wait for a better time."""
    async with resources.database.transaction() as session:
        await session.execute(update(Job).values(run_at=utc_now() - timedelta(seconds=1)))
    await run_jobs()


# Firing and resolving ---------------------------------------------------------------------------


async def test_an_alert_fires_once_and_resolves_once(
    owner: Person, resources: Resources, dial: Dial
) -> None:
    rule = await ruled(owner, severity="critical")
    for value in (5, 6, 7, 6, 4, 3):
        dial.value = value
        await watching.look(resources)
        await watching.look(resources)
    (alert,) = await alerts_of(owner)
    assert (alert["rule"], alert["severity"], alert["status"]) == (
        "too much",
        "critical",
        "resolved",
    )
    assert (alert["value"], alert["resolved_value"]) == (6, 4)
    dial.value = 9
    await watching.look(resources)
    newest, _ = await alerts_of(owner)
    assert newest["status"] == "firing"
    shown = (await owner.client.get(f"{URL}/rules/{rule['id']}")).json()
    assert shown["state"] == "firing"
    assert shown["updated_at"] == rule["updated_at"], "to fire is no change of the rule"
    counted = (await owner.client.get(URL, params={"status": "firing"})).headers["X-Total-Count"]
    assert counted == "1"


async def test_rules_are_looked_at_again_and_again_also_after_an_outage(
    owner: Person, app: FastAPI, resources: Resources, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, faults = watching.look, [OSError("away")]

    async def away_at_first(resources: Resources) -> None:
        if faults:
            raise faults.pop()
        await look(resources)

    monkeypatch.setattr(watching, "look", away_at_first)
    monkeypatch.setattr(watching, "SECONDS", 0.01)
    await ruled(owner)
    looking = asyncio.create_task(watching.keep_looking(resources, app.state.performance))
    for value, status in ((9, "firing"), (1, "resolved")):
        dial.value = value

        async def told(status: str = status) -> bool:
            return [alert["status"] for alert in await alerts_of(owner)] == [status]

        await until(told)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


async def test_it_must_last(owner: Person, resources: Resources, dial: Dial) -> None:
    rule = await ruled(owner, **{"for": 60})
    dial.value = 9
    await watching.look(resources)
    assert await alerts_of(owner) == []
    shown = (await owner.client.get(f"{URL}/rules/{rule['id']}")).json()
    assert (shown["state"], shown["for"]) == ("pending", 60)
    async with resources.database.transaction() as session:
        earlier = utc_now() - timedelta(seconds=61)
        await session.execute(update(Rule).values(since=earlier))
    await watching.look(resources)
    assert len(await alerts_of(owner)) == 1


async def test_what_cannot_be_measured_changes_nothing(
    owner: Person, resources: Resources, dial: Dial
) -> None:
    await ruled(owner)
    dial.value = None
    await watching.look(resources)
    assert await alerts_of(owner) == []
    for value in (9, None):
        dial.value = value
        await watching.look(resources)
    assert [alert["status"] for alert in await alerts_of(owner)] == ["firing"]


async def test_a_rule_that_is_turned_off_or_deleted_fires_no_more(
    owner: Person, resources: Resources, dial: Dial
) -> None:
    rule = await ruled(owner)
    dial.value = 9
    await watching.look(resources)
    await owner.client.patch(f"{URL}/rules/{rule['id']}", json={"enabled": False})
    await watching.look(resources)
    assert [alert["status"] for alert in await alerts_of(owner)] == ["resolved"]
    await owner.client.patch(f"{URL}/rules/{rule['id']}", json={"enabled": True})
    await watching.look(resources)
    assert (await owner.client.delete(f"{URL}/rules/{rule['id']}")).status_code == 204
    newest, first = await alerts_of(owner)
    assert newest["status"] == first["status"] == "resolved"
    assert newest["rule_id"] is None
    assert newest["note"]


async def test_two_who_look_at_once_fire_once(
    owner: Person, resources: Resources, dial: Dial
) -> None:
    await ruled(owner)
    dial.value = 9
    await asyncio.gather(*(watching.look(resources) for _ in range(5)))
    assert len(await alerts_of(owner)) == 1


RULE = {"metric": "pressure", "operator": ">", "threshold": 5.0, "enabled": True}


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.sampled_from([None, 3.0, 5.0, 7.0]), st.integers(0, 20)), max_size=20),
       st.sampled_from([0, 10, 30]))  # fmt: skip
def test_states_are_those_of_a_plain_account(
    seen: list[tuple[float | None, int]], lasting: int
) -> None:
    """Firing is exactly: over the threshold at every look since at least `lasting` seconds."""
    rule = Rule(**RULE, for_seconds=lasting, state=State.ok, since=None)
    now, over_since = datetime.fromisoformat("2026-01-01T00:00:00Z"), None
    fired = False
    for value, pause in seen:
        now += timedelta(seconds=pause)
        if value is not None:
            over_since = (over_since or now) if value > 5 else None
            fired = over_since is not None and (
                fired or now - over_since >= timedelta(seconds=lasting)
            )
        state = watching.next_state(rule, value, now)
        if state:
            rule.since = None if state is State.ok else rule.since or now
            rule.state = state
        assert (rule.state is State.firing) is fired


# Telling ----------------------------------------------------------------------------------------


async def test_a_webhook_arrives_signed_and_once_for_each_change(
    owner: Person, resources: Resources, dial: Dial, receiver: Receiver, run_jobs: RunJobs
) -> None:
    channel = await made(owner.client, "channels", name="pager", kind="webhook", url=receiver.url)
    assert channel["signing_secret"]
    await ruled(owner, channels=["pager"])
    for value in (9, 9, 1, 1):
        dial.value = value
        await watching.look(resources)
        await run_jobs()
    firing, resolved = receiver.got
    assert (firing.body["change"], resolved.body["change"]) == ("firing", "resolved")
    (told,) = firing.body["alerts"]
    assert (told["rule"], told["value"], told["threshold"]) == ("too much", 9, 5)
    for delivery in receiver.got:
        assert is_signed(delivery, channel["signing_secret"])
        assert not is_signed(delivery, "another")
    assert firing.headers["x-astralytiq-delivery"] != resolved.headers["x-astralytiq-delivery"]
    shown = (await owner.client.get(f"{URL}/channels/{channel['id']}")).json()
    assert channel["signing_secret"] not in str(shown)


def is_signed(delivery: Delivery, secret: str) -> bool:
    """As a receiver would check it."""
    parts = dict(part.split("=") for part in delivery.headers["x-astralytiq-signature"].split(","))
    signed = parts["t"].encode() + b"." + delivery.content
    return hmac.digest(secret.encode(), signed, "sha256").hex() == parts["v1"]


async def test_who_is_away_is_told_later_with_the_same_delivery(
    owner: Person, resources: Resources, dial: Dial, receiver: Receiver, run_jobs: RunJobs
) -> None:
    receiver.statuses = [500, 503]
    await made(owner.client, "channels", name="pager", kind="webhook", url=receiver.url)
    await ruled(owner, channels=["pager"])
    dial.value = 9
    await watching.look(resources)
    await run_jobs()
    assert receiver.got == []
    for _ in range(3):
        await jobs_due(resources, run_jobs)
    (delivery,) = receiver.got
    assert delivery.headers["x-astralytiq-delivery"] == delivery.body["delivery"]


async def test_a_silenced_rule_tells_nobody_until_the_silence_is_over(
    owner: Person, resources: Resources, dial: Dial, receiver: Receiver, run_jobs: RunJobs
) -> None:
    await made(owner.client, "channels", name="pager", kind="webhook", url=receiver.url)
    rule = await ruled(owner, channels=["pager"])
    silence = f"{URL}/rules/{rule['id']}/silence"
    assert (await owner.client.post(silence, json={"minutes": 60})).status_code == 200
    for value in (9, 1):  # Over before the silence is: nobody ever hears of it.
        dial.value = value
        await watching.look(resources)
    dial.value = 9
    await watching.look(resources)
    await run_jobs()
    assert receiver.got == []
    assert [alert["told"] for alert in await alerts_of(owner)] == [None, None]
    assert (await owner.client.delete(silence)).json()["silenced_until"] is None
    for _ in range(2):
        await watching.look(resources)
        await run_jobs()
    (delivery,) = receiver.got
    assert delivery.body["change"] == "firing"


async def test_a_group_that_fires_together_is_told_together(
    owner: Person, resources: Resources, dial: Dial, receiver: Receiver, run_jobs: RunJobs
) -> None:
    await made(owner.client, "channels", name="pager", kind="webhook", url=receiver.url)
    for name, group in (("a", "boiler"), ("b", "boiler"), ("c", None)):
        await ruled(owner, name=name, channels=["pager"], group=group)
    dial.value = 9
    await watching.look(resources)
    await run_jobs()
    assert sorted([a["rule"] for a in d.body["alerts"]] for d in receiver.got) == [
        ["a", "b"],
        ["c"],
    ]


async def test_mails_go_to_each_once_however_often_the_job_is_tried(
    owner: Person, resources: Resources, dial: Dial, run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sent: list[tuple[str, str]] = []
    faults = [None, Transient("later")]

    async def send(settings: Any, to: str, subject: str, text: str) -> None:
        if faults and (fault := faults.pop(0)):
            raise fault
        sent.append((to, subject))

    monkeypatch.setattr(mail, "send", send)
    monkeypatch.setattr(mail, "is_set_up", lambda settings: True)
    to = ["a@example.com", "b@example.com"]
    await made(owner.client, "channels", name="mail", kind="email", to=to)
    await ruled(owner, channels=["mail"], severity="critical")
    dial.value = 9
    await watching.look(resources)
    await run_jobs()
    await jobs_due(resources, run_jobs)
    assert [address for address, _ in sent] == to
    assert sent[0][1] == "[critical] too much: firing"


async def test_a_chat_is_told_through_its_kept_address(
    owner: Person, resources: Resources, dial: Dial, receiver: Receiver, run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    address = receiver.url.replace("http://", "json://")
    kept = await owner.client.put("/api/v1/secrets/room", json={"value": address})
    assert kept.status_code == 200, kept.text
    await made(owner.client, "channels", name="chat", kind="chat", url="secret:room")
    await ruled(owner, channels=["chat"])
    dial.value = 9
    await watching.look(resources)
    await run_jobs()
    assert receiver.got == [], "an address of one's own is no chat service"
    monkeypatch.setattr(telling, "CHATS", frozenset({"json"}))
    await ruled(owner, name="again", channels=["chat"])
    await watching.look(resources)
    await run_jobs()
    (delivery,) = receiver.got
    assert delivery.body["title"] == "[warning] again: firing"


async def test_who_would_be_told_what_is_seen_before(
    owner: Person, resources: Resources, dial: Dial, receiver: Receiver, run_jobs: RunJobs
) -> None:
    await made(owner.client, "channels", name="pager", kind="webhook", url=receiver.url)
    await made(owner.client, "channels", name="mail", kind="email", to=["a@example.com"])
    rule = await ruled(owner, channels=["pager", "mail"])
    dial.value = 9
    url = f"{URL}/rules/{rule['id']}/test"
    seen = (await owner.client.post(url, json={})).json()
    assert (seen["value"], seen["would_fire"]) == (9, True)
    by_mail, pager = seen["tells"]
    assert "SMTP_URL" in by_mail["fault"]
    assert pager["fault"] is None
    assert pager["to"] == receiver.url
    assert "too much" in pager["text"]
    await run_jobs()
    assert receiver.got == []
    sent = (await owner.client.post(url, json={"send": True})).json()
    await run_jobs()
    (delivery,) = receiver.got
    assert delivery.body["change"] == "test"
    assert delivery.body["delivery"] == sent["tells"][1]["job_id"]
    assert await alerts_of(owner) == [], "a test is no alert"


# Who may what -----------------------------------------------------------------------------------


async def test_faults_are_named(owner: Person, dial: Dial) -> None:
    body = {"name": "x", "metric": "weather", "operator": ">", "threshold": 1, "channels": ["y"]}
    answer = await owner.client.post(f"{URL}/rules", json=body)
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["errors"]] == [
        ["body", "metric"], ["body", "channels"],
    ]  # fmt: skip
    for more in ({"operator": "~"}, {"threshold": 1e99}, {"for": -1}, {"severity": "awful"}):
        refused = {"name": "x", "metric": "pressure", "operator": ">", "threshold": 1, **more}
        assert (await owner.client.post(f"{URL}/rules", json=refused)).status_code == 422
    await ruled(owner)
    again = {"name": "too much", "metric": "pressure", "operator": ">", "threshold": 1}
    assert (await owner.client.post(f"{URL}/rules", json=again)).status_code == 409


async def test_rules_and_channels_are_changed_by_their_owner(
    owner: Person, sign_in: SignIn, dial: Dial, receiver: Receiver
) -> None:
    channel = await made(owner.client, "channels", name="p", kind="webhook", url=receiver.url)
    rule = await ruled(owner, channels=["p"])
    other, viewer = await enter(sign_in, Role.data_scientist), await enter(sign_in, Role.viewer)
    path = f"{URL}/rules/{rule['id']}"
    assert (await other.client.patch(path, json={"threshold": 1})).status_code == 403
    assert (await other.client.delete(path)).status_code == 403
    assert (await other.client.delete(f"{URL}/channels/{channel['id']}")).status_code == 403
    assert (await viewer.client.get(path)).status_code == 200
    assert (await viewer.client.post(f"{path}/silence", json={"minutes": 1})).status_code == 403
    assert (await viewer.client.get(f"{URL}/channels")).status_code == 403
    used = await owner.client.delete(f"{URL}/channels/{channel['id']}")
    assert used.status_code == 409
    assert "too much" in used.json()["detail"]
    stale = {"If-Match": '"99"'}
    changed = await owner.client.patch(path, json={"channels": []}, headers=stale)
    assert changed.status_code == 412
    assert (await owner.client.patch(path, json={"channels": []})).status_code == 200
    assert (await owner.client.delete(f"{URL}/channels/{channel['id']}")).status_code == 204


async def test_nobody_sends_with_somebody_elses_secret(
    owner: Person, sign_in: SignIn, receiver: Receiver
) -> None:
    await owner.client.put("/api/v1/secrets/key", json={"value": "theirs"})
    other = await enter(sign_in, Role.data_scientist)
    for body in (
        {"kind": "webhook", "url": receiver.url} | {"secret": THEIRS},
        {"kind": "chat", "url": THEIRS},
    ):
        answer = await other.client.post(f"{URL}/channels", json={"name": "x", **body})
        assert answer.status_code == 403
    unknown = {"name": "x", "kind": "chat", "url": "secret:nowhere"}
    assert (await other.client.post(f"{URL}/channels", json=unknown)).status_code == 422


async def test_20_a_webhook_into_the_own_network_is_refused(
    owner: Person, resources: Resources, dial: Dial, receiver: Receiver, run_jobs: RunJobs
) -> None:
    object.__setattr__(resources.settings, "allow_private_sources", ())
    await made(owner.client, "channels", name="pager", kind="webhook", url=receiver.url)
    await ruled(owner, channels=["pager"])
    dial.value = 9
    await watching.look(resources)
    await run_jobs()
    assert receiver.got == []


async def test_the_first_who_looks_after_it_stays(
    owner: Person, sign_in: SignIn, resources: Resources, dial: Dial
) -> None:
    await ruled(owner)
    dial.value = 9
    await watching.look(resources)
    (alert,) = await alerts_of(owner)
    path = f"{URL}/{alert['id']}/acknowledge"
    assert (await owner.client.post(path, json={"note": "valve"})).status_code == 200
    other = await enter(sign_in, Role.data_scientist)
    seen = (await other.client.post(path)).json()
    assert (seen["acknowledged_by"], seen["note"]) == (owner.id, "valve")
