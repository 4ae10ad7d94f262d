"""What FastAPI calls for each request is called in the event loop."""

from collections.abc import Iterator
from inspect import isasyncgenfunction, iscoroutinefunction

import pytest
from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from astralytiq import wiring

ROUTERS = (*wiring.routers(), *wiring.root_routers())


def below(dependant: Dependant) -> Iterator[Dependant]:
    for one in dependant.dependencies:
        yield one
        yield from below(one)


def routes(router: APIRouter) -> list[APIRoute]:
    return [route for route in router.routes if isinstance(route, APIRoute)]


@pytest.mark.parametrize("router", ROUTERS, ids=lambda router: router.prefix or "root")
def test_no_door_waits_for_a_thread(router: APIRouter) -> None:
    """A plain function is called in a thread: 0.1 ms of a request, and in line for the lock."""
    plain = {
        f"{route.path}: {getattr(one.call, '__qualname__', one.call)}"
        for route in routes(router)
        for one in (route.dependant, *below(route.dependant))
        if not (iscoroutinefunction(one.call) or isasyncgenfunction(one.call))
    }
    assert not plain
