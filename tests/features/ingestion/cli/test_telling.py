"""What commands say of runs and sources to people who do not read JSON."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
from typer.testing import CliRunner

from astralytiq.features.ingestion.cli import data, etl, source, telling
from tests.features.ingestion.conftest import Ingest
from tests.features.ingestion.test_quality_commands import SHOP, Command

pytestmark = pytest.mark.anyio

RUN: dict[str, Any] = {
    "run_id": "r1", "job_id": "j1", "source": "shop", "status": "failed", "kind": "load",
    "dry_run": False, "batches": 6, "records_processed": 120, "records_failed": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "commands"),
    [
        ({}, ["show r1 --follow", "job retry j1", "source run shop", "rejects --run r1"]),
        ({"status": "success"}, ["rejects --run r1"]),
        ({"status": "success", "records_failed": 0}, []),
        ({"status": "in_progress", "records_failed": 0}, ["show r1 --follow", "etl cancel r1"]),
        ({"kind": "replay", "records_failed": 0}, ["show r1 --follow"]),
        ({"dry_run": True}, ["show r1 --follow"]),
        ({"status": "cancelled", "job_id": None}, ["source run shop", "rejects --run r1"]),
    ],
)
def test_a_run_says_what_may_be_done_about_it(change: dict[str, Any], commands: list[str]) -> None:
    found = [command for command, _ in telling.ways_on(RUN | change)]
    assert len(found) == len(commands)
    for command, end in zip(found, commands, strict=True):
        assert command.startswith("astralytiq ")
        assert command.endswith(end)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(None, None), (12.4, "12 ms"), (7411, "7.4 s"), (123_000, "2 min 3 s"), (3.9e6, "1 h 5 min")],
)
def test_a_time_is_told_in_the_unit_that_fits(milliseconds: float, words: str) -> None:
    assert telling.lasted(milliseconds) == words


async def test_a_run_that_fails_says_where_it_is_told_why(
    command: Command, inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    await ingest("shop", **SHOP)
    (inbox / "shop.csv").unlink()
    failed = await command(source, "run", "shop")
    (run,) = json.loads((await command(etl, "runs", "--status", "failed", "--json")).stdout)
    assert failed.exit_code == 1
    assert failed.stderr.strip().startswith("astralytiq: shop: There is no file")
    assert f"astralytiq etl show {run['run_id']} --follow" in failed.stderr
    shown = await command(etl, "show", "shop")  # A source: its newest run.
    assert f"astralytiq job retry {run['job_id']}" in shown.stdout
    as_json = json.loads((await command(etl, "show", "shop", "--json")).stdout)
    assert as_json["run_id"] == run["run_id"]
    assert (await scientist.get("/api/v1/etl/runs?status=never")).status_code == 422


async def test_what_is_odd_in_a_run_is_told_beside_it(
    command: Command, inbox: Path, ingest: Ingest
) -> None:
    (inbox / "shop.csv").write_text("id,colour\n1,red\n2,red\n")
    await ingest("shop", **SHOP)
    (inbox / "shop.csv").write_text("id,colour,size\n1,red,5\n2,blue,6\n,blue,7\n")
    done = await command(source, "run", "shop", "--json")
    run = json.loads(done.stdout)
    assert "shop: field 'size' added (integer)" in done.stderr
    assert f"1 of 3 records rejected: astralytiq etl rejects --run {run['run_id']}" in done.stderr
    compared = (await command(etl, "compare", "shop")).stdout
    assert "fields added: size" in compared
    assert "values of colour: red 100% -> 33%, blue 0% -> 67%" in compared
    alone = await command(etl, "compare", run["run_id"])
    assert (alone.exit_code, "Say with which other run" in alone.stderr) == (2, True)


async def test_runs_are_listed_in_a_line_each(
    command: Command, inbox: Path, ingest: Ingest
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    await ingest("shop", **SHOP)
    head, line = (await command(etl, "runs", "--source", "shop")).stdout.splitlines()
    assert head.split()[-7:] == [
        "status", "processed", "inserted", "updated", "failed", "took", "started",
    ]  # fmt: skip
    assert line.split()[1:7] == ["shop", "success", "1", "1", "0", "0"]
    nothing = await command(etl, "anomalies", "--source", "shop", "--json")
    assert json.loads(nothing.stdout) == []


async def test_a_run_is_cancelled_by_its_source(
    command: Command, inbox: Path, ingest: Ingest
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    await ingest("shop", **SHOP)
    ended = await command(etl, "cancel", "shop")
    assert (ended.exit_code, "ended already" in ended.stderr) == (2, True)
    nobody = await command(etl, "cancel", "nobody")
    assert (nobody.exit_code, "no run 'nobody'" in nobody.stderr) == (2, True)


async def test_a_wrong_name_is_told_which_was_meant(
    command: Command, inbox: Path, ingest: Ingest
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    await ingest("shop", **SHOP)
    for wrong in ("show", "run", "remove"):
        refused = await command(source, wrong, "shpo")
        assert refused.exit_code == 2
        assert "There is no source 'shpo': did you mean 'shop'?" in refused.stderr
    other = await command(source, "show", "weather")
    assert "There is no source 'weather'." in other.stderr


async def test_records_go_on_where_a_page_ended(
    command: Command, inbox: Path, ingest: Ingest
) -> None:
    (inbox / "shop.csv").write_text("id,category\n1,a\n2,b\n3,a\n")
    await ingest("shop", **SHOP)
    first = await command(data, "list", "--limit", "2", "--json")
    (cursor,) = (line.split()[-1] for line in first.stderr.splitlines() if "--cursor" in line)
    assert "2 of 3 records" in first.stderr
    rest = await command(data, "list", "--cursor", cursor, "--json")
    assert [one["source_id"] for one in json.loads(rest.stdout)] == ["3"]
    assert rest.stderr == ""


async def test_a_preview_shows_what_a_source_says_and_no_hashes(
    command: Command, inbox: Path, scientist: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_text("id,title\n1,café\n")
    await scientist.post("/api/v1/sources", json=SHOP | {"name": "shop"})
    shown = (await command(source, "preview", "shop")).stdout
    assert 'record  {"title": "café", "metadata": {"id": 1}, "source_id": "1"}' in shown


async def test_a_field_that_is_not_there_was_another(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text("sources:\n- name: a\n  kind: api\n  url: https://a.example\n  paginaton: {}\n")
    refused = await command(source, "apply", "-f", str(file))
    words = "sources.0.paginaton: there is no such field: did you mean 'pagination'?"
    assert f"sources.yaml:5: {words}" in refused.stderr
    file.write_text("sources:\n- {name: a, kind: csv, path: a.csv}\n")
    made = await command(source, "apply", "-f", str(file), "--yes")
    assert "done: 1 created" in made.stderr


async def test_a_source_is_shown_with_what_it_is_first(
    command: Command, inbox: Path, ingest: Ingest
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    await ingest("shop", **SHOP)
    names = [
        line.split()[0] for line in (await command(source, "show", "shop")).stdout.splitlines()
    ]
    assert names[:3] == ["name", "kind", "enabled"]
    assert names[-4:] == ["id", "owner_id", "created_at", "updated_at"]
    as_json = json.loads((await command(source, "show", "shop", "--json")).stdout)
    assert set(as_json) == set(names)
    kept = await command(source, "remove", "shop")
    assert kept.stdout == "removed shop; its records stay\n"


async def test_open_rejects_say_how_they_are_settled(
    command: Command, inbox: Path, ingest: Ingest
) -> None:
    (inbox / "shop.csv").write_text('id\n1\n""\n')
    await ingest("shop", **SHOP)
    assert "astralytiq etl retry" in (await command(etl, "rejects")).stderr
    await command(etl, "discard", "--source", "shop")
    assert "astralytiq etl retry" not in (await command(etl, "rejects")).stderr


@pytest.mark.parametrize("group", [source, etl, data])
def test_every_command_has_an_example_and_a_line_that_fits(group: typer.Typer) -> None:
    listed = CliRunner().invoke(group, ["--help"], terminal_width=80).stdout
    assert "..." not in listed.split("Commands")[1]
    for one in group.registered_commands:
        assert one.callback
        assert "Examples:" in (one.callback.__doc__ or ""), one.name


async def test_a_question_is_no_part_of_the_output(
    command: Command, inbox: Path, ingest: Ingest
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    await ingest("shop", **SHOP)
    (record,) = json.loads((await command(data, "list", "--json")).stdout)
    erased = await command(data, "erase", str(record["id"]), "--json", typed="y\n")
    assert ("Erase" in erased.stdout, "Erase 1 records" in erased.stderr) == (False, True)
    assert json.loads(erased.stdout[erased.stdout.index("{") :])["records"] == 1  # Behind our y.
