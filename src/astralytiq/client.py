"""Typed HTTP client of our own API: commands, console, examples and tests speak through it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import httpx2

API = "/api/v1"
PAGE = 1000  # the most that a list gives at once
ENDED = ("succeeded", "failed", "cancelled")
Json = Any
Watch = Callable[[dict[str, Any]], None]


class ClientError(Exception):
    """The server refused, or could not be reached. `status` is None when it never answered.

    `faults` are all things that are wrong with the input: `loc` says where, `msg` what.
    """

    def __init__(
        self, detail: str, status: int | None = None, faults: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.faults = faults

    @property
    def is_bad_input(self) -> bool:
        return self.status is not None and 400 <= self.status < 500


class Client:
    """One server, as one user.

    Parameters
    ----------
    url : the server's address, such as ``http://127.0.0.1:8000``
    token : an access token; without one, only what is open to all
    transport : another way to the server than the network
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(
            base_url=url, headers=headers, transport=transport, timeout=60, follow_redirects=False
        )
        # How many things there are, if the last answer was a page of them.
        self.total: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def sign_in(self, account: str, password: str) -> dict[str, Any]:
        """Sign in by email or username; later calls are this user's."""
        body = {"email": account, "password": password}
        answer: dict[str, Any] = self.post("/auth/login", json=body)
        self._http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        user: dict[str, Any] = answer["user"]
        return user

    def get(self, path: str, **options: Any) -> Json:
        return self.call("GET", path, **options)

    def every(self, path: str, params: Mapping[str, Any] | None = None) -> list[Any]:
        """All things of a list, page after page. For what people made, not for histories."""
        found: list[Any] = []
        while True:
            asked = {**(params or {}), "limit": PAGE, "offset": len(found)}
            page = self.get(path, params=asked)
            found += page
            if len(page) < PAGE:
                return found

    def post(self, path: str, **options: Any) -> Json:
        return self.call("POST", path, **options)

    def put(self, path: str, **options: Any) -> Json:
        return self.call("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Json:
        return self.call("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Json:
        return self.call("DELETE", path, **options)

    def call(self, method: str, path: str, **options: Any) -> Json:
        """The JSON of the answer (None when it is empty). `path` is below /api/v1.

        Raises ClientError with the server's own words.
        """
        with self._reached():
            answer = self._http.request(method, API + path, **options)
        if answer.is_error:
            raise ClientError(words_of(answer), answer.status_code, faults_of(answer))
        total = answer.headers.get("X-Total-Count")
        self.total = None if total is None else int(total)
        return answer.json() if answer.content else None

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[bytes]]:
        with self._reached(), self._http.stream("GET", API + path) as answer:
            if answer.is_error:
                answer.read()
                raise ClientError(words_of(answer), answer.status_code)
            yield answer.iter_bytes()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise ClientError(
                f"{self._http.base_url} does not answer ({error}): is the server up?"
            ) from None

    def wait(
        self, job_id: str, watch: Watch | None = None, *, pause: float = 0.3
    ) -> dict[str, Any]:
        """Follow a job to its end; ClientError if it did not succeed."""
        while True:
            job: dict[str, Any] = self.get(f"/jobs/{job_id}")
            if watch:
                watch(job)
            if job["status"] in ENDED:
                break
            time.sleep(pause)
        if job["status"] != "succeeded":
            raise ClientError(f"The job {job['kind']} {job['status']}: {job['error']}")
        return job


def faults_of(answer: httpx2.Response) -> list[dict[str, Any]]:
    try:
        return list(answer.json().get("errors", ()))
    except (ValueError, AttributeError, TypeError):
        return []


def words_of(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.reason_phrase}"
