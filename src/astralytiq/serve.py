"""Serves the API: embedded (workers and clockwork beside it) or on its own."""

import logging
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError

from astralytiq import home, onboarding
from astralytiq.app import Step, create_app
from astralytiq.core import logging as our_logging
from astralytiq.core import memory, scheduler, supervisor
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings

log = logging.getLogger(__name__)

GRACE_SECONDS = 15
SOCKET_BYTES = 64 << 10  # of a message that somebody who watches sends


class ServeError(Exception):
    """The server cannot start; the message says why and what to do."""


class Server(uvicorn.Server):
    """Says when it is ready, and tells the readiness door when it begins to stop."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self.house = app
        self.announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            logging.getLogger("uvicorn.error").setLevel("WARNING")
            memory.settle(memory.OF_SERVERS)
            self.announce()

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop in order; a second signal insists.

        uvicorn's own raises the signal again at the end, and we would die before the home is free.
        """
        self.house.state.stopping = True
        self.force_exit = self.should_exit
        self.should_exit = True


def serve_embedded(settings: Settings, *, demo: bool = False, empty: bool = False) -> None:
    """Everything in one go on one home: API, workers, schedules. Returns when told to stop."""
    our_logging.configure(settings.log_level)
    home.prepare(settings)
    with home.held(settings):
        welcome = onboarding.Welcome(settings)
        setup = partial(onboarding.set_up, welcome=welcome, demo=demo, empty=empty)
        companions = [scheduler.run_forever, keep_workers]
        if demo and not empty:
            companions.append(partial(load_demo, welcome=welcome))
        run(settings, [home.prepare_storage, setup], companions, welcome.line)


def serve_api(settings: Settings) -> None:
    """The API alone; workers and the scheduler run as processes of their own."""
    our_logging.configure(settings.log_level)
    home.prepare(settings)
    welcome = onboarding.Welcome(settings)
    setup = partial(onboarding.set_up, welcome=welcome, demo=False, empty=True)
    run(settings, [home.prepare_storage, setup], [], welcome.line)


async def load_demo(resources: Resources, welcome: onboarding.Welcome) -> None:
    """Its lines come after the one that says where to go."""
    from astralytiq import demo  # noqa: PLC0415 - an ordinary start pays nothing for it

    await welcome.told.wait()
    await demo.load(resources, say)


async def keep_workers(resources: Resources) -> None:
    settings = resources.settings
    command = supervisor.python_module("astralytiq.worker")
    command += ["--supervised", "--home", str(settings.home)]
    await supervisor.run_forever(resources, command, home.instance(settings))


def run(
    settings: Settings,
    setup: Sequence[Step],
    companions: Sequence[Step],
    line: Callable[[int], str],
) -> None:
    with listening(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        app = create_app(settings, setup=setup, companions=companions)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            lifespan="on",
            timeout_graceful_shutdown=GRACE_SECONDS,
            ws_max_size=SOCKET_BYTES,
            # Each socket would have its own compressor of 300 KB; what is told is short.
            ws_per_message_deflate=False,
        )
        server = Server(config, app, lambda: say(line(port)))
        logging.getLogger("uvicorn.error").setLevel(
            "CRITICAL"
        )  # A fault at the start is worded below.
        with suppress(SystemExit):  # Its way to say that the start failed: we word that ourselves.
            server.run(sockets=[listener])
    if not server.started:
        raise ServeError(words_of(app.state.fault, settings)) from None


def words_of(fault: Exception, settings: Settings) -> str:
    if isinstance(fault, (DBAPIError, OSError)):
        return home.database_fault(settings, fault)
    return str(fault) or type(fault).__name__


def listening(host: str, port: int) -> socket.socket:
    """Take the port before anything slow happens, so that a taken one is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ServeError(
            f"{host}:{port} cannot be used ({error.strerror}): stop what listens there, "
            "or choose another with --port."
        ) from None
    listener.listen(2048)
    return listener


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
