"""The one place that knows httpx: everything else takes `Response` or `Failure`.

No decision rests on httpx's classes: errors are told apart by their names and by the trace of the wire, and a request
is made of the library that the client belongs to. So a client of httpx2 can be borrowed as well.
"""

from __future__ import annotations

import functools
import math
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http.cookiejar import Cookie
from traceback import walk_tb
from typing import Any, Final, NamedTuple, Protocol
from weakref import WeakSet

import anyio
import httpx
from httpx import URL, AsyncClient, Timeout

from .body import TooLargeError, read_body
from .environment import new_client
from .exchange import Exchange, ForeignCancellationError
from .retry import Outcome
from .secret import Secret
from .throttle import TicketExpiredError
from .trace import Trace
from .version import __version__

__all__ = [
    "NO_CONTENT",
    "PLACES",
    "URL",
    "AsyncClient",
    "Content",
    "Failure",
    "HTTPClient",
    "HTTPTimeout",
    "MaskedURL",
    "Response",
    "Timeout",
    "Wire",
    "parsed_url",
    "timeouts",
    "transport_error",
]

_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"landbot-async/{__version__}",
}

# Calls in progress at most. At ten starts a second that is room for responses that take three seconds.
PLACES: Final = 32
# Errors that are raised before anything could have been sent, by the names of their classes.
_NEVER_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
# The packages that speak the protocols. An error of any kind that comes from within one is a fault of the wire.
_PROTOCOLS: Final = frozenset({"httpcore", "httpcore2", "h11", "h2", "hpack", "hyperframe", "socksio"})
# Errors of the wire, by the names of their base classes. Two come of a Location. The last two come of hooks: of their
# own calls, and of a response that they close or read in part.
_OF_THE_WIRE: Final = frozenset(
    {"RequestError", "OSError", "InvalidURL", "IDNAError", "HTTPStatusError", "StreamError"}
)


class HTTPClient(Protocol):
    """The parts of an `httpx.AsyncClient` that are used. One of httpx2 has them as well."""

    @property
    def is_closed(self) -> bool:
        """True once it was closed."""
        ...

    async def send(self, request: Any, *, stream: bool = ..., auth: Any = ..., follow_redirects: Any = ...) -> Any:
        """Send a request."""

    async def aclose(self) -> None:
        """Close its connections."""


class HTTPTimeout(Protocol):
    """The part of an `httpx.Timeout` that is used. One of httpx2 has it as well."""

    def as_dict(self) -> dict[str, float | None]:
        """Return the seconds of each phase: connect, read, write, pool."""
        ...


class Response(NamedTuple):
    """A response, read whole.

    Attributes:
        status: the HTTP status.
        headers: its headers.
        body: its body, unpacked.
        complete: false if the body is larger than may be read; then `body` is empty.
        stream: the connection that it came over, if it is known and serves one response at a time.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True
    stream: Any = None

    def __repr__(self) -> str:
        # Without the body, which may hold tokens.
        return f"Response(status={self.status})"


class Failure(NamedTuple):
    """An attempt without a response."""

    outcome: Outcome
    timed_out: bool
    cause: Exception

    @property
    def reason(self) -> str:
        """The error's class and text."""
        text = str(self.cause)
        name = type(self.cause).__name__
        return f"{name}: {text}" if text else name


class MaskedURL(URL):
    """A URL that shows another text than its own, because its path or query holds secrets.

    Attributes:
        shown: the text.
        hidden: true if the request shows that text as well, to httpx's own log and to hooks of a borrowed client.
    """

    def __init__(self, url: str | URL, shown: str, *, hidden: bool = True) -> None:
        super().__init__(url)
        self.shown = shown
        self.hidden = hidden

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"URL({self.shown!r})"


def parsed_url(url: str, shown: str | None = None, *, hidden: bool = True) -> URL:
    """Return the URL as httpx wants it.

    Args:
        url: the URL.
        shown: the text to show in its place, if it holds secrets.
        hidden: true to show that text to httpx as well.

    Raises:
        ValueError: it cannot be one, for example because it is too long.
    """
    try:
        return URL(url) if shown is None else MaskedURL(url, shown, hidden=hidden)
    except (httpx.InvalidURL, UnicodeError) as error:
        reason = str(error)
    raise ValueError(f"the path and its parameters make no URL: {reason}")


def timeouts(timeout: object) -> dict[str, float | None]:
    """Return the four phases of a time-out, in seconds, from a number, an `httpx.Timeout` or one of httpx2."""
    if isinstance(timeout, int | float) and not isinstance(timeout, bool):
        timeout = httpx.Timeout(timeout)
    as_dict = getattr(timeout, "as_dict", None)
    if as_dict is None:
        raise TypeError(f"timeout must be seconds or an httpx.Timeout, not {type(timeout).__name__}")
    phases: dict[str, float | None] = as_dict()
    for phase, seconds in phases.items():
        if seconds is not None and not seconds > 0:
            raise ValueError(f"timeout must be above 0 seconds, not {seconds} ({phase})")
    return phases


class Wire:
    """One httpx client, ours or a borrowed one, with the token that goes into each of its requests.

    Args:
        client: the borrowed client; None makes one of our own when it is first needed.
        token: the token.
        base_url: the URL that most requests go below.
        without_proxy: hosts that our own client does not use the environment's proxies for.
        on_protocol: called when the protocol changes, with true for HTTP/2, which serves many requests on a connection.
    """

    def __init__(
        self,
        client: HTTPClient | None,
        token: Secret,
        base_url: str,
        without_proxy: Iterable[str],
        on_protocol: Callable[[bool], None],
    ) -> None:
        self._borrowed = client is not None
        self._client: Any = client
        self._library = _library_of(client)
        self._stream = _stream_of(self._library)
        # httpx masks the token wherever it shows headers.
        self._headers = self._library.Headers({**_HEADERS, "Authorization": f"Token {token.reveal()}"})
        self._json_headers = self._library.Headers({**self._headers, "Content-Type": "application/json"})
        self._base_url = base_url
        self._without_proxy = without_proxy
        self._on_protocol = on_protocol
        self._multiplexed = False
        self._running: set[Exchange[Response | Failure]] = set()
        self._strays: WeakSet[Cookie] = WeakSet()  # cookies of responses to us that were in the borrowed jar
        # httpcore loses a connection for good if a request is cancelled just when it gets one (encode/httpcore, issue
        # 830). httpx2 has mended that.
        self._loses_connections = type(self._pool).__module__.partition(".")[0] == "httpcore"

    @property
    def closed(self) -> bool:
        """True if the client was closed, by us or by its owner."""
        return self._client is not None and self._client.is_closed

    @property
    def connections(self) -> int | None:
        """The number of connections that a borrowed client allows at a time, if it can be seen.

        A call that finds no connection would hold its ticket while it waits.
        """
        size = getattr(self._pool, "_max_connections", None)
        return size if isinstance(size, int) else None

    def open(self) -> None:
        """Make a client of our own, unless one was borrowed.

        Raises:
            ConfigurationError: httpx cannot use the environment.
        """
        if self._client is None:
            self._client = new_client(PLACES, self._without_proxy)

    async def aclose(self) -> None:
        """Close the client if it is ours, with its connections, even if the caller is cancelled meanwhile."""
        if not self._borrowed and self._client is not None:
            with anyio.CancelScope(shield=True):
                await self._client.aclose()

    async def exchange(
        self, method: str, url: URL, content: Content, timeout: Mapping[str, float | None], trace: Trace
    ) -> Response | Failure:
        """Send one request and read its response whole.

        A caller that is cancelled leaves at once. The request is then ended where that costs no connection, and nothing
        of it is written any more.
        """

        def stop() -> float:
            trace.stop()
            # Without a trace it queues in the pool, or is not there yet. Only a connection or the pool's time-out ends
            # it safely; twice that is for a queue behind the pool's, that of the streams of an HTTP/2 connection.
            queues = self._loses_connections and not trace.last
            return 2 * (timeout["pool"] or math.inf) if queues or trace.beginning else 0.0

        attempt = functools.partial(self._attempt, method, url, content, timeout, trace)
        try:
            return await Exchange(attempt, stop, self._running).result()
        except ForeignCancellationError as error:
            return Failure(Outcome.NEVER_SENT if trace.never_sent else Outcome.UNKNOWN, timed_out=False, cause=error)

    async def drop(self, response: Response) -> None:
        """Close the connection that a response came over, because it cannot be trusted."""
        if response.stream is not None:
            with suppress(Exception):
                await response.stream.aclose()

    async def _attempt(
        self, method: str, url: URL, content: Content, timeout: Mapping[str, float | None], trace: Trace
    ) -> Response | Failure:
        # The request is built here and not by the client, so that a borrowed one adds nothing of its own to it.
        client, library = self._client, self._library
        before = list(client.cookies.jar) if self._borrowed else ()
        request = response = None
        try:
            request = library.Request(
                method,
                url if library is httpx else URL.__str__(url),
                headers=self._headers if content.data is None else self._json_headers,
                content=content.data,
                extensions={"timeout": timeout, "trace": trace},
            )
            request.stream = self._stream(content.data)
            if isinstance(url, MaskedURL) and url.hidden:
                kind: Any = type(request.url)
                request.url = _masked(kind, url.shown)(request.url)
            trace.request = request
            trace.check()
            response = await client.send(request, stream=True, auth=None, follow_redirects=False)
            if self._borrowed and "set-cookie" in response.headers:
                self._take_back(before, response)
            return await self._read(response)
        except Exception as error:
            result = self._result_of(error, request, response, trace)
            if result is None:
                raise
            if trace.full:
                await self._close_full_connections()
            return result
        finally:
            trace.request = None  # they refer to each other

    async def _read(self, response: Any) -> Response:
        try:
            body = await read_body(response)
        except TooLargeError:
            return Response(response.status_code, response.headers, b"", complete=False)
        multiplexed = response.extensions.get("http_version") == b"HTTP/2"
        if multiplexed is not self._multiplexed:
            self._multiplexed = multiplexed
            self._on_protocol(multiplexed)
        stream = None if multiplexed else response.extensions.get("network_stream")
        # A response and its stream refer to each other, and would stay until the next garbage collection.
        response.stream = self._library.ByteStream(body)
        return Response(response.status_code, response.headers, body, stream=stream)

    def _result_of(self, error: Exception, request: Any, response: Any, trace: Trace) -> Response | Failure | None:
        """Return what an error means; None for one that is neither the wire's nor a hook's."""
        names = {cls.__name__ for cls in type(error).__mro__}
        # A hook of a borrowed client may make calls of its own, whose errors tell nothing about this request.
        ours = request is not None and _request_of(error) is request
        if ours and "HTTPStatusError" in names:
            # A hook made an error of the response, before its body was read.
            refused = getattr(error, "response")  # noqa: B009  # not known of every exception
            return Response(refused.status_code, refused.headers, b"")
        if 300 <= trace.status < 400:
            # httpx looks at the Location of a redirect even if it does not follow it.
            return Response(trace.status, self._library.Headers(trace.headers), b"")
        closed = self.closed and isinstance(error, RuntimeError) and not trace.last
        if not (closed or names & _OF_THE_WIRE or isinstance(error, zlib.error) or _is_fault(error)):
            return None
        if response is not None and response.status_code >= 400:
            # The status says what became of the request, whatever became of the body.
            return Response(response.status_code, response.headers, b"")
        # By its name, unless the trace knows better.
        before_writing = (ours and bool(names & _NEVER_SENT)) or isinstance(error, TicketExpiredError)
        never_sent = trace.never_sent or closed or (before_writing and not trace.sent)
        outcome = Outcome.NEVER_SENT if never_sent else Outcome.UNKNOWN
        return Failure(outcome, bool(names & {"TimeoutException", "TimeoutError"}), _bare(error))

    def _take_back(self, before: Iterable[Cookie], response: Any) -> None:
        """Restore the jar of the borrowed client to what it was before the response: docs/decisions.md, "Cookies"."""
        jar = self._client.cookies.jar
        own, present = {_key(cookie): cookie for cookie in before}, {_key(cookie): cookie for cookie in jar}
        for key in {_key(cookie) for cookie in response.cookies.jar}:
            stray, original = present.get(key), own.get(key)
            if stray is None or stray is original:
                continue
            self._strays.add(stray)
            # Another response to us may have brought the original, and it is about to be taken back as well.
            if original is None or original in self._strays:
                jar.clear(*key)
            else:
                jar.set_cookie(original)

    async def _close_full_connections(self) -> None:
        """Close idle HTTP/2 connections, after one had no room for a stream.

        The streams of cancelled requests stay open, because neither httpx nor httpx2 tells the server. A connection
        that has a hundred of them takes no request any more, and would stay in the pool for ever.
        """
        for connection in getattr(self._pool, "connections", ()):
            if "HTTP/2" in connection.info() and connection.is_idle():
                await connection.aclose()

    @property
    def _pool(self) -> Any:
        """The pool of a borrowed client, where it can be seen; httpx offers no public way to ask."""
        transport_for = getattr(self._client, "_transport_for_url", None)
        return transport_for and getattr(transport_for(self._library.URL(self._base_url)), "_pool", None)


class Content:
    """The body of a request. Its `repr` does not show what is in it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | None) -> None:
        self.data: bytes | None = data


NO_CONTENT: Final = Content(None)


def _is_fault(error: Exception) -> bool:
    """Return True if the error was raised within a package of the protocols, and not by a hook."""
    names = [frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in walk_tb(error.__traceback__)]
    packages = [name for name in names if name not in ("anyio", "trio") and name not in sys.stdlib_module_names]
    return packages != [] and packages[-1] in _PROTOCOLS


def _library_of(client: object) -> Any:
    """Return the library that a client belongs to: httpx, or one that is made like it."""
    for cls in reversed(type(client).__mro__):
        if cls.__name__ == "AsyncClient":
            return sys.modules[cls.__module__.partition(".")[0]]
    return httpx


class _Whole:
    """An iterator over one piece of data."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> _Whole:
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data


@functools.cache
def _stream_of(library: Any) -> Any:
    """Return the class of request bodies for a library.

    Its own iterates with a generator, which httpcore does not close when a request is cancelled while it is written. On
    trio that is a ResourceWarning.
    """

    class Stream(library.AsyncByteStream):  # type: ignore[misc]  # its type is not known
        def __init__(self, data: bytes | None) -> None:
            self._data = data or b""

        def __aiter__(self) -> _Whole:
            return _Whole(self._data)

    return Stream


@functools.lru_cache(maxsize=100)
def _masked(kind: Any, shown: str) -> Any:
    """Return a class of URLs, of any library, that show another text."""
    return type(kind.__name__, (kind,), {"__str__": lambda _: shown, "__repr__": lambda _: f"URL({shown!r})"})


def _request_of(error: Exception) -> object:
    """Return the request that an error of httpx is about, if it knows."""
    try:
        return getattr(error, "request", None)
    except RuntimeError:
        return None


def _key(cookie: Cookie) -> tuple[str, str, str]:
    return cookie.domain, cookie.path, cookie.name


def _bare(error: Exception) -> Exception:
    """Return the error without its traceback and its chain: their frames hold the request, and with it the token."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def transport_error(name: str, message: str, request: httpx.Request) -> Exception:
    """Return the error of httpx that a transport raises, by the name of its class."""
    error: Exception = getattr(httpx, name)(message, request=request)
    return error
