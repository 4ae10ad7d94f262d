"""A server's answers as a drill wants them: beneath retries, waits and limits, which must cope."""

from collections.abc import AsyncIterator, Callable

import httpx2

from astralytiq.core.http import direct_transport
from astralytiq.engines.etl.faults import ANSWERS, Fault

Due = Callable[[frozenset[str]], Fault | None]
# The least that a server may ask for: we wait longer than that.
AT_ONCE = {"Retry-After": "0"}


class FaultyTransport(httpx2.AsyncBaseTransport):
    """Asks `due` before each request which fault of an answer is to happen now."""

    def __init__(self, due: Due) -> None:
        self._due = due
        self._inner = direct_transport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        fault = self._due(ANSWERS)
        match fault.kind if fault else None:
            case "timeout":
                raise httpx2.ReadTimeout("injected", request=request)
            case "http429":
                return httpx2.Response(429, headers=AT_ONCE, request=request)
            case "http500":
                return httpx2.Response(500, request=request)
        response = await self._inner.handle_async_request(request)
        return cut_off(response) if fault else response

    async def aclose(self) -> None:
        await self._inner.aclose()


def cut_off(response: httpx2.Response) -> httpx2.Response:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    return httpx2.Response(
        response.status_code, headers=response.headers, stream=HalfStream(response.stream),
        extensions=response.extensions,
    )  # fmt: skip


class HalfStream(httpx2.AsyncByteStream):
    """The first half of the first part of a body, then the connection is gone."""

    def __init__(self, whole: httpx2.AsyncByteStream) -> None:
        self._whole = whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._whole:
            yield chunk[: len(chunk) // 2]
            break
        raise httpx2.RemoteProtocolError("injected: the body breaks off")

    async def aclose(self) -> None:
        await self._whole.aclose()
