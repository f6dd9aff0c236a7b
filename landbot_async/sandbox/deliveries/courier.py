"""Makes the deliveries: to applications in this process, or over HTTP. All waiting for them is here.

Cancelled, which ends it, it leaves what was not delivered undelivered.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import httpx
from attrs import evolve

from landbot_async._core.urls import this_machine
from landbot_async.sandbox.clock import Clock
from landbot_async.sandbox.feed import Feed

from .delivery import PATIENCE, Delivery, DeliveryAttempt, shown

# Deliveries on their way at a time.
PLACES: Final = 100
# Bytes that an answer may have for it to be read, so that its connection is used again. Nobody looks at what it says.
READ: Final = 65_536
# Seconds. Event loops wake timers a little early.
_EARLY: Final = 1e-6
BEYOND: Final = "the URL leads beyond this machine, which takes external_deliveries=True"


class Courier:
    """Delivers what it is given, again and again until it is taken or has been tried often enough.

    Attributes:
        attempts: those made, in the order they ended.
        copies: how often each is delivered.
        disorder: seconds that each is held back at most, at random.
    """

    def __init__(self, clock: Clock, feed: Feed, *, external: bool, seed: int) -> None:
        self._clock, self._feed, self._external = clock, feed, external
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret
        self._due: list[tuple[float, int, Delivery]] = []
        self._entries = 0
        self._under_way = 0
        self._news = anyio.Event()
        self._idle = anyio.Event()
        self._mounts: dict[str, httpx.AsyncClient] = {}
        self._http: httpx.AsyncClient | None = None
        self._running = False
        self.attempts: list[DeliveryAttempt] = []
        self.copies: int = 1
        self.disorder: float = 0.0
        self._last_id = 0

    def mount(self, prefix: str, app: Any) -> None:
        """Deliver to an ASGI application what goes to URLs that begin so."""
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._mounts[prefix] = httpx.AsyncClient(transport=transport, trust_env=False)

    def open(self) -> None:
        """Take deliveries on from now: `run` follows."""
        self._running = True

    def post(self, made: Iterable[Delivery], at: float) -> None:
        """Take deliveries on. While it is not open nobody would make them, so they are dropped."""
        if not self._running:
            return
        for delivery in made:
            for _ in range(self.copies):
                self._last_id += 1
                held_back = self._random.random() * self.disorder if self.disorder else 0.0
                self._plan(at + held_back, evolve(delivery, id=self._last_id))

    def wake(self) -> None:
        """Look at the clock again: it was moved."""
        self._news.set()

    async def settled(self) -> None:
        """Return when nothing is due or on its way any more, retries included."""
        while self._due or self._under_way:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()

    async def run(self) -> None:
        """Make deliveries when they are due, until cancelled."""
        places = anyio.Semaphore(PLACES)
        try:
            async with anyio.create_task_group() as group:
                while True:
                    self._news = anyio.Event()
                    at = self._clock.at()
                    while self._due and self._due[0][0] <= at + _EARLY:
                        self._under_way += 1
                        group.start_soon(self._attempt, heapq.heappop(self._due)[2], places)
                    with anyio.move_on_after(self._due[0][0] - at if self._due else math.inf):
                        await self._news.wait()
        finally:
            self._running = False
            self._due.clear()
            self._under_way = 0
            self._idle.set()
            with anyio.CancelScope(shield=True):
                for client in (*self._mounts.values(), *((self._http,) if self._http else ())):
                    await client.aclose()

    def _plan(self, due: float, delivery: Delivery) -> None:
        self._entries += 1
        heapq.heappush(self._due, (due, self._entries, delivery))
        self._news.set()

    async def _attempt(self, delivery: Delivery, places: anyio.Semaphore) -> None:
        async with places:
            delivery.attempts += 1
            client = self._client(delivery.url)
            status, error = (None, BEYOND) if client is None else await _send(client, delivery)
        wait = None if client is None else delivery.wait(status)
        at = self._clock.at()
        attempt = DeliveryAttempt(
            delivery.id,
            delivery.hook_id,
            delivery.customer_id,
            shown(delivery.url),
            delivery.attempts,
            self._clock.unix(at),
            status,
            error,
            None if wait is None else self._clock.unix(at + wait),
            delivery.delivery_id,
            delivery.body,
        )
        self.attempts.append(attempt)
        self._feed.add("delivery", attempt.at, attempt.json())
        if wait is not None:
            self._plan(at + wait, delivery)
        self._under_way -= 1
        if not (self._due or self._under_way):
            self._idle.set()

    def _client(self, url: str) -> httpx.AsyncClient | None:
        """What carries a delivery to `url`; None where it may not go."""
        mounted = [prefix for prefix in self._mounts if _below(url, prefix)]
        if mounted:
            return self._mounts[max(mounted, key=len)]
        if not (self._external or _here(url)):
            return None
        if self._http is None:
            # Nothing of the environment's: no proxy, no .netrc.
            self._http = httpx.AsyncClient(trust_env=False, timeout=None, follow_redirects=False)  # noqa: S113  # the courier has its own
        return self._http


def _below(url: str, prefix: str) -> bool:
    return url.startswith(prefix) and (prefix.endswith("/") or url[len(prefix) :][:1] in ("", "/", "?", "#"))


def _here(url: str) -> bool:
    try:
        return this_machine(urlsplit(url).hostname or "")
    except ValueError:
        return False


async def _send(client: httpx.AsyncClient, delivery: Delivery) -> tuple[int | None, str | None]:
    """The status that was answered, or what went wrong. What an application raises is a 500, as with any server."""
    try:
        with anyio.move_on_after(PATIENCE):
            return await _post(client, delivery), None
    except Exception as error:  # noqa: BLE001  # whatever it is, a receiver must not end the sandbox
        # By its name alone: its text may repeat what the URL hides.
        return None, type(error).__name__
    return None, f"no answer within {PATIENCE:g} seconds"


async def _post(client: httpx.AsyncClient, delivery: Delivery) -> int:
    async with client.stream(
        "POST", delivery.url, content=delivery.content, headers=delivery.headers(), follow_redirects=False
    ) as response:
        length = "0" if response.status_code == 204 else response.headers.get("content-length", "")
        if length.isdecimal() and int(length) <= READ:
            await response.aread()
        return response.status_code
