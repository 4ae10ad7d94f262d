"""Runs the commands of a document as they stand, with our own commands on the path."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from astralytiq.client import Client
from tests.journeys.servers import served

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 300
# Whatever happens, nothing that the guide started goes on.
CLEAN = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
WORDS = "a password for the guide"
ADMIN = {"email": "admin@example.com", "password": WORDS}


@dataclass(frozen=True)
class Said:
    """What the commands printed: as it came, in one line, and to standard error."""

    text: str
    error: str

    @property
    def line(self) -> str:
        return " ".join(self.text.split())


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


def commands(document: str) -> str:
    return CLEAN + "\n".join(blocks(document, "bash"))


def run(script: str, **environment: str) -> Said:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Said(done.stdout, done.stderr)


@contextmanager
def administered(home: Path) -> Iterator[dict[str, str]]:
    """A server whose admin has signed in; yields the environment of commands that speak to it."""
    account = {f"ADMIN_{name.upper()}": value for name, value in ADMIN.items()}
    with served(home, "up", cwd=ROOT, **account) as server, Client(server.url) as client:
        token = str(client.post("/auth/login", json=ADMIN)["access_token"])
        yield {"ASTRALYTIQ_SERVER": server.url, "ASTRALYTIQ_TOKEN": token}
