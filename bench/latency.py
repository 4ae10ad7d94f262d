"""How long each GET takes on the demo's content: health doors within 10 ms, all others within 40.

Every GET of the OpenAPI document is asked one after the other, signed in as the demo's admin, with
names of things that there are. The 95th percentile is that of the whole answer as a client on this
machine has it; beside it stands the processor time of the server for one answer, which tells more
where others use the machine, too. Left out: what streams, what reads everything there is (exports,
the self-tests), and what begins something.
"""

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from loading import free_port, wait_for

HEALTH_MS, OTHER_MS = 10.0, 40.0
ADMIN = {"username": "admin@astralytiq.com", "password": "admin123"}  # pragma: allowlist secret
WHOLE = ("/monitoring/validate/", "/users/me/export", "/audit/verify", "/download", "/export")
PATIENCE = 600
# Of which list a name in a path comes, and by which field.
THINGS = {
    "user_id": ("/users", "id"),
    "project_id": ("/projects", "id"),
    "task_id": ("/tasks", "id"),
    "job_id": ("/jobs", "job_id"),
    "run_id": ("/etl/runs", "run_id"),
    "other_id": ("/etl/runs?offset=1", "run_id"),
    "record_id": ("/data", "id"),
    "dataset_id": ("/datasets", "id"),
    "dashboard_id": ("/dashboards", "id"),
    "source": ("/sources", "name"),
    "device": ("/devices", "device_id"),
    "rule_id": ("/alerts/rules", "id"),
    "channel_id": ("/alerts/channels", "id"),
    "alert_id": ("/alerts", "id"),
    "thing_id": ("/sources", "name"),
}
# What the word before a name in a path says where the name itself does not.
BEFORE = {"sources": ("/sources", "name"), "models": ("/models", "name")}
FIXED = {"other": "1", "version": "1", "kind": "source"}


@dataclass(frozen=True)
class Took:
    """Of one door: its path, status, and milliseconds."""

    path: str
    status: int
    p50: float
    p95: float
    cpu: float  # of the server's main process, for one answer

    @property
    def goal(self) -> float:
        return HEALTH_MS if "/health" in self.path else OTHER_MS

    @property
    def missed(self) -> bool:
        return self.p95 > self.goal


class Client:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Accept": "application/json"}

    def sign_in(self) -> None:
        body = json.dumps(ADMIN)
        headers = {"Content-Type": "application/json"}
        self.connection.request("POST", "/api/v1/auth/login", body, headers)
        token = json.loads(self.connection.getresponse().read())["access_token"]
        self.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> tuple[int, bytes]:
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def rows(self, path: str) -> list[dict[str, Any]]:
        status, body = self.get(f"/api/v1{path}")
        found = json.loads(body) if status == 200 else []
        return found if isinstance(found, list) else list(found.get("data", ()))


@contextmanager
def demo(home: str, port: int) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "astralytiq.cli", "demo", "--home", home]
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LOG_LEVEL": "INFO"},
    )
    try:
        wait_for(port, "/api/v1/health/ready")
        yield psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(60)


def wait_for_content(client: Client) -> None:
    """Until no job waits or runs: the demo is loaded beside the server's first answers."""
    ends, idle = time.monotonic() + PATIENCE, 0
    while idle < 5:
        if time.monotonic() > ends:
            raise SystemExit("The demo's content is not loaded: what follows would mean little.")
        open_ = [job for job in client.rows("/jobs") if job["status"] in ("queued", "running")]
        idle = 0 if open_ or not client.rows("/models") else idle + 1
        time.sleep(1)


def doors(document: dict[str, Any]) -> Iterator[str]:
    for path, operations in document["paths"].items():
        operation = operations.get("get")
        if operation is None or "200" not in operation["responses"]:
            continue
        asked = any(
            p["in"] == "query" and p.get("required") for p in operation.get("parameters", ())
        )
        if not asked and not any(word in path for word in WHOLE):
            yield path


def address(client: Client, path: str, known: dict[tuple[str, str], str]) -> str | None:
    """With things that there are; None where the demo has none of them."""
    for before, name in re.findall(r"([\w}]+)/\{(\w+)\}", path.replace("}/{", "} }/{")):
        value = FIXED.get(name)
        if value is None:
            where = BEFORE.get(before) or THINGS.get(name)
            if where is None:
                return None
            if where not in known:
                rows = client.rows(where[0])
                known[where] = str(rows[0][where[1]]) if rows else ""
            value = known[where]
        if not value:
            return None
        path = path.replace(f"{{{name}}}", value, 1)
    return path


def measure(server: psutil.Process, client: Client, path: str, found: str, repeats: int) -> Took:
    for _ in range(3):
        status, _ = client.get(found)
    times, before = [], spent(server)
    for _ in range(repeats):
        began = time.perf_counter()
        client.get(found)
        times.append((time.perf_counter() - began) * 1000)
    cpu = (spent(server) - before) / repeats * 1000
    return Took(path, status, statistics.median(times), statistics.quantiles(times, n=20)[-1], cpu)


def spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def shown(rows: list[Took], left_out: list[str]) -> None:
    for row in sorted(rows, key=lambda one: -one.p95):
        mark = "   over its goal" if row.missed else ""
        times = f"{row.p95:9.2f} {row.p50:9.2f} {row.cpu:9.2f}"
        print(f"{times}  {row.status}  {row.path}{mark}")  # noqa: T201
    missed = [row for row in rows if row.missed]
    print(f"\n{len(rows)} doors, {len(missed)} over their goals (ms: p95, p50, processor)")  # noqa: T201
    for path in left_out:
        print(f"not asked, for want of a thing to name: {path}")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--home", type=Path, help="a home that has the demo (default: a new one)")
    given = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        home = str(given.home or Path(folder) / "home")
        with demo(home, port) as server:
            shown(*measured(server, Client(port), given.repeats))


def measured(server: psutil.Process, client: Client, repeats: int) -> tuple[list[Took], list[str]]:
    client.sign_in()
    wait_for_content(client)
    rows: list[Took] = []
    left_out: list[str] = []
    known: dict[tuple[str, str], str] = {}
    for path in doors(json.loads(client.get("/openapi.json")[1])):
        found = address(client, path, known)
        if found is None:
            left_out.append(path)
        else:
            rows.append(measure(server, client, path, found, repeats))
    return rows, left_out


if __name__ == "__main__":
    main()
