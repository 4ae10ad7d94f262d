"""Runs jobs: the supervised worker process beside the API, or one on a machine of its own."""

import argparse
import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

from astralytiq import home, wiring
from astralytiq.core import executor, logging, memory
from astralytiq.core.resources import opened
from astralytiq.core.settings import Settings


async def work(settings: Settings, owner: str) -> None:
    wiring.load_tables()
    wiring.load_jobs()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with opened(settings) as resources:
        await home.refuse_unmigrated(resources)
        await home.refuse_other_storage(resources)
        memory.settle(memory.OF_WORKERS)
        await executor.run_forever(resources, owner, stop)


def die_with_parent() -> None:
    """End at once when the supervisor is gone: its successor takes our leases back right away.

    The supervisor holds the other end of our standard input; however it dies, the pipe closes.
    """

    def watch() -> None:
        # The bare descriptor: a buffered reader's lock would break our own orderly exit.
        while os.read(0, 1024):
            pass
        os._exit(3)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m astralytiq.worker", description=__doc__)
    parser.add_argument("--home", type=Path, help="the home folder (default: ASTRALYTIQ_HOME)")
    parser.add_argument("--owner", default=f"worker:{os.getpid()}", help="the name in its leases")
    parser.add_argument("--supervised", action="store_true", help="end when standard input closes")
    given = parser.parse_args(arguments)
    settings = Settings(astralytiq_home=given.home) if given.home else Settings()
    logging.configure(settings.log_level)
    if given.supervised:
        die_with_parent()
    try:
        with home.worded(settings):
            asyncio.run(work(settings.checked(), given.owner))
    except home.HomeError as error:
        sys.exit(f"astralytiq: {error}")


if __name__ == "__main__":
    main()
