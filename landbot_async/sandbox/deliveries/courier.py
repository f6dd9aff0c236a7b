"""The courier makes the deliveries: to applications in this process, or over HTTP. All waiting for them is here.

When it is cancelled, which ends it, deliveries that were not made are dropped.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import anyio
import httpx
from attrs import evolve

from landbot_async._core.background import Background, End, Result
from landbot_async._core.event_loop import Notifier
from landbot_async._core.mounted import SupportsIdle, inboxes
from landbot_async._core.urls import this_machine
from landbot_async.sandbox.clock import Clock
from landbot_async.sandbox.feed import Feed
from landbot_async.sandbox.pace import Pace
from landbot_async.sandbox.workspace.records import trim

from .delivery import PATIENCE, Delivery, DeliveryAttempt, accepted, without_secrets

# Deliveries in progress at a time to one receiver.
PLACES: Final = 100
# Attempts that are kept at least: the newest.
ATTEMPTS_KEPT: Final = 50_000
# Deliveries that failed for good and are kept, so that they can be tried once more.
FAILED_KEPT: Final = 1000
# Bytes that a response may have for it to be read, so that its connection is used again.
READ: Final = 65_536
# Characters of a response that are kept, to look at.
ANSWER: Final = 300
# Seconds. Event loops wake timers a little early.
_EARLY: Final = 1e-6
BEYOND: Final = "the URL leads beyond this machine, which takes external_deliveries=True"


class Courier:
    """Delivers messages, again and again until each is accepted or has been tried six times.

    Attributes:
        attempts: the attempts made, in the order they ended; the newest `ATTEMPTS_KEPT` at least.
        copies: how often each message is delivered.
        disorder: the most that each delivery is held back, at random, in seconds.
    """

    def __init__(self, clock: Clock, feed: Feed, pace: Pace, *, external: bool, seed: int) -> None:
        self._clock, self._feed, self._pace, self._external = clock, feed, pace, external
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret
        # The due times and numbers of entries; the entry of a delivery that was planned anew since is out of date.
        self._due: list[tuple[float, int, Delivery]] = []
        self._planned: dict[int, tuple[int, Delivery]] = {}  # by the delivery's id: its valid entry
        self._failed: dict[int, Delivery] = {}
        self._entries = 0
        self._in_progress = 0
        self._places: dict[tuple[int | None, str], anyio.Semaphore] = {}
        self._changed = Notifier()
        self._inboxes: set[SupportsIdle] = set()
        self._mounts: dict[str, httpx.AsyncClient] = {}
        self._http: httpx.AsyncClient | None = None
        self._running = False
        self._tasks = Background()
        self.attempts: list[DeliveryAttempt] = []
        self.copies: int = 1
        self.disorder: float = 0.0
        self._last_id = 0

    def mount(self, prefix: str, app: Any) -> None:
        """Deliver to an ASGI application whatever goes to URLs that start with `prefix`."""
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._mounts[prefix] = httpx.AsyncClient(transport=transport, trust_env=False)

    async def open(self) -> None:
        """Accept and make deliveries from now on.

        On asyncio any task may close what another has opened; on trio the same task must do both.
        """
        await self._tasks.open()
        self._running = True
        self._tasks.start(self._run)

    async def close(self) -> None:
        """End, and return when everything has ended, even if the caller is cancelled meanwhile."""
        await self._tasks.close()

    def post(self, deliveries: Iterable[Delivery], at: float) -> None:
        """Plan deliveries of something that happened at `at`. While nothing is open, they are dropped."""
        if not self._running:
            return
        for delivery in deliveries:
            for _ in range(self.copies):
                self._last_id += 1
                due = self._pace.delivery(at, event=delivery.event)
                held_back = self._random.random() * self.disorder if self.disorder else 0.0
                self._plan(due + held_back, evolve(delivery, id=self._last_id))

    def retry(self, delivery_id: int) -> None:
        """Try a delivery now that waits for its next attempt, or that has failed for good.

        Raises:
            KeyError: there is no such delivery, or it was accepted.
        """
        planned = self._planned.get(delivery_id)
        delivery = self._failed.pop(delivery_id) if planned is None else planned[1]
        self._plan(self._clock.at(), delivery)

    def wake(self) -> None:
        """Look at the clock again, because it was moved."""
        self._changed.notify()

    async def settled(self) -> None:
        """Return when nothing is due or in progress: retries, and messages in the inboxes reached, included."""
        while True:
            while self._planned or self._in_progress:
                await self._changed.wait()
            posted = self._entries
            for inbox in tuple(self._inboxes):
                await inbox.idle()
            # A handler may have written, and so made new deliveries.
            if posted == self._entries:
                return

    async def _run(self) -> None:
        """Make deliveries when they are due, until cancelled."""
        try:
            while True:
                at = self._clock.at()
                while self._due and self._due[0][0] <= at + _EARLY:
                    _, entry, delivery = heapq.heappop(self._due)
                    if self._planned.get(delivery.id, (0,))[0] == entry:
                        del self._planned[delivery.id]
                        self._in_progress += 1
                        delivery.attempts += 1
                        outcomes: list[Outcome] = []
                        ended = partial(self._attempted, delivery, outcomes)
                        self._tasks.start(self._attempt, delivery, outcomes, on_end=ended)
                with anyio.move_on_after(self._due[0][0] - at if self._due else math.inf):
                    await self._changed.wait()
        finally:
            self._running = False
            self._due.clear()
            self._planned.clear()
            self._changed.notify()
            with anyio.CancelScope(shield=True):
                while self._in_progress:
                    await self._changed.wait()
                for client in (*self._mounts.values(), *((self._http,) if self._http else ())):
                    await client.aclose()

    def _plan(self, due: float, delivery: Delivery) -> None:
        self._entries += 1
        self._planned[delivery.id] = self._entries, delivery
        heapq.heappush(self._due, (due, self._entries, delivery))
        self._changed.notify()

    async def _attempt(self, delivery: Delivery, outcomes: list[Outcome]) -> None:
        """Make one attempt, in a task of its own: an application in this process may do to it what it likes."""
        inboxes.set(self._inboxes)  # this task's own context
        places = self._places.setdefault(delivery.receiver, anyio.Semaphore(PLACES))
        try:
            async with places:
                client = self._client(delivery.url)
                outcomes.append(Outcome(error=BEYOND) if client is None else await _send(client, delivery))
        finally:
            if places.value == PLACES:
                self._places.pop(delivery.receiver, None)

    def _attempted(self, delivery: Delivery, outcomes: list[Outcome], result: Result) -> None:
        """Record how an attempt has ended. Nothing here waits, and no task can be harmed."""
        self._in_progress -= 1
        if not self._tasks.ending:
            self._record(delivery, outcomes[0] if outcomes else Outcome(error=_name_of(result)))
        self._changed.notify()

    def _record(self, delivery: Delivery, outcome: Outcome) -> None:
        wait = None if outcome.error == BEYOND else delivery.wait(outcome.status)
        at = self._clock.at()
        attempt = DeliveryAttempt(
            delivery.id,
            delivery.hook_id,
            delivery.customer_id,
            without_secrets(delivery.url),
            delivery.attempts,
            self._clock.unix(at),
            outcome.status,
            outcome.error,
            None if wait is None else self._clock.unix(at + wait),
            delivery.delivery_id,
            delivery.content,
            delivery.sender,
            outcome.answer,
        )
        self.attempts.append(attempt)
        trim(self.attempts, ATTEMPTS_KEPT)
        self._feed.add("delivery", attempt.at, attempt.json())
        if wait is not None:
            self._plan(at + wait, delivery)
        elif not accepted(outcome.status):
            self._failed[delivery.id] = delivery
            if len(self._failed) > FAILED_KEPT:
                del self._failed[next(iter(self._failed))]

    def _client(self, url: str) -> httpx.AsyncClient | None:
        """Return the client that carries a delivery to `url`; None if it may not go there."""
        mounted = [prefix for prefix in self._mounts if _below(url, prefix)]
        if mounted:
            return self._mounts[max(mounted, key=len)]
        if not (self._external or _here(url)):
            return None
        if self._http is None:
            # Nothing from the environment: no proxy, no .netrc. And no limit of the pool, which all receivers share.
            self._http = httpx.AsyncClient(
                trust_env=False,
                timeout=None,  # noqa: S113  # the courier has its own
                follow_redirects=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=PLACES),
            )
        return self._http


def _below(url: str, prefix: str) -> bool:
    return url.startswith(prefix) and (prefix.endswith("/") or url[len(prefix) :][:1] in ("", "/", "?", "#"))


def _here(url: str) -> bool:
    try:
        return this_machine(urlsplit(url).hostname or "")
    except ValueError:
        return False


class Outcome(NamedTuple):
    """The outcome of one attempt: a status and the beginning of the response, or why there is none."""

    status: int | None = None
    error: str | None = None
    answer: str | None = None


def _name_of(result: Result) -> str:
    return "Cancelled" if isinstance(result, End) else type(result.__cause__ or result).__name__


async def _send(client: httpx.AsyncClient, delivery: Delivery) -> Outcome:
    """Make one attempt. An exception of an application in this process is a 500, as with any server."""
    try:
        with anyio.move_on_after(PATIENCE):
            return await _post(client, delivery)
    except Exception as error:  # noqa: BLE001  # whatever it is, a receiver must not end the sandbox
        # By its name alone: its text may repeat what the URL hides.
        return Outcome(error=type(error).__name__)
    return Outcome(error=f"no response within {PATIENCE:g} seconds")


async def _post(client: httpx.AsyncClient, delivery: Delivery) -> Outcome:
    async with client.stream(
        "POST", delivery.url, content=delivery.content, headers=delivery.headers(), follow_redirects=False
    ) as response:
        length = "0" if response.status_code == 204 else response.headers.get("content-length", "")
        body = bytearray()
        if length.isdecimal() and int(length) <= READ:
            # As it came, because a few bytes of gzip may unpack to gigabytes.
            async for part in response.aiter_raw():
                body += part
        packed = "content-encoding" in response.headers
        answer = None if packed else bytes(body).decode("utf-8", "replace")[:ANSWER]
        return Outcome(int(response.status_code), answer=answer)  # an application may send anything
