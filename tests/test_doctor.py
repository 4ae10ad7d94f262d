"""The doctor finds what is wrong, says what to do, and changes nothing."""

import json
from pathlib import Path

import pytest

from astralytiq import doctor, home, migrations
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings
from astralytiq.doctor import Finding, Verdict
from tests.journeys.servers import free_port
from tests.test_cli import run

pytestmark = pytest.mark.anyio


def by_check(found: list[Finding]) -> dict[str, Finding]:
    return {one.check: one for one in found}


async def test_a_home_in_order_is_found_so(resources: Resources) -> None:
    home.prepare(resources.settings)
    found = by_check(await doctor.examine(resources.settings))
    assert found.keys() >= {
        "version", "kernels", "extras", "home", "mail", "database", "clock", "storage", "mlflow",
        "workers", "scheduler",
    }  # fmt: skip
    assert [one for one in found.values() if one.verdict is Verdict.wrong] == []


async def test_a_database_that_is_behind_names_the_command(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "head", lambda: "9999")
    found = by_check(await doctor.examine(resources.settings))["database"]
    assert found.verdict is Verdict.wrong
    assert "astralytiq migrate" in found.detail


async def test_a_database_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://me:hidden-word@127.0.0.1:{free_port()}/x"  # pragma: allowlist secret
    settings = Settings(_env_file=None, astralytiq_home=tmp_path, database_url=url)
    found = by_check(await doctor.examine(settings))
    assert found["database"].verdict is Verdict.wrong
    assert "DATABASE_URL" in found["database"].detail
    assert "hidden-word" not in str(found)
    assert found["mlflow"].verdict is Verdict.ok, "what can be looked at is"


async def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE", 1 << 62)
    found = doctor.of_the_home(Settings(_env_file=None, astralytiq_home=tmp_path))
    assert found.verdict is Verdict.wrong
    assert "make room" in found.detail


def test_the_command_makes_nothing_and_says_so_by_its_exit_code(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    done = run("doctor", "--home", str(folder), "--json", DATABASE_URL="")
    assert done.returncode == 0, done.stderr
    assert {one["check"] for one in json.loads(done.stdout)} >= {"database", "home"}
    assert not folder.exists()
    away = f"postgresql://127.0.0.1:{free_port()}/x"
    done = run("doctor", "--home", str(folder), DATABASE_URL=away)
    assert done.returncode == 1
    assert "DATABASE_URL" in done.stdout


def test_a_served_home_is_told_from_one_that_is_not(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, astralytiq_home=tmp_path)
    assert "not served now" in doctor.of_the_home(settings).detail
    with home.held(settings):
        assert doctor.of_the_home(settings).detail.endswith("served now")
