"""/mlflow: MLflow's own server behind our sign-in, permissions and checks."""

import asyncio
from dataclasses import replace
from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from astralytiq.core.errors import Forbidden, NotFound
from astralytiq.core.security import Actor
from astralytiq.core.web import app_resources, caller

from . import browsing, checking, hosting
from .surface import Need, Rule, rule_of
from .visit import Visit

PREFIX = "/mlflow"
OURS = frozenset({f"{PREFIX}/runs"})  # doors of our own below it


class Gate(BaseRoute):
    path = f"{PREFIX}/{{path}}"

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope.get("path", "")
        is_below = path == PREFIX or path.startswith(f"{PREFIX}/")
        if scope["type"] not in ("http", "websocket") or not is_below or path in OURS:
            return Match.NONE, {}
        return Match.FULL, {"route": self}

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        request = Request(scope, receive)
        actor = await caller(request)
        actor.require(Need.read)
        _ = actor.account_id  # What is done here is somebody's.
        path = scope["path"].removeprefix(PREFIX) or "/"
        if answer := await own_answer(request, path):
            await answer(scope, receive, send)
            return
        rule = allowed(request, actor, path)
        app = await hosting.hosted(app_resources(request)).app()
        await Visit(request, actor, rule, path).go(app, receive, send)


gate = Gate()


async def own_answer(request: Request, path: str) -> Response | None:
    """The interface's page and our script in it: these are not MLflow's to answer."""
    if request.method not in ("GET", "HEAD") or path not in ("/", browsing.SCRIPT_PATH):
        return None
    hosting.refuse_where_it_is_not(app_resources(request).settings)
    if path == browsing.SCRIPT_PATH:
        return Response(browsing.SCRIPT, media_type="text/javascript")
    if not request.scope["raw_path"].endswith(b"/"):  # Its links are relative to the folder.
        return RedirectResponse(f"{request.url.path.rstrip('/')}/", 307)
    headers = {"Content-Security-Policy": browsing.CSP, "Cache-Control": "no-store"}
    content = await asyncio.to_thread(browsing.page)
    return Response(content, media_type="text/html", headers=headers)


def allowed(request: Request, actor: Actor, path: str) -> Rule:
    """The rule that lets this request through."""
    rule = rule_of(request.method, path)
    if rule is None:
        raise NotFound(
            "This part of MLflow is not open here: runs, experiments, models and their files are. "
            "docs/guides/mlflow.md says which, and why."
        )
    request.scope["route"] = replace(rule, path=PREFIX + rule.path)  # A denial's door
    if rule.need is not Need.read:
        actor.require(Need.write)
    if rule.need is Need.delete and not actor.is_admin:
        raise Forbidden("Only an admin may delete here: MLflow does not know whose runs are whose.")
    checking.refuse_path(request.method, path, request.url.query)
    return rule
