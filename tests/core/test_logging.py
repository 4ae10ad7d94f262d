"""Logs: one JSON object a line, no secret in it, no forged line."""

import json
import logging
import sys
from typing import Any

import pytest

from astralytiq.core.logging import JsonFormatter, redact


def line(message: str, *arguments: object, **extra: object) -> dict[str, Any]:
    record = logging.LogRecord("t", logging.INFO, "f", 1, message, arguments, None)
    vars(record).update(extra)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    "secret",
    [
        "Authorization: Bearer abc.def.ghi",
        "X-API-Key ak_live_0123456789",
        "postgresql://user:hunter2@host/db",
        "https://api.example/x?token=hunter2&page=1",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        '{"password": "hunter2"}',
    ],
)
def test_26_secrets_in_text_are_redacted(secret: str) -> None:
    shown = json.dumps(line("it says %s", secret))
    for word in ("abc.def", "0123456789", "hunter2", "c2lnbmF0dXJl"):
        assert word not in shown
    assert "redacted" in shown


def test_26_secret_fields_are_redacted_at_any_depth() -> None:
    shown = redact({"headers": [{"Cookie": "a=b"}], "api_key": "k", "path": "/x"})
    assert shown == {"headers": [{"Cookie": "[redacted]"}], "api_key": "[redacted]", "path": "/x"}


def test_a_message_cannot_forge_a_second_line() -> None:
    found = line("name: %s", 'x\n{"level": "error"}\u2028')
    assert found["message"].startswith("name: x\n")


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise ValueError("token=hunter2")
    except ValueError:
        record = logging.LogRecord("t", logging.ERROR, "f", 1, "oh", (), sys.exc_info())
    found = json.loads(JsonFormatter().format(record))
    assert "ValueError" in found["exception"]
    assert "hunter2" not in found["exception"]
