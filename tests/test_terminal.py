"""What commands print: tables that fit, ids to be copied, and nothing that acts on a screen."""

import re
import sys
from typing import Any

import httpx2
import pytest
import typer
from typer.testing import CliRunner

from astralytiq import terminal
from astralytiq.client import Client, ClientError

RUN = "01a1fcaf-93b2-7ea3-807b-b93a233f9237"
ROW: dict[str, Any] = {"run_id": RUN, "count": 5, "at": "2026-01-31T08:00:00.123456Z", "why": "x"}


def draw(monkeypatch: pytest.MonkeyPatch, columns: int, *rows: dict[str, Any]) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    terminal.show(rows, tuple(rows[0]), as_json=False)


def plain(said: str) -> str:
    return re.sub("\x1b.*?m", "", said)


def test_an_id_is_whole_however_narrow_the_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = {"why": "because " * 20}
    draw(monkeypatch, 40, ROW | long, ROW | {"count": 1234})
    said = plain(capsys.readouterr().out)
    assert said.count(RUN) == 2
    assert max(map(len, said.splitlines())) < 130  # What is long is broken all the same.


def test_numbers_end_where_their_heading_ends_and_times_have_no_fractions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(monkeypatch, 200, ROW, ROW | {"count": None}, ROW | {"count": 12})
    head, *lines = plain(capsys.readouterr().out).splitlines()
    end = head.index("count") + len("count")
    assert [line[end - 3 : end] for line in lines] == ["  5", "  -", " 12"]
    assert " 2026-01-31T08:00:00Z " in lines[0]


def test_what_a_source_sent_is_neither_markup_nor_a_command_to_the_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent = "[red]café\x1b[2J\x9b\n"
    terminal.show([{"title": sent, "payload": {"é": sent}}], ("title", "payload"), as_json=False)
    terminal.show_one({"title": sent}, as_json=False)
    with pytest.raises(typer.Exit):
        terminal.fail(sent)
    said = capsys.readouterr()
    assert said.out.count(r"[red]café\x1b[2J\x9b\n") == 2
    assert '{"é": ' in said.out
    for shown in (said.out, said.err):
        assert not {"\x1b", "\x9b"} & set(shown)


def test_names_of_people_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"petal_length_cm": 5.1, "[red]": 1}
    terminal.show([row], tuple(row), as_json=False, theirs=True)
    assert capsys.readouterr().out.split()[:2] == ["petal_length_cm", "[red]"]


def test_examples_stand_in_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    line = "astralytiq source add prices --csv https://example.org/prices.csv.gz --key id"
    app = typer.Typer(rich_markup_mode=None)

    def add() -> None:
        """Add.

        Or change.
        """

    app.command()(terminal.examples(f"{line}\nastralytiq source list")(add))
    said = CliRunner().invoke(app, ["--help"]).stdout.splitlines()
    at = next(number for number, one in enumerate(said) if line in one)
    assert said[at + 1].strip() == "$ astralytiq source list"
    assert "  Or change." in said


def refused(status: int, **problem: Any) -> ClientError:
    answer = httpx2.MockTransport(lambda _: httpx2.Response(status, json=problem))
    with Client(transport=answer) as client, pytest.raises(ClientError) as caught:
        client.get("/x")
    return caught.value


def test_a_refusal_is_worded_for_those_who_type() -> None:
    fault = {"loc": ["body", "inject", 0], "msg": "no fault"}
    both = refused(422, detail="Correct and send again: body.inject.0: no fault", errors=[fault])
    assert terminal.worded(both) == "inject.0: no fault"
    assert "user login" in terminal.worded(refused(401, detail="Sign in first."))
    assert terminal.worded(refused(404, detail="There is none.")) == "There is none."


def test_who_stops_waiting_is_told_how_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def stop(_: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    with Client(transport=httpx2.MockTransport(stop)) as client, pytest.raises(KeyboardInterrupt):
        terminal.follow(client, "17", "run of things")
    said = capsys.readouterr().err
    assert "astralytiq job follow 17" in said
    assert "astralytiq job cancel 17" in said


def test_a_wait_that_nobody_looks_at_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    job = {"status": "succeeded", "progress": 1.0, "phase": None, "message": None, "kind": "x"}
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, json=job))
    with Client(transport=answer) as client:
        terminal.follow(client, "17", "run of things")
    assert capsys.readouterr() == ("", "")
