"""The command line: quick help, one-line errors, exit codes, and the same rules as the API."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from astralytiq.cli import app
from astralytiq.client import Client
from tests.journeys.servers import free_port, served

COMMAND = [sys.executable, "-m", "astralytiq.cli"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def modules_for(*arguments: str) -> set[str]:
    """Top-level modules that a command imports."""
    code = (
        "import sys, contextlib, io\n"
        "from astralytiq.cli import app\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    app({list(arguments)!r})\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("arguments", [["--help"], ["source", "--help"], ["up", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"fastapi", "sqlalchemy", "numpy", "pyarrow", "mlflow", "httpx2"}
    assert modules_for(*arguments) & heavy == set()


GROUPS = (
    "user key project task audit source etl data dataset train model predict job telemetry "
    "alert alerts"
)


@pytest.mark.parametrize("group", GROUPS.split())
def test_every_group_explains_itself(group: str) -> None:
    done = run(group, "--help")
    assert done.returncode == 0
    assert "Commands" in done.stdout


def without_examples(group: typer.Typer) -> list[str]:
    own = [one.callback for one in group.registered_commands if one.callback]
    missing = [one.__qualname__ for one in own if "Examples:" not in (one.__doc__ or "")]
    inner = [one.typer_instance for one in group.registered_groups if one.typer_instance]
    return missing + [name for one in inner for name in without_examples(one)]


def test_every_command_has_an_example() -> None:
    assert without_examples(app) == []


def test_commands_work_on_a_local_home_without_a_server(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "inbox").mkdir(parents=True)
    (home / "inbox" / "meters.csv").write_text("id,kwh\n1,5\n2,7\n")
    at_home = ("--home", str(home))

    added = run(*at_home, "source", "add", "meters", "--csv", "meters.csv", "--key", "id")
    assert added.returncode == 0, added.stderr
    ran = run(*at_home, "source", "run", "meters", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["records_inserted"] == 2
    listed = run(*at_home, "data", "list", "--json")
    assert [record["metadata"] for record in json.loads(listed.stdout)] == [
        {"id": 1, "kwh": 5},
        {"id": 2, "kwh": 7},
    ]
    table = run(*at_home, "source", "list")
    assert "meters" in table.stdout
    again = run(*at_home, "source", "add", "meters", "--csv", "meters.csv")
    assert again.returncode == 2
    assert len(again.stderr.strip().splitlines()) == 1
    assert "already" in again.stderr
    missing = run(*at_home, "source", "show", "nothing")
    assert missing.returncode == 2


def test_a_version_that_is_named_as_a_path_is_told_its_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    wrong = run("--home", str(home), "lineage", "show", "model_version", "flowers/3")
    assert (wrong.returncode, "flowers@3" in wrong.stderr) == (2, True)
    assert not home.exists()


def test_a_failed_job_is_exit_code_1_with_the_reason(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "inbox").mkdir(parents=True)
    (home / "inbox" / "gone.csv").write_text("id\n1\n")
    at_home = ("--home", str(home))
    run(*at_home, "source", "add", "gone", "--csv", "gone.csv")
    (home / "inbox" / "gone.csv").unlink()
    done = run(*at_home, "source", "run", "gone")
    assert done.returncode == 1
    assert "gone.csv" in done.stderr


def test_commands_work_on_a_server_with_exactly_its_users_permissions(tmp_path: Path) -> None:
    with served(tmp_path / "home") as server, server.signed_in() as client:
        token = client._http.headers["Authorization"].removeprefix("Bearer ")
        remote = ("--server", server.url, "--token", token)
        assert run(*remote, "source", "list").returncode == 0
        refused = run(*remote, "user", "list")
        assert refused.returncode == 2
        assert "users:read" in refused.stderr
    away = run(*remote, "source", "list")
    assert away.returncode == 1
    assert "does not answer" in away.stderr
    bare = run("--server", server.url.removeprefix("http://"), "source", "list")
    assert (bare.returncode, server.url in bare.stderr) == (2, True)


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("up", "--home", str(tmp_path / "home"), "--port", port)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "--port" in done.stderr


def test_an_unusable_home_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = run("up", "--home", str(tmp_path / "file" / "home"), "--port", str(free_port()))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "--home" in done.stderr


def test_a_home_is_served_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served(home, "up"):
        second = run("up", "--home", str(home), "--port", str(free_port()))
    assert second.returncode == 1
    assert "already" in second.stderr


def test_08_unsafe_production_settings_are_listed_at_once(tmp_path: Path) -> None:
    done = run("up", "--home", str(tmp_path / "home"), ENVIRONMENT="production", DEBUG="true")
    assert done.returncode == 2
    for name in ("SECRET_KEY", "DEBUG", "ALLOWED_HOSTS"):
        assert name in done.stderr


def test_settings_that_do_not_fit_are_named(tmp_path: Path) -> None:
    done = run("up", "--home", str(tmp_path / "home"), LOG_LEVEL="LOUD")
    assert done.returncode == 2
    assert "log_level" in done.stderr.lower()
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_second_start_keeps_everything_and_prints_no_password(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served(home, "up") as first:
        assert "(shown once)" in first.line
        password = first.line.split(" with ")[1].split()[0]
    with served(home, "up") as second:
        assert "(shown once)" not in second.line
        with Client(second.url) as client:
            assert client.sign_in("admin@localhost.local", password)["role"] == "admin"
            page = client.get("/data", params={"source": "sample_data"})
            assert page["total_count"] == 5


def test_the_demo_starts_on_a_home_that_has_an_admin_and_production_refuses_it(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with served(home, "up"):
        pass
    assert not (home / "server.pid").exists()
    with served(home, "demo") as server, server.signed_in() as client:
        assert client.get("/auth/me")["role"] == "data_scientist"
    strict = {"ENVIRONMENT": "production", "SECRET_KEY": "x" * 40, "ALLOWED_HOSTS": "a.example"}
    done = run("up", "--home", str(home), "--port", str(free_port()), **strict)
    assert done.returncode == 1
    assert "demo accounts" in done.stderr


def test_a_first_password_that_was_never_told_is_told_at_the_next_start(tmp_path: Path) -> None:
    """As after a kill between the account's commit and the line that tells its password."""
    home = tmp_path / "home"
    with served(home, "up") as first:
        password = first.line.split(" with ")[1].split()[0]
    (home / "first_password").write_text(password)
    with served(home, "up") as second:
        assert f"with {password} (shown once)" in second.line
    assert not (home / "first_password").exists()


def test_a_configured_password_is_not_printed(tmp_path: Path) -> None:
    with served(tmp_path / "home", "up", ADMIN_PASSWORD="a long secret one") as server:
        assert "secret" not in server.line
        with Client(server.url) as client:
            client.sign_in("admin@localhost.local", "a long secret one")


def test_a_database_that_does_not_answer_is_one_clear_line(tmp_path: Path) -> None:
    away = {"DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/x"}
    at_home = ("--home", str(tmp_path / "home"))
    for command in (("up", *at_home, "--port", "0"), ("migrate", *at_home)):
        done = run(*command, **away)
        assert done.returncode == 1, done.stderr
        assert "DATABASE_URL" in done.stderr
        assert "hidden" not in done.stderr
        assert "Traceback" not in done.stderr


def test_going_back_asks_first_and_keeps_a_copy(tmp_path: Path) -> None:
    home = ("--home", str(tmp_path / "home"))
    run("migrate", *home)
    refused = run("migrate", *home, "--down", "base")
    assert refused.returncode == 1
    unknown = run("migrate", *home, "--down", "9999", "--yes")
    assert (unknown.returncode, "0001" in unknown.stderr) == (1, True)
    done = run("migrate", *home, "--down", "base", "--yes")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "home").glob("*.before-*"))


def test_migrate_says_where_the_database_is(tmp_path: Path) -> None:
    home = ("--home", str(tmp_path / "home"))
    first = run("migrate", *home)
    again = run("migrate", *home)
    assert (first.returncode, again.returncode) == (0, 0)
    assert "already" not in first.stdout
    assert "already" in again.stdout


def test_the_openapi_document_is_printed(tmp_path: Path) -> None:
    done = run("openapi", "--home", str(tmp_path / "home"))
    paths = json.loads(done.stdout)["paths"]
    assert {"/data", "/api/v1/data", "/health", "/api/v1/auth/login"} <= set(paths)


def test_a_version_is_named_by_an_at_sign_or_apart(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    asked = run("--home", home, "model", "reproduce", "flowers")
    assert asked.returncode == 2
    assert "flowers@1" in asked.stderr
    for words in (["flowers@3"], ["flowers", "3"]):
        unknown = run("--home", home, "model", "reproduce", *words)
        assert unknown.returncode == 2
        assert "no model 'flowers'" in unknown.stderr
