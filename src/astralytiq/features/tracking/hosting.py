"""MLflow's own server, loaded into this process when it is first asked for.

Its import takes seconds and some 260 MB: neither belongs to the start of an API where nobody may
ever open it.
"""

import asyncio
import logging
import os
import warnings
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from astralytiq.core.errors import NotFound, Unavailable
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings
from astralytiq.core.tracking import PROXIED, hush, tracker

log = logging.getLogger(__name__)

STORE = "_MLFLOW_SERVER_FILE_STORE"
# What MLflow would do beside keeping runs is off, and would be behind a closed door besides.
SWITCHES = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    "MLFLOW_ENABLE_WORKSPACES": "false",
    # Hosts, origins and headers are checked and set by our own middleware, in front of it.
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": PROXIED,
}


class Hosted:
    """One for each application; MLflow keeps its stores in globals, so a process has one home."""

    def __init__(self, resources: Resources) -> None:
        self._settings = resources.settings
        self._lock = asyncio.Lock()
        self._app: ASGIApp | None = None

    async def app(self) -> ASGIApp:
        refuse_where_it_is_not(self._settings)
        async with self._lock:
            if self._app is None:
                self._app = await self._loaded()
        return self._app

    async def _loaded(self) -> ASGIApp:
        try:
            return await asyncio.to_thread(load, self._settings)
        except Exception as fault:
            log.error("MLflow's server could not be loaded", exc_info=fault)
            raise Unavailable(
                "MLflow's server could not be loaded: the log of the API says why."
            ) from fault

    async def close(self) -> None:
        self._app = None


def hosted(resources: Resources) -> Hosted:
    return resources.own("tracking.hosted", Hosted)


def refuse_where_it_is_not(settings: Settings) -> None:
    if settings.mlflow_uri.startswith(("http://", "https://")):
        raise NotFound(
            "Runs are kept by an MLflow server of their own (MLFLOW_TRACKING_URI): open that one, "
            "and point MLflow's clients at it."
        )
    if not is_installed():
        raise NotFound(
            "MLflow's server is not installed here: pip install 'astralytiq[mlflow]' where the API "
            "runs, then start it again. Runs are tracked without it."
        )


@cache
def is_installed() -> bool:
    """The whole of it: mlflow-skinny, which tracks our own runs, has no server."""
    try:
        distribution("mlflow")
    except PackageNotFoundError:
        return False
    return True


def load(settings: Settings) -> ASGIApp:
    """Blocks for seconds."""
    hush()
    store = tracker(settings)
    if os.environ.get(STORE, store.uri) != store.uri:
        raise RuntimeError("This process serves the MLflow store of another home already.")
    store.client()  # Makes the store, or brings it up to date.
    os.environ.update(SWITCHES)
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = os.environ["_MLFLOW_SERVER_REGISTRY_STORE"] = (
        store.uri
    )
    store.artifact_root.mkdir(parents=True, exist_ok=True)
    destination = store.artifact_root.resolve().as_uri()
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = destination
    handlers: Any = import_module("mlflow.server.handlers")
    handlers.initialize_backend_stores(store.uri, store.uri, PROXIED)
    warnings.filterwarnings("ignore", "starlette.middleware.wsgi is deprecated")  # MLflow's affair
    app: ASGIApp = import_module("mlflow.server.fastapi_app").app
    return app


def page() -> bytes:
    """The page of MLflow's interface, found without importing it."""
    spec = find_spec("mlflow")
    assert spec
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    return (folder / "server" / "js" / "build" / "index.html").read_bytes()
