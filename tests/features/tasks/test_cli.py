"""Task commands, from end to end on a local home."""

import json
from pathlib import Path

import pytest

from tests.test_cli import run


@pytest.fixture
def home(tmp_path: Path) -> tuple[str, str]:
    return ("--home", str(tmp_path / "home"))


def test_a_task_lives_on_the_command_line(home: tuple[str, str]) -> None:
    added = run(
        *home, "task", "add", "Label the readings", "--priority", "high",
        "--due", "2020-01-31", "--tag", "data", "--tag", "meters", "--json",
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    task = json.loads(added.stdout)
    assert (task["priority"], task["tags"]) == ("high", ["data", "meters"])
    number = str(task["id"])

    late = run(*home, "task", "list", "--overdue", "--q", "label", "--json")
    assert [found["id"] for found in json.loads(late.stdout)] == [task["id"]]
    changed = run(*home, "task", "change", number, "--status", "in_progress", "--json")
    assert json.loads(changed.stdout)["status"] == "in_progress"
    assert "completed" in run(*home, "task", "complete", number).stdout
    stats = json.loads(run(*home, "task", "stats", "--json").stdout)
    assert (stats["completed"], stats["total"]) == (1, 1)
    other = str(json.loads(run(*home, "task", "add", "Sort them", "--json").stdout)["id"])
    some = run(*home, "task", "list", "--limit", "1", "--json")
    assert [found["title"] for found in json.loads(some.stdout)] == ["Sort them"]
    assert some.stderr == "1 of 2: --limit shows others\n"
    assert run(*home, "task", "list").stderr == ""
    assert run(*home, "task", "remove", other).returncode == 0
    assert run(*home, "task", "remove", number).returncode == 0
    assert "nothing yet" in run(*home, "task", "list").stdout


def test_what_is_wrong_is_one_line_and_exit_code_2(home: tuple[str, str]) -> None:
    run(*home, "user", "list")  # the first command of a home also names its first admin
    for arguments in (["show", "7"], ["list", "--status", "done"], ["change", "7"]):
        refused = run(*home, "task", *arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
