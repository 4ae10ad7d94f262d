"""Real worker processes on a test's own database and home, forked from one that is warm.

    python -m tests.features.ingestion.workers

It has imported what a worker needs, which takes two seconds, and forks one for each line it reads.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from astralytiq import wiring, worker
from astralytiq.core import http
from astralytiq.core.settings import Settings

ROOT = Path(__file__).parents[3]


class Nursery:
    """Talks to that process, a question and an answer at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, settings: Settings, owner: str) -> int:
        """The id of a new worker."""
        environment = {
            "ENVIRONMENT": "test",
            "DATABASE_URL": settings.database_url,
            "SECRET_KEY": settings.secret_key.get_secret_value(),
            "ALLOW_PRIVATE_SOURCES": "127.0.0.1",
            "LOG_LEVEL": "ERROR",
            **{name: value for name, value in os.environ.items() if name.endswith("_TOKEN")},
        }
        arguments = ["--home", str(settings.home), "--owner", owner]
        return self._ask({"arguments": arguments, "environment": environment})

    def wait(self, pid: int) -> int:
        """What it died of: an exit code, or a signal as a negative number."""
        return self._ask({"pid": pid})

    def _ask(self, question: dict[str, Any]) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    @asynccontextmanager
    async def working(self, settings: Settings, owner: str) -> AsyncIterator[int]:
        """The id of a worker that is told to stop at the end, if it has not died by then."""
        pid = await asyncio.to_thread(self.start, settings, owner)
        try:
            yield pid
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                # Not here: what it still has to store may wait for what we have begun.
                await asyncio.to_thread(self.wait, pid)


@contextmanager
def nursery() -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.features.ingestion.workers"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        yield Nursery(process)
        assert process.stdin
        process.stdin.close()


# In the process of its own -----------------------------------------------------------------------


def main() -> None:
    wiring.load_tables()
    wiring.load_jobs()
    for line in sys.stdin:
        question = json.loads(line)
        if pid := question.get("pid"):
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            answer = os.fork()
            if not answer:
                live(**question)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def live(arguments: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    vars(http)["sleep"] = no_time
    try:
        worker.main(arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


async def no_time(seconds: float) -> None:
    """The pauses between two requests are not waited for."""


if __name__ == "__main__":
    main()
