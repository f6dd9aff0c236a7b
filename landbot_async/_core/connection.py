"""The state that the copies of one client share: the HTTP client, the limiter, the places, and how they end."""

from __future__ import annotations

import anyio

from .event_loop import LoopBinding
from .http import PLACES, HTTPClient, Wire
from .limiter import Limiter, shared_bucket
from .priority import PrioritySemaphore
from .secret import Secret
from .throttle import Throttle
from .urls import loopback_hosts


def low_places(places: int) -> int:
    """Return how many of the places low calls may take: 24 of 32, so that a normal call finds one free."""
    return max(1, places * 3 // 4)


class Connection:
    """One token at one base URL. It belongs to the loop of its first call: docs/decisions.md, "One event loop"."""

    def __init__(
        self,
        token: Secret,
        base_url: str,
        limiter: Limiter | None,
        client: HTTPClient | None,
        opt_in_base_url: str | None = None,
    ) -> None:
        self.token = token
        self.base_url = base_url
        self.opt_in_base_url = opt_in_base_url
        """The host of WhatsApp's opt-in; None if it is not known, because the base URL is not Landbot's."""
        self.wire: Wire = Wire(client, token, base_url, loopback_hosts(base_url, opt_in_base_url or ""), self._resize)
        size = self.wire.connections
        self._size = PLACES if size is None else max(1, min(PLACES, size))
        self.places: PrioritySemaphore = PrioritySemaphore(self._size, low=low_places(self._size))
        """Given in the order asked, never more than there are connections; a call keeps its own until it ends."""
        self._throttle = None if limiter is None else Throttle(limiter)
        self._loop = LoopBinding("This client")
        self._running = 0
        self._closed = False
        self._waiting: set[anyio.CancelScope] = set()
        self._all_ended = anyio.Event()
        self.cut: bool = False
        """True if nothing is sent any more, by calls that have begun either."""

    @property
    def throttle(self) -> Throttle:
        """The limiter that was passed in, otherwise the one that all clients of this token share in this event loop."""
        if self._throttle is None:
            self._throttle = Throttle(shared_bucket(self.token, self.base_url))
        return self._throttle

    @property
    def closed(self) -> bool:
        """True if new calls are refused: this was closed, or the client that it borrowed was."""
        return self._closed or self.wire.closed

    def open(self) -> None:
        """Take part in the running event loop, and have the HTTP client ready: making one takes too long for a ticket.

        Raises:
            RuntimeError: it belongs to another event loop.
            ConfigurationError: httpx cannot use the environment.
        """
        self._loop.bind()
        if not self._closed:
            self.wire.open()

    def begin(self) -> None:
        """Count a call in, so that `aclose` waits for it."""
        self._running += 1

    def end(self) -> None:
        """Count a call out."""
        self._running -= 1
        if self._closed and not self._running:
            self._all_ended.set()

    def wait(self, scope: anyio.CancelScope) -> None:
        """Note that a call waits within `scope`, which is cancelled if it must not send anything any more."""
        self._waiting.add(scope)
        if self.cut:
            scope.cancel()

    def wait_no_more(self, scope: anyio.CancelScope) -> None:
        """Note that the call of `scope` is on the wire, or has ended."""
        self._waiting.discard(scope)

    def refuse(self) -> None:
        """Let every call that is not on the wire fail now, before it sends anything."""
        self._closed = self.cut = True
        for scope in self._waiting:
            scope.cancel()

    def _resize(self, multiplexed: bool) -> None:
        """Have more places than connections where a connection serves many requests at a time."""
        places = PLACES if multiplexed else self._size
        self.places.resize(places, low=low_places(places))

    async def aclose(self) -> None:
        """Refuse new calls, let the running ones end, then close the HTTP client if it is ours.

        Cancelled while it waits, it closes the client at once. Calls that wait then are refused, and those on the wire
        fail as broken connections do, except one that is just connecting: it may still succeed.

        Raises:
            RuntimeError: it belongs to another event loop.
        """
        self._loop.bind()
        self._closed = True
        try:
            if self._running:
                await self._all_ended.wait()
        finally:
            self.refuse()
            await self.wire.aclose()
