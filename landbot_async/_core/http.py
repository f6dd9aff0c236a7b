"""The one place that knows httpx: everything else takes `Response` or `Failure`.

No decision rests on httpx's classes: errors are told apart by their names and by the wire's own trace, so that a
client of httpx's successor can be borrowed as well.
"""

from __future__ import annotations

import contextlib
import functools
import math
import ssl
from collections.abc import Mapping
from http.cookiejar import Cookie, CookieJar
from typing import Any, NamedTuple

import anyio
import httpx
from anyio.lowlevel import checkpoint
from httpx import (
    URL,
    AsyncClient,
    Timeout,
)

from .retry import Outcome
from .secret import Secret
from .throttle import NO_PERMIT, Permit
from .version import __version__

__all__ = [
    "PLACES",
    "URL",
    "AsyncClient",
    "Failure",
    "Flight",
    "Response",
    "Timeout",
    "Wire",
    "parsed_url",
    "timeouts",
    "transport_error",
]

# Seconds. httpx's own default; longer risks meeting a server that has just hung up.
_KEEP_ALIVE = 5.0

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"landbot-async/{__version__}",
}
_JSON_HEADERS = {**_HEADERS, "Content-Type": "application/json"}

# Calls in flight at most. At ten starts a second that is room for answers that take three seconds.
PLACES = 32
# Seconds. The longest that a cancelled call queues on in the pool of a borrowed client.
QUEUE_SLICE = 0.5
# Errors that are raised before anything could have been sent, by the names of their classes.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "TicketExpiredError"})


class Response(NamedTuple):
    """An answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        # Without the body, which may hold tokens.
        return f"Response(status={self.status})"


class Failure(NamedTuple):
    """An attempt without an answer."""

    outcome: Outcome
    timed_out: bool
    cause: Exception

    @property
    def queued(self) -> bool:
        """Whether it only waited for a connection of the pool."""
        return type(self.cause).__name__ == "PoolTimeout"

    @property
    def reason(self) -> str:
        """What went wrong, in the words of the library that met it."""
        text = str(self.cause)
        name = type(self.cause).__name__
        return f"{name}: {text}" if text else name


class Flight:
    """How far one attempt has come, by the wire's own trace (the `trace` extension of httpx).

    `scope`, if set, is shielded from cancellation except while the connection is made and the request is under way.
    Those are the phases in which httpcore 1.0.9 cleans up after a cancellation; while a call queues in its pool it
    does not, and loses a connection for good (encode/httpcore, issue 830).
    """

    __slots__ = ("_permit", "last", "scope", "sent")

    def __init__(self, permit: Permit = NO_PERMIT) -> None:
        self._permit = permit
        self.scope: anyio.CancelScope | None = None
        self.sent = False
        self.last = ""

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        self.last = name
        if self.sent:
            return
        if self.scope is not None:
            self.scope.shield = not name.endswith(".started")
        # A proxy is asked to CONNECT first, which sends nothing of the request.
        to_proxy = getattr(info.get("request"), "method", None) == b"CONNECT"
        if name.endswith("send_request_headers.started") and not to_proxy:
            if name.startswith("http11."):
                # HTTP/2 numbers its streams before this moment, in the order of writing: nothing may wait there.
                await self._permit.renew()
            self._permit.started()
            self.sent = True

    @property
    def never_sent(self) -> bool:
        """Whether the trace proves that nothing of the request was written. No trace is no proof."""
        return not self.sent and self.last.startswith("connection.") and self.last.endswith(".failed")


def parsed_url(url: str) -> URL:
    """The URL as httpx wants it.

    Raises:
        ValueError: it cannot be one, for example because it is too long.
    """
    try:
        return URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        reason = str(error)
    raise ValueError(f"the path and its parameters make no URL: {reason}")


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


class Wire:
    """One httpx client, ours or a borrowed one, with the token that goes into each of its requests."""

    def __init__(self, client: AsyncClient | None, token: Secret) -> None:
        self._borrowed = client is not None
        self._client = client
        self._token = token
        self._traced = False  # whether the client's transport has been seen to tell how far a request is
        self._strays: set[tuple[str, str, str]] = set()  # cookies that answers to us have put into the client's jar

    @property
    def closed(self) -> bool:
        """Whether the client was closed: by us, or by its owner."""
        return self._client is not None and self._client.is_closed

    @property
    def client(self) -> AsyncClient:
        """The client borrowed, else one of our own, made when it is first needed."""
        if self._client is None:
            self._client = _new_client()
        return self._client

    def connections(self, url: str) -> int | None:
        """How many connections a borrowed client allows to `url` at a time, where that can be seen.

        httpx offers no public way to ask, and a call that finds no connection would hold its ticket while it waits.
        """
        transport_for = getattr(self._client, "_transport_for_url", None)
        pool = transport_for and getattr(transport_for(httpx.URL(url)), "_pool", None)
        size = getattr(pool, "_max_connections", None)
        return size if isinstance(size, int) and not getattr(pool, "_http2", False) else None

    async def aclose(self) -> None:
        """Close the client if it is ours, with its connections, even if the caller is cancelled meanwhile."""
        if not self._borrowed and self._client is not None:
            with anyio.CancelScope(shield=True):
                await self._client.aclose()

    async def exchange(
        self, method: str, url: URL, content: bytes | None, timeout: Mapping[str, float | None], flight: Flight
    ) -> Response | Failure:
        """Send one request and read its answer whole. Cancelled, it leaves no connection behind.

        The pool of a borrowed client may be full of its owner's calls. Queueing in it is shielded (see `Flight`), in
        slices, so that a cancellation waits for one of them at most.
        """
        if not (self._borrowed and self._traced):
            return await self._attempt(method, url, content, timeout, flight)
        queued_since, patience = anyio.current_time(), timeout["pool"] or math.inf
        while True:
            left = patience - (anyio.current_time() - queued_since)
            sliced = {**timeout, "pool": max(0.001, min(left, QUEUE_SLICE))}
            with anyio.CancelScope(shield=True) as flight.scope:
                result = await self._attempt(method, url, content, sliced, flight)
                if not (isinstance(result, Failure) and result.queued and left > QUEUE_SLICE):
                    return result
            await checkpoint()

    async def _attempt(
        self, method: str, url: URL, content: bytes | None, timeout: Mapping[str, float | None], flight: Flight
    ) -> Response | Failure:
        # The request is built here and not by the client, so that a borrowed one adds nothing of its own to it. The
        # token is no variable of any frame, so that no traceback can show it; and httpx masks it in the request.
        client = self.client
        cookies = {_key(cookie) for cookie in client.cookies.jar}
        try:
            request = httpx.Request(
                method,
                url,
                headers=_HEADERS if content is None else _JSON_HEADERS,
                content=content,
                extensions={"timeout": timeout, "trace": flight},
            )
            request.headers["Authorization"] = f"Token {self._token.reveal()}"
            response = await client.send(request, auth=None, follow_redirects=False)
        except Exception as error:
            names = {cls.__name__ for cls in type(error).__mro__}
            if "HTTPStatusError" in names:
                # A hook of a borrowed client made an error of the answer, before its body was read.
                refused = getattr(error, "response")  # noqa: B009  # not known of every exception
                return Response(refused.status_code, refused.headers, b"")
            if not names & {"RequestError", "OSError"}:
                raise
            # By its name, unless the trace knows better: a hook's own call may have failed after ours was sent.
            never = flight.never_sent or (bool(names & _NEVER_SENT) and not flight.sent)
            outcome = Outcome.NEVER_SENT if never else Outcome.UNKNOWN
            return Failure(outcome, bool(names & {"TimeoutException", "TimeoutError"}), _bare(error))
        except BaseException as cancelled:
            # The frames in which it was cancelled may hold the token.
            cancelled.__traceback__ = None
            raise
        finally:
            self._traced = self._traced or flight.last != ""
        # A response and its stream hold each other, and with them the whole body until the next garbage collection.
        response.stream = httpx.ByteStream(response.content)
        if "set-cookie" in response.headers:
            self._take_back(client.cookies.jar, response.cookies.jar, cookies)
        return Response(response.status_code, response.headers, response.content)

    def _take_back(self, jar: CookieJar, brought: CookieJar, before: set[tuple[str, str, str]]) -> None:
        """Take the cookies of an answer out of the client's jar again: a borrowed client stays as it was."""
        for key in {_key(cookie) for cookie in brought}:
            if key not in before or key in self._strays:
                self._strays.add(key)
                with contextlib.suppress(KeyError):
                    jar.clear(*key)


def _key(cookie: Cookie) -> tuple[str, str, str]:
    return cookie.domain, cookie.path, cookie.name


def _new_client() -> AsyncClient:
    """A client of our own. Its pool is unlimited, because a call that queues in it may lose a connection when it is
    cancelled; the client's places are what bounds the connections.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=PLACES, keepalive_expiry=_KEEP_ALIVE)
    return AsyncClient(verify=_ssl_context(), limits=limits)


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    # Making one takes 30 ms, so there is one in a process.
    return httpx.create_ssl_context()


def _bare(error: Exception) -> Exception:
    """The error without its traceback and its chain: their frames hold the request, and with it the token."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def transport_error(name: str, message: str, request: httpx.Request) -> Exception:
    """The error of httpx's that a transport raises, by the name of its class."""
    error: Exception = getattr(httpx, name)(message, request=request)
    return error
