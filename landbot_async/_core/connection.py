"""What the copies of one client share: the pool, the limiter, the places, and how they end."""

from __future__ import annotations

import anyio

from .event_loop import LoopBinding
from .http import PLACES, AsyncClient, Wire
from .limiter import Limiter, shared_bucket
from .priority import PrioritySemaphore
from .secret import Secret
from .throttle import Throttle

# Of 32 places, those that low calls may take: a normal call finds one of the others free.
LOW_SHARE = 24


class Connection:
    """One token at one base URL. It belongs to the event loop of its first call."""

    def __init__(self, token: Secret, base_url: str, limiter: Limiter | None, client: AsyncClient | None) -> None:
        self.token = token
        self.base_url = base_url
        self.wire = Wire(client, token)
        size = self.wire.connections(base_url)
        places = PLACES if size is None else max(1, min(PLACES, size))
        self.places = PrioritySemaphore(places, low=max(1, places * LOW_SHARE // PLACES))
        """Given in the order asked, never more than there are connections; a call keeps its own until it ends."""
        self._throttle = None if limiter is None else Throttle(limiter)
        self._loop = LoopBinding("This client")
        self._running = 0
        self._closed = False
        self.cut = False
        """Whether the pool was closed while calls were running: none of them sends anything any more."""
        self._all_ended = anyio.Event()

    @property
    def throttle(self) -> Throttle:
        """The limiter passed in, otherwise the one that all clients of this token share in this event loop."""
        if self._throttle is None:
            self._throttle = Throttle(shared_bucket(self.token, self.base_url))
        return self._throttle

    @property
    def closed(self) -> bool:
        """Whether new calls are refused: it was closed, or the client it borrowed was."""
        return self._closed or self.wire.closed

    def open(self) -> None:
        """Take part in the running event loop.

        Raises:
            RuntimeError: it belongs to another event loop.
        """
        self._loop.bind()

    def begin(self) -> None:
        """Count a call in, so that `aclose` waits for it."""
        self._running += 1

    def end(self) -> None:
        """Count a call out."""
        self._running -= 1
        if self._closed and not self._running:
            self._all_ended.set()

    async def aclose(self) -> None:
        """Refuse new calls, let the running ones end, then close the pool if it is ours.

        Cancelled while it waits, it closes the pool at once. Calls that queue then are refused, and those on the wire
        fail as broken connections do, but for one that is just connecting: it may still succeed.

        Raises:
            RuntimeError: it belongs to another event loop.
        """
        self.open()
        self._closed = True
        try:
            if self._running:
                await self._all_ended.wait()
        finally:
            self.cut = True
            await self.wire.aclose()
