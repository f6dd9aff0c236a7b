"""The progress of a request on the wire, as httpx's `trace` extension reports it.

Source: encode.io/httpcore, "Request Extensions", "trace".
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class _Step(enum.Enum):
    """The events that matter."""

    CONNECTING = enum.auto()
    WRITING = enum.auto()
    NOT_WRITTEN = enum.auto()
    WRITTEN = enum.auto()
    RECEIVED = enum.auto()
    OTHER = enum.auto()


@functools.lru_cache(maxsize=100)
def _step(name: str) -> _Step:
    """Return what an event such as `http11.send_request_headers.started` means."""
    match name.partition(".")[2]:
        case "connect_tcp.started" | "connect_unix_socket.started":
            return _Step.CONNECTING
        case "send_request_headers.started":
            return _Step.WRITING
        case "send_request_headers.failed":
            return _Step.NOT_WRITTEN
        case "send_request_body.complete":
            return _Step.WRITTEN
        case "receive_response_headers.complete":
            return _Step.RECEIVED
        case _:
            return _Step.OTHER


class StoppedError(Exception):
    """The caller has left, so nothing of the request is written any more."""


class Permit(Protocol):
    """The right to write one request, as far as a trace needs it."""

    async def renew(self) -> None:
        """Return when the request may be written."""

    def started(self) -> None:
        """Report that the request is being written."""

    def written(self) -> None:
        """Report that the whole request has been written."""


class Trace:
    """The progress of one attempt, as httpx's `trace` extension reports it.

    Args:
        permit: asked before the request is written, and told when it is; None if there is no limiter to tell.
    """

    __slots__ = ("_first", "_permit", "full", "headers", "last", "request", "sent", "status", "stopped")

    def __init__(self, permit: Permit | None = None) -> None:
        self._permit = permit
        self._first = False  # true if the request that is being written is the first one
        self.last: str = ""
        """The last event; empty before the first, and for ever where the transport tells none."""
        self.sent: bool = False
        """True if something of the request may have been written."""
        self.full: bool = False
        """True if the request was not written because its HTTP/2 connection takes no more."""
        self.stopped: bool = False
        """True if nothing may be written any more."""
        self.request: Any = None
        """The request, once there is one."""
        self.status: int = 0
        """The status of the response; 0 before it is there."""
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        """The headers of the response."""

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        self.last = name
        step = _step(name)
        if step is _Step.OTHER:
            return
        if step is _Step.RECEIVED:
            received = info.get("return_value")
            if self.sent and isinstance(received, tuple):
                self.status = next((each for each in received if isinstance(each, int)), 0)
                self.headers = received[-1]
            return
        if step is _Step.WRITTEN:
            if self._permit is not None and self.sent:
                self._permit.written()
            return
        http2 = name.startswith("http2.")
        if step is _Step.NOT_WRITTEN:
            # Where the protocol did not allow it, no byte was written.
            if self._first and _by_protocol(info.get("exception")):
                self.sent = False
                self.full = http2
            return
        self.check()
        # A proxy is asked to CONNECT first, which sends nothing of the request.
        if step is _Step.WRITING and getattr(info.get("request"), "method", None) != b"CONNECT":
            await self._write(http2=http2)

    async def _write(self, *, http2: bool) -> None:
        if self._permit is not None:
            if not http2:
                # HTTP/2 numbers its streams before this moment, in the order of writing: nothing may wait there.
                await self._permit.renew()
                self.check()
            self._permit.started()
        self._first = not self.sent
        self.sent = True

    @property
    def never_sent(self) -> bool:
        """True if the trace proves that nothing of the request was written. The absence of a trace proves nothing."""
        return not self.sent and self.last != "" and not self.last.endswith(".started")

    @property
    def beginning(self) -> bool:
        """True while an HTTP/2 connection is begun for this request.

        httpcore counts the streams of the connection then. Cancelled in the middle of that, it counts one too many for
        good, and other requests on the connection fail with ValueError ("semaphore released too many times").
        """
        return self.last.startswith("http2.send_connection_init.")

    def stop(self) -> None:
        """Let nothing be written any more, by transports that tell nothing either."""
        self.stopped = True
        if self.request is not None:
            # httpx passes no request to a transport that has no stream.
            self.request.stream = None

    def check(self) -> None:
        """Raise `StoppedError` if nothing may be written any more.

        The events in which it is raised are those after which httpcore closes the connection, or drops it as failed.
        """
        if self.stopped:
            raise StoppedError


def _by_protocol(error: object) -> bool:
    """Return True if an error of writing a request says that the protocol did not allow it."""
    cls = type(error)
    return cls.__name__ == "LocalProtocolError" or cls.__module__.partition(".")[0] == "h2"
