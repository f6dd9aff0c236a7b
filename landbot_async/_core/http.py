"""The one place that knows httpx: everything else takes `Answer` or `Failure`.

No decision rests on httpx's classes: errors are told apart by their names and by the wire's own trace, so that a
client of httpx's successor can be lent to us as well.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

import anyio
import httpx
from httpx import AsyncBaseTransport, AsyncClient, Request, Response, Timeout

from .retry import Outcome
from .secret import Secret
from .version import __version__

__all__ = [
    "Answer",
    "AsyncBaseTransport",
    "AsyncClient",
    "Failure",
    "Flight",
    "Request",
    "Response",
    "Timeout",
    "close",
    "exchange",
    "new_client",
    "pool_size",
    "timeouts",
    "transport_error",
]

# Seconds. httpx's own default; longer risks meeting a server that has just hung up.
_KEEP_ALIVE = 5.0

_HEADERS = {"Accept": "application/json", "User-Agent": f"landbot-async/{__version__}"}
_JSON_HEADERS = {**_HEADERS, "Content-Type": "application/json"}

# Errors that are raised before anything could have been sent, by the names of their classes.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})


class Answer(NamedTuple):
    """An answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        # Without the body, which may hold tokens.
        return f"Answer(status={self.status})"


class Failure(NamedTuple):
    """An attempt without an answer."""

    outcome: Outcome
    timed_out: bool
    cause: Exception

    @property
    def reason(self) -> str:
        """What went wrong, in the words of the library that met it."""
        text = str(self.cause)
        name = type(self.cause).__name__
        return f"{name}: {text}" if text else name


class Flight:
    """How far one attempt has come, by the wire's own trace (the `trace` extension of httpx).

    `scope`, if given, is shielded from cancellation except while the connection is made and the request is under
    way. Those are the phases in which httpcore 1.0.9 cleans up after a cancellation; while a call queues in its pool
    it does not, and loses a connection for good (encode/httpcore, issue 830).
    """

    __slots__ = ("_scope", "_sent", "last")

    def __init__(self, scope: anyio.CancelScope | None = None) -> None:
        self._scope = scope
        self._sent = False
        self.last = ""

    async def __call__(self, name: str, _info: Mapping[str, Any]) -> None:
        self.last = name
        if self._sent:
            return
        self._sent = name.endswith("send_request_headers.started")
        if self._scope is not None:
            self._scope.shield = not name.endswith(".started")

    @property
    def never_sent(self) -> bool:
        """Whether the trace proves that nothing of the request was written. No trace is no proof."""
        return not self._sent and self.last.startswith("connection.") and self.last.endswith(".failed")


def new_client() -> AsyncClient:
    """A client of our own. Its pool is unlimited, because a call that queues in it may lose a connection when it is
    cancelled; the client's places are what bounds the connections.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=_KEEP_ALIVE)
    return AsyncClient(verify=_ssl_context(), limits=limits)


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    # Making one takes 30 ms, so there is one in a process.
    return httpx.create_ssl_context()


def pool_size(client: AsyncClient, url: str) -> int | None:
    """How many connections a lent client allows to `url` at a time, where that can be seen.

    httpx offers no public way to ask, and a call that finds no connection would hold its ticket while it waits.
    """
    transport_for = getattr(client, "_transport_for_url", None)
    pool = transport_for and getattr(transport_for(httpx.URL(url)), "_pool", None)
    size = getattr(pool, "_max_connections", None)
    return size if isinstance(size, int) and not getattr(pool, "_http2", False) else None


def timeouts(timeout: object) -> dict[str, float | None]:
    """The four phases of a time-out, in seconds, from a number or an `httpx.Timeout`."""
    if isinstance(timeout, int | float) and not isinstance(timeout, bool):
        timeout = Timeout(timeout)
    as_dict = getattr(timeout, "as_dict", None)
    if as_dict is None:
        raise TypeError(f"timeout must be seconds or an httpx.Timeout, not {type(timeout).__name__}")
    phases: dict[str, float | None] = as_dict()
    for phase, seconds in phases.items():
        if seconds is not None and not seconds > 0:
            raise ValueError(f"timeout must be above 0 seconds, not {seconds} ({phase})")
    return phases


async def exchange(  # noqa: PLR0917  # all of one request
    client: AsyncClient,
    method: str,
    url: str,
    token: Secret,
    content: bytes | None,
    timeout: Mapping[str, float | None],
    flight: Flight,
) -> Answer | Failure:
    """Send one request and read its answer whole. Cancelled, it leaves the connection closed.

    The request is built here and not by the client, so that a lent one adds nothing of its own to it; and the token
    is no variable of any frame, so that no traceback can show it.
    """
    try:
        response = await client.send(
            httpx.Request(
                method,
                url,
                headers={
                    **(_HEADERS if content is None else _JSON_HEADERS),
                    "Authorization": f"Token {token.reveal()}",
                },
                content=content,
                extensions={"timeout": timeout, "trace": flight},
            ),
            auth=None,
            follow_redirects=False,
        )
    except Exception as error:
        names = {cls.__name__ for cls in type(error).__mro__}
        if not names & {"RequestError", "OSError"}:
            raise
        never = bool(names & _NEVER_SENT) or flight.never_sent
        outcome = Outcome.NEVER_SENT if never else Outcome.UNKNOWN
        return Failure(outcome, "TimeoutException" in names or "TimeoutError" in names, _bare(error))
    return Answer(response.status_code, response.headers, response.content)


def _bare(error: Exception) -> Exception:
    """The error without its traceback and its chain: their frames hold the request, and with it the token."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def transport_error(name: str, message: str, request: Request) -> Exception:
    """The error of httpx's that a transport raises, by the name of its class."""
    error: Exception = getattr(httpx, name)(message, request=request)
    return error


async def close(client: AsyncClient) -> None:
    """Close the client and its connections, even if the caller is cancelled meanwhile."""
    with anyio.CancelScope(shield=True):
        await client.aclose()
