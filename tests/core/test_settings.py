"""Settings: names, precedence, and what production refuses."""

import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from astralytiq.core.settings import Settings, UnsafeSettings, kept_value


def made(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def test_the_prefix_wins_and_words_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    monkeypatch.setenv("ASTRALYTIQ_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("DEFAULT_ROLE", "viewer")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example")
    settings = made()
    assert (settings.log_level, settings.default_role) == ("DEBUG", "viewer")
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_names_that_shells_export_for_their_own_ends_want_the_prefix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HOST", "PORT", "HOME"):
        monkeypatch.setenv(name, "somewhere")
    settings = made()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.home == Path("astralytiq-home")


def test_production_refuses_everything_unsafe_at_once() -> None:
    with pytest.raises(UnsafeSettings) as refusal:
        made(
            environment="production", debug=True, secret_key="change-me", admin_password="short"
        ).checked()
    for name in ("SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "ADMIN_PASSWORD"):
        assert name in str(refusal.value)


def test_production_starts_with_safe_settings() -> None:
    settings = made(
        environment="production", secret_key="x" * 40, allowed_hosts=("data.example.org",)
    )
    assert settings.checked() is settings


def test_15_an_origin_of_star_is_refused_everywhere() -> None:
    with pytest.raises(UnsafeSettings, match="CORS_ORIGINS"):
        made(cors_origins=("*",)).checked()


def test_loopback_scopes_end_where_others_can_reach_us() -> None:
    assert "data:read" in made().loopback_scopes
    assert made(astralytiq_host="0.0.0.0").loopback_scopes == frozenset()
    assert made(environment="production").loopback_scopes == frozenset()


def test_a_development_key_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    key = kept_value(path)
    assert kept_value(path) == key
    assert len(key) >= 32
    assert len(kept_value(tmp_path / "short", 12)) == 16
    (tmp_path / "short").unlink()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["secret_key"]


def test_secrets_do_not_show_in_a_printed_settings_object() -> None:
    assert "hush" not in repr(made(secret_key="hush", admin_password="hush"))


def test_the_example_file_uncommented_means_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"ASTRALYTIQ_{name.upper()}", raising=False)
    lines = Path(".env.example").read_text().splitlines()
    setting = re.compile(r"# [A-Z0-9_]+=")
    path = tmp_path / ".env"
    path.write_text("\n".join(line.removeprefix("# ") for line in lines if setting.match(line)))
    assert Settings(_env_file=path) == made()


def test_every_setting_is_in_the_example_file() -> None:
    lines = Path(".env.example").read_text().splitlines()
    named = {line[2:].split("=")[0] for line in lines if re.match(r"# [A-Z0-9_]+=", line)}
    prefixed = {"home", "host", "port", "workers"}
    wanted = {
        f"ASTRALYTIQ_{name.upper()}" if name in prefixed else name.upper()
        for name in Settings.model_fields
    }
    assert named == wanted


def test_without_the_extra_the_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astralytiq.core.settings.find_spec", lambda name: None)
    with pytest.raises(UnsafeSettings, match=r"pip install 'astralytiq\[s3\]'"):
        Settings(_env_file=None, storage_url="s3://some-bucket").checked()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"storage_url": "gs://bucket"}, "STORAGE_URL must be a folder"),
        ({"storage_url": "s3://"}, "STORAGE_URL must read s3://bucket"),
        ({"storage_url": "s3://bucket/../x y"}, "STORAGE_URL must read s3://bucket"),
        ({"s3_endpoint_url": "http://key@host"}, "S3_ENDPOINT_URL must read"),
        ({"s3_endpoint_url": "host:9000"}, "S3_ENDPOINT_URL must read"),
        ({"s3_access_key_id": "a"}, "must be set together"),
        ({"storage_url": "s3://own", "source_buckets": ("own/in",)}, "must not list own"),
        ({"storage_url": "s3://own", "source_buckets": ("s3://own/in",)}, "must not list own"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsafeSettings, match=words):
        Settings(_env_file=None, **given).checked()
