"""Project commands, from end to end on a local home and on a server."""

import json
from pathlib import Path

import pytest

from tests.journeys.servers import served
from tests.test_cli import run


@pytest.fixture
def home(tmp_path: Path) -> tuple[str, str]:
    return ("--home", str(tmp_path / "home"))


def test_a_project_lives_on_the_command_line(home: tuple[str, str]) -> None:
    added = run(*home, "project", "add", "churn", "--language", "Python", "--json")
    assert added.returncode == 0, added.stderr
    number = str(json.loads(added.stdout)["id"])
    assert run(*home, "project", "add", "churn").returncode == 2

    changed = run(*home, "project", "change", number, "--status", "on_hold", "--json")
    assert json.loads(changed.stdout)["status"] == "on_hold"
    listed = run(*home, "project", "list", "--language", "python", "--sort", "-name", "--json")
    assert [found["name"] for found in json.loads(listed.stdout)] == ["churn"]
    assert "Python" in run(*home, "project", "show", number).stdout
    summary = json.loads(run(*home, "project", "summary", "--json").stdout)
    assert summary["by_status"]["on_hold"] == 1
    assert run(*home, "project", "remove", number, "--resources", "delete").returncode == 0
    assert "nothing yet" in run(*home, "project", "list").stdout


def test_what_is_wrong_is_one_line_and_exit_code_2(home: tuple[str, str]) -> None:
    run(*home, "user", "list")  # the first command of a home also names its first admin
    for arguments in (["show", "7"], ["list", "--sort", "owner"], ["change", "7"]):
        refused = run(*home, "project", *arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr


def test_a_server_lets_in_whom_a_project_is_shared_with(tmp_path: Path) -> None:
    with served(tmp_path / "home") as server, server.signed_in() as client:
        token = client._http.headers["Authorization"].removeprefix("Bearer ")
        remote = ("--server", server.url, "--token", token)
        made = json.loads(run(*remote, "project", "add", "churn", "--json").stdout)
        number = str(made["id"])
        with server.signed_in() as other:
            analyst = other.sign_in("analyst@astralytiq.com", "analyst123")["id"]
            assert other.get("/projects") == []
            shared = run(*remote, "project", "share", number, str(analyst), "--role", "viewer")
            assert shared.returncode == 0, shared.stderr
            assert [found["name"] for found in other.get("/projects")] == ["churn"]
            assert run(*remote, "project", "unshare", number, str(analyst)).returncode == 0
            assert other.get("/projects") == []
