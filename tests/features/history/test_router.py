"""The audit trail as admins read it: filtered, page by page, and as a file."""

import csv
import io
import json
from hashlib import sha256

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.db import Database
from astralytiq.core.security import Role
from astralytiq.features.history import export, service
from tests.conftest import SignIn

from .conftest import ADA, tell

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("story")]

AUDIT = "/api/v1/audit"
DOORS = (AUDIT, f"{AUDIT}?format=csv", f"{AUDIT}/verify")


async def actions(admin: httpx2.AsyncClient, query: str = "") -> list[str]:
    answer = await admin.get(f"{AUDIT}?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["action"] for entry in answer.json()]


@pytest.mark.parametrize("role", [Role.viewer, Role.analyst, Role.data_scientist])
async def test_only_admins_read_the_trail(sign_in: SignIn, role: Role) -> None:
    member = await sign_in(role)
    assert [(await member.get(door)).status_code for door in DOORS] == [403] * 3


async def test_nobody_reads_it_without_signing_in(client: httpx2.AsyncClient) -> None:
    assert [(await client.get(door)).status_code for door in DOORS] == [401] * 3


async def test_an_entry_says_who_did_what_to_which_thing_and_how_it_ended(
    admin: httpx2.AsyncClient,
) -> None:
    refused = (await admin.get(AUDIT)).json()[1]
    assert refused["actor_id"] == 900
    assert refused["actor_name"] == "ada@example.com"
    assert refused["action"] == "user.signed_in"
    assert (refused["resource"], refused["outcome"]) == ("user/900", "refused")
    assert refused["created_at"].endswith("Z")
    assert len(refused["hash"]) == len(refused["previous_hash"]) == 64


async def test_an_entry_of_a_request_names_the_request(
    admin: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    scientist = await sign_in(Role.data_scientist)
    source = {"name": "shop", "kind": "csv", "path": "shop.csv", "primary_key": "id"}
    made = await scientist.post("/api/v1/sources", json=source, headers={"X-Request-ID": "r-1"})
    assert made.status_code == 201
    (entry,) = (await admin.get(f"{AUDIT}?action=source.created")).json()
    assert (entry["request_id"], entry["resource"]) == ("r-1", "source/shop")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("actor=901", ["model.stage_changed", "dataset.deleted"]),
        ("actor=BOB@example.com", ["model.stage_changed", "dataset.deleted"]),
        ("actor=system&action=run.", ["run.started"]),
        ("actor=nobody@example.com", []),
        ("actor=99999999999999999999", []),
        ("action=dataset.", ["dataset.deleted", "dataset.created"]),
        ("action=dataset.created", ["dataset.created"]),
        ("action=set", []),
        ("action=%25", []),
        ("resource=dataset/1", ["dataset.deleted", "dataset.created"]),
        ("resource=dataset/", ["dataset.deleted", "dataset.created"]),
        ("resource=dataset", []),
        ("outcome=refused", ["user.signed_in"]),
        ("outcome=ok&actor=900", ["dataset.created"]),
        ("until=2000-01-01T00:00:00Z", []),
        ("since=2000-01-01T00:00:00&action=run.", ["run.started"]),
        ("since=2999-01-01T00:00:00Z", []),
    ],
)
async def test_filters_narrow_the_list(
    admin: httpx2.AsyncClient, query: str, found: list[str]
) -> None:
    assert await actions(admin, query) == found
    assert (await admin.get(f"{AUDIT}?{query}")).headers["x-total-count"] == str(len(found))


@pytest.mark.parametrize(
    "query",
    [
        "before=0",
        "before=x",
        "since=yesterday",
        "until=0.5",
        "format=xml",
        "limit=0",
        "actor=" + "x" * 501,
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(
    admin: httpx2.AsyncClient, query: str
) -> None:
    assert (await admin.get(f"{AUDIT}?{query}")).status_code == 422
    assert (await admin.get(f"{AUDIT}/verify?expect=x")).status_code == 422


async def test_a_filter_no_database_takes_is_refused_before_the_file_begins(
    admin: httpx2.AsyncClient,
) -> None:
    for kind in ("csv", "jsonl"):
        answer = await admin.get(f"{AUDIT}?outcome=%00&format={kind}")
        assert answer.status_code in (200, 422)  # SQLite looks for a NUL and finds none.
        assert answer.status_code == 200 or answer.json()["title"] == "Invalid input"


async def test_the_links_lead_through_every_entry_once_while_new_ones_come_in(
    admin: httpx2.AsyncClient, database: Database
) -> None:
    expected = await actions(admin)
    url, seen = f"{AUDIT}?limit=2", []
    while url:
        page = await admin.get(url)
        assert page.headers["x-total-count"] == str(len(expected))
        seen += [entry["action"] for entry in page.json()]
        await tell(database, "thing.came_in_meanwhile", "thing/1")
        parts = [part.split("; ") for part in page.headers["link"].split(", ")]
        url = {relation: target.strip("<>") for target, relation in parts}.get('rel="next"', "")
    assert seen == expected


async def test_before_goes_on_from_the_last_entry_seen(admin: httpx2.AsyncClient) -> None:
    every = (await admin.get(AUDIT)).json()
    rest = await admin.get(f"{AUDIT}?before={every[1]['sequence']}")
    assert rest.json() == every[2:]
    assert rest.headers["x-total-count"] == str(len(every) - 2)


# Files ------------------------------------------------------------------------------------------


async def test_both_files_hold_what_the_list_holds_oldest_first(
    admin: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    listed = (await admin.get(AUDIT)).json()[::-1]
    for kind, media in (("csv", "text/csv; charset=utf-8"), ("jsonl", "application/x-ndjson")):
        file = await admin.get(f"{AUDIT}?format={kind}&limit=1")
        assert file.headers["content-type"] == media
        assert file.headers["content-disposition"] == f'attachment; filename="audit.{kind}"'
        if kind == "jsonl":
            assert [json.loads(line) for line in file.text.splitlines()] == listed
        else:
            rows = list(csv.DictReader(io.StringIO(file.text)))
            assert [row["hash"] for row in rows] == [entry["hash"] for entry in listed]
            assert [row["created_at"] for row in rows] == [e["created_at"] for e in listed]
            assert json.loads(rows[1]["details"]) == {"name": "flowers"}
    narrowed = await admin.get(f"{AUDIT}?format=jsonl&outcome=refused")
    assert len(narrowed.text.splitlines()) == 1


async def test_anybody_can_check_the_hash_of_a_line(admin: httpx2.AsyncClient) -> None:
    """Canonical JSON of the hashed fields: nothing of ours is needed."""
    for line in (await admin.get(f"{AUDIT}?format=jsonl")).text.splitlines():
        entry = json.loads(line)
        hashed = {name: entry[name] for name in (*audit.HASHED, "sequence")}
        words = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert sha256(words.encode()).hexdigest() == entry["hash"]


async def test_27_nothing_that_is_written_begins_a_line_of_its_own(
    admin: httpx2.AsyncClient, database: Database
) -> None:
    evil = 'x\r\n2026-01-31,1,"admin",\u2028\u2029\x85\x0b\x0c\x1c\x00\x1b[2J'
    await tell(database, "thing.made", f"thing/{evil}", outcome=evil, name=evil, fields={evil: 1})
    count = len((await admin.get(AUDIT)).json())
    for kind, header in (("csv", 1), ("jsonl", 0)):
        file = await admin.get(f"{AUDIT}?format={kind}")
        assert len(file.text.splitlines()) == count + header
        assert all(letter.isprintable() or letter in "\r\n" for letter in file.text)
    assert len(list(csv.reader(io.StringIO((await admin.get(DOORS[1])).text)))) == count + 1


async def test_24_a_spreadsheet_finds_no_formula_in_a_cell(
    admin: httpx2.AsyncClient, database: Database
) -> None:
    for number, start in enumerate("=+-@"):
        await tell(database, f"{start}cmd|' /C calc'!A0", f"{start}SUM(A1)", outcome=f"-{number}.5")
    file = await admin.get(f"{AUDIT}?format=csv")
    rows = list(csv.DictReader(io.StringIO(file.text)))[-4:]
    assert [row["action"][:2] for row in rows] == ["'=", "'+", "'-", "'@"]
    assert [row["resource"][:2] for row in rows] == ["'=", "'+", "'-", "'@"]
    assert [float(row["outcome"]) for row in rows] == [-0.5, -1.5, -2.5, -3.5]
    assert all(row["sequence"].isdigit() for row in rows)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"), ("+49 30 1", "'+49 30 1"), ("-a", "'-a"), ("@x", "'@x"),
        ("\tx", "'\tx"), ("\0x", "'\0x"), ("\rx", "'\rx"), ("-5", "-5"), ("+1.5e3", "+1.5e3"),
        (-5, -5), (-0.5, -0.5), (None, None), ("a=1", "a=1"), ("-5\n=1", "'-5\n=1"),
    ],
)  # fmt: skip
def test_24_a_cell_that_begins_like_a_formula_is_quoted(value: object, cell: object) -> None:
    assert export.safe(value) == cell


# Erasing ----------------------------------------------------------------------------------------


async def test_27_who_is_erased_has_no_name_and_the_chain_still_holds(
    admin: httpx2.AsyncClient, app: FastAPI, database: Database
) -> None:
    async def erase(session: AsyncSession) -> None:
        audit.forget(session, ADA.account_id)

    await database.write(erase)
    entries = (await admin.get(f"{AUDIT}?actor=900")).json()
    assert [entry["actor_name"] for entry in entries] == [None, None]
    assert "ada@" not in (await admin.get(f"{AUDIT}?format=jsonl")).text
    assert (await admin.get(f"{AUDIT}/verify")).json()["ok"] is True
