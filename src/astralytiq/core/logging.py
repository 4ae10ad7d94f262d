"""Structured logs: one JSON object a line on standard error, with secrets redacted."""

import json
import logging
import re
import sys
from contextlib import nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import msgspec

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)

REDACTED = "[redacted]"
SECRET_NAMES = re.compile(
    r"pass(word|wd)?(_hash)?$|pwd|secret|token|authorization|cookie|api_?key|credential|signature",
    re.IGNORECASE,
)
# Secrets inside text: bearer tokens, API keys, JWTs, passwords in URLs and in query strings.
SECRET_TEXT = re.compile(
    r"(?P<head>bearer\s+|basic\s+|\bak_|://[^/\s:@]+:|"
    r"(?:password|passwd|pwd|token|secret|secret_key|api[_-]?key|[?&]key)[\"']?\s*[=:]\s*[\"']?)"
    r"[^\s\"'&@,}]+",
    re.IGNORECASE,
)
# SECRET_TEXT finds nothing where none of these is, nor a character beyond ASCII.
MARK = re.compile(r"[\s=:_]|[^\x00-\x7f]")
JWT_TEXT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def without_secrets(text: str) -> str:
    """Nearly all text holds none: what no secret can do without is looked for first."""
    if "eyJ" in text:
        text = JWT_TEXT.sub(REDACTED, text)
    if MARK.search(text):
        text = SECRET_TEXT.sub(rf"\g<head>{REDACTED}", text)
    return text


@lru_cache(maxsize=1024)
def names_a_secret(name: str) -> bool:
    return SECRET_NAMES.search(name) is not None


def redact(value: Any, name: str = "") -> Any:
    if name and names_a_secret(name):
        return REDACTED
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    return value


quick = msgspec.json.Encoder(enc_hook=str).encode
ascii_only = json.JSONEncoder(default=str, ensure_ascii=True, separators=(",", ":")).encode


def encode(line: dict[str, Any]) -> str:
    """In ASCII: no character in it begins a line."""
    written = quick(line)
    return written.decode() if written.isascii() else ascii_only(line)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if identifier := request_id.get():
            line["request_id"] = identifier
        extra = {key: value for key, value in vars(record).items() if key not in STANDARD}
        line |= redact(extra)
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return encode(line)


def write_line(log: logging.Logger, level: int, message: str, fields: dict[str, Any]) -> None:
    """As `log.log(level, message, extra=fields)`, for lines that are written with every request.

    Where ours is the only handler the line is made without a record, which takes a third of the
    time; `message` and the names of `fields` are then known to hold no secret.
    """
    handlers = logging.getLogger().handlers
    if len(handlers) != 1 or type(handlers[0]) is not Lines or log.handlers:
        log.log(level, message, extra=fields)
        return
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": "info" if level == logging.INFO else logging.getLevelName(level).lower(),
        "logger": log.name,
        "message": message,
    }
    if identifier := request_id.get():
        line["request_id"] = identifier
    for name, value in fields.items():
        line[name] = without_secrets(value) if isinstance(value, str) else value
    handlers[0].write(encode(line))


class Lines(logging.StreamHandler[TextIO]):
    """Writes our lines to standard error."""

    def write(self, line: str) -> None:
        with self.lock or nullcontext():
            self.stream.write(line + self.terminator)
            self.flush()


NOISY = (
    "uvicorn", "uvicorn.access", "uvicorn.error", "alembic", "mlflow", "httpx2", "botocore",
    "aiobotocore",
)  # fmt: skip


def configure(level: str) -> None:
    handler = Lines(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # No line names its caller, thread or process: to look for them would take a third of its time
    # (the logging HOWTO of Python, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # The middleware writes the access log; libraries speak only when something is wrong.
    # botocore's would show, line by line, what signs our calls to a bucket.
    for noisy in NOISY:
        logging.getLogger(noisy).handlers.clear()
        logging.getLogger(noisy).setLevel("WARNING")
