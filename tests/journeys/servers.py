"""Real server processes for the journeys: started as a user would, and killed as nobody should."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astralytiq.client import Client, ClientError

PATIENCE = 300.0
SCIENTIST = ("data.scientist@astralytiq.com", "ds123")
EMPTY_DEMO = ("demo", "--empty")


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    line: str

    def kill(self) -> None:
        """kill -9: no handler runs, nothing is flushed."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def signed_in(self) -> Client:
        client = Client(self.url)
        client.sign_in(*SCIENTIST)
        return client


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(
    home: Path, *command: str, cwd: Path | None = None, **environment: str
) -> Iterator[Server]:
    """A server on a home, that of the demo without its content unless another is named; yields
    when it has printed its line."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "astralytiq.cli", *(command or EMPTY_DEMO)),
            *("--home", str(home), "--port", str(port)),
        ],
        env={**os.environ, "LOG_LEVEL": "WARNING", **environment},
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        line = process.stdout.readline().strip()
        assert line, f"the server ended with {process.wait(10)} before it was ready"
        yield Server(process, f"http://127.0.0.1:{port}", line)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        process.stdout.close()


def eventually(look: Callable[[], Any], *, pause: float = 0.05) -> Any:
    """The first true answer of `look`."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if found := look():
            return found
        time.sleep(pause)
    raise AssertionError(f"nothing came of {look} within {PATIENCE:g} s")


def ended(client: Client, job_id: str) -> dict[str, Any]:
    try:
        return client.wait(job_id, pause=0.1)
    except ClientError as error:
        raise AssertionError(error.detail) from None
