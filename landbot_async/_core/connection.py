"""What the copies of one client share: the pool, the limiter, the places, and how they end."""

from __future__ import annotations

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from .bucket import Limiter, shared_bucket
from .errors import ClientClosedError
from .http import AsyncClient, close, new_client, pool_size
from .secret import Secret

# Calls in flight at most. At ten starts a second that is room for answers that take three seconds.
PLACES = 32


class Connection:
    """One token at one base URL. It belongs to the event loop of its first call."""

    def __init__(self, token: Secret, base_url: str, limiter: Limiter | None, lent: AsyncClient | None) -> None:
        self.token = token
        self.base_url = base_url
        self.lent = lent is not None
        self.traced = False
        """Whether the client's transport has been seen to tell how far a request is."""
        self._limiter = limiter
        self._http = lent
        size = None if lent is None else pool_size(lent, base_url)
        self.places = anyio.Semaphore(PLACES if size is None else max(1, min(PLACES, size)), fast_acquire=True)
        """Given in the order asked, never more than there are connections; a call keeps its own until it ends."""
        self._loop: EventLoopToken | None = None
        self._running = 0
        self._closed = False
        self._all_ended = anyio.Event()

    @property
    def limiter(self) -> Limiter:
        """The limiter given, else the one that all clients of this token share in this event loop."""
        if self._limiter is None:
            self._limiter = shared_bucket(self.token.reveal(), self.base_url)
        return self._limiter

    @property
    def http(self) -> AsyncClient:
        """The client lent, else one of our own, made when it is first needed."""
        if self._http is None:
            self._http = new_client()
        return self._http

    def open(self) -> None:
        """Take part in the running event loop.

        Raises:
            ClientClosedError: it was closed.
            RuntimeError: it belongs to another event loop.
        """
        if self._closed:
            raise ClientClosedError("This client is closed: make a new one, and close it when the last call has ended.")
        here = current_token()
        if self._loop is None:
            self._loop = here
        elif self._loop != here:
            raise RuntimeError("This client belongs to another event loop: make one in each event loop that calls it.")

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

        Cancelled while it waits, it closes the pool at once; calls still running then fail as broken connections do.
        """
        self._closed = True
        try:
            if self._running:
                await self._all_ended.wait()
        finally:
            if not self.lent and self._http is not None:
                await close(self._http)
