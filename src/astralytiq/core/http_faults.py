"""What goes wrong between us and another server, in words that say what to do."""

import ssl

import httpx2

from astralytiq.core.addresses import origin, shown
from astralytiq.core.budgets import retry_after
from astralytiq.core.errors import Invalid

PASSING = frozenset({408, 425, 429})  # and 5xx: the same request may succeed later
BROKEN_OFF = (httpx2.RemoteProtocolError, httpx2.ReadError)


class Stumbled(Exception):
    """This attempt failed, the next may not; `wait` is what the server asked for, in seconds."""

    def __init__(self, words: str, wait: float | None = None, status: int | None = None) -> None:
        super().__init__(words)
        self.wait = wait
        self.answered = status


class Refused(Invalid):
    """The server says no, and would again."""

    def __init__(self, words: str, answered: int, url: httpx2.URL) -> None:
        super().__init__(words)
        self.answered = answered
        self.url = url


def refuse_status(url: httpx2.URL, response: httpx2.Response) -> None:
    status = response.status_code
    if status in PASSING or status >= 500:
        wait = retry_after(response.headers.get("retry-after"))
        raise Stumbled(f"answered {status}", wait, status)
    if not 200 <= status < 300:
        remedies = {401: "check auth", 403: "check auth", 404: "check the url", 410: "it is gone"}
        remedy = remedies.get(status, "check url, params and headers")
        words = f"{shown(url)} answered {status} {response.reason_phrase}: {remedy}."
        raise Refused(words, status, url)


def after_redirects(asked: httpx2.URL, refusal: Refused) -> Refused:
    """Another server was not shown the sign-in, and asks for one."""
    if refusal.answered not in (401, 403) or origin(asked) == origin(refusal.url):
        return refusal
    words = (
        f"{shown(asked)} redirects to another server, where the sign-in is not sent, and which "
        f"answered {refusal.answered}: if it has moved there, make {shown(refusal.url)} the url."
    )
    return Refused(words, refusal.answered, refusal.url)


def words_of(trouble: Exception) -> str:
    name = type(trouble).__name__
    if isinstance(trouble, Stumbled):
        return str(trouble)
    if isinstance(trouble, (TimeoutError, httpx2.TimeoutException)):
        return "did not answer in time"
    if isinstance(trouble, BROKEN_OFF):
        return f"{broken(str(trouble))} ({name})"
    return f"could not be reached ({name}){why_unreached(trouble)}"


def broken(said: str) -> str:
    if "without sending a response" in said:
        return "hung up without an answer"
    if said.startswith("illegal"):
        return "did not answer in HTTP: check the port, and whether it begins with https://"
    return "broke off in the middle of its answer"


def why_unreached(trouble: BaseException) -> str:
    """As the innermost cause tells it, in words of ours: theirs may hold addresses."""
    cause: BaseException | None = trouble
    while cause:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f": its certificate cannot be trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return ": it does not speak TLS as we do: check the port, or try http://"
        if isinstance(cause, ConnectionRefusedError):
            return ": nothing listens there: check the port, and that it runs"
        cause = cause.__cause__ or cause.__context__
    return ""


def remedy_of(status: int | None) -> str:
    if status == 429:
        return " It allows fewer requests: send fewer (a source's rate_limit), or ask for more."
    return " That is its own fault: ask its owner, if it lasts." if status else ""
