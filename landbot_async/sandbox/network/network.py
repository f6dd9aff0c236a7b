"""The way to the APIs and back: time, faults, the limit, and the count of it all. Whatever carries HTTP uses it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import anyio

from landbot_async.sandbox.apis.base import NOT_FOUND, Answered, Api, Asked, Broken, Found
from landbot_async.sandbox.clock import Clock
from landbot_async.sandbox.feed import Feed

from .faults import Fault, Faults
from .windows import Window

PAGE: Final = Answered(200, b"<!doctype html><title>Landbot</title><h1>Something else is here</h1>", "text/html")


class Arrival(NamedTuple):
    """A request on its way to an API (None: to none of them), and the fault it will meet."""

    asked: Asked
    api: Api | None
    found: Found
    fault: Fault | None

    @property
    def refused(self) -> bool:
        """Whether nobody listens."""
        return self.fault is not None and self.fault.what == "refused"


class Gate:
    """Carries requests to the APIs, as servers behind a network would.

    Attributes:
        received: how many requests arrived.
        refused: how many of them the limit refused.
    """

    def __init__(
        self,
        apis: Sequence[Api],
        window: Callable[[], Window],
        faults: Faults,
        clock: Clock,
        feed: Feed,
        *,
        latency: float,
        jitter: float,
        seed: int,
    ) -> None:
        self._apis = apis
        self._window = window
        self._windows: dict[tuple[str, str | None], Window] = {}
        self._faults = faults
        self._clock = clock
        self._feed = feed
        self._latency, self._jitter = latency, jitter
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret
        self.received: int = 0
        self.refused: int = 0

    async def handle(self, asked: Asked) -> Answered | Broken:
        """Answer one request, or break the connection as the planned fault says."""
        return await self.carry(self.meet(asked))

    def meet(self, asked: Asked) -> Arrival:
        """Say where a request goes and what it meets. Whoever asks has to `carry` it."""
        for api in self._apis:
            if asked.path.startswith(api.prefix + "/"):
                below = asked._replace(path=asked.path[len(api.prefix) :])
                found = api.find(below)
                return Arrival(below, api, found, self._faults.next(asked.method, found.template or below.path))
        return Arrival(asked, None, Found(None, {}, ()), self._faults.next(asked.method, asked.path))

    async def carry(self, arrival: Arrival, read: Callable[[], Awaitable[bytes]] | None = None) -> Answered | Broken:
        """Let a request travel, arrive, and its answer travel back. Cancelled before it arrives, it meets nothing.

        `read` brings the body, where it is not there yet; a request has arrived when all of it has.
        """
        fault, begun = arrival.fault, self._clock.at()
        if arrival.refused:
            return Broken("refused")
        try:
            await self._travel()
            body = arrival.asked.body if read is None else await read()
        except BaseException:
            self._faults.put_back(fault)
            raise
        self.received += 1
        asked = arrival.asked._replace(at=self._clock.at(), body=body)
        result, over_limit = self._result(arrival._replace(asked=asked))
        status = None
        try:
            await self._travel(fault.latency if fault is not None and not over_limit else 0.0)
            status = result.status if isinstance(result, Answered) else None
        finally:
            self._tell(arrival, status, begun, over_limit=over_limit)
        return result

    def _result(self, arrival: Arrival) -> tuple[Answered | Broken, bool]:
        """What comes of a request that has arrived, and whether it is the limit's refusal.

        Nothing here waits, so nobody can be cancelled between a deed and its record.
        """
        asked, api, found, fault = arrival
        what = None if fault is None else fault.what
        if what == "cut":
            return Broken("cut"), False
        if api is not None and api.known(asked) and not self._admit(api, asked):
            self._faults.put_back(fault)
            self.refused += 1
            return api.too_many(), True
        instead = self._instead(api, what)
        if instead is not None and not (fault and fault.after_the_work):
            return instead, False
        answered = NOT_FOUND if api is None else api.respond(asked, found)
        if what == "lost_answer" or (what == "half_body" and not answered.body):
            return Broken("lost_answer"), False
        if what == "half_body":
            return Broken("half_body", answered), False
        return instead or answered, False

    def _instead(self, api: Api | None, what: int | str | None) -> Answered | None:
        """The answer that a fault gives instead of the API's."""
        if what == "html":
            return PAGE
        if not isinstance(what, int):
            return None
        shaped = api or self._apis[0]
        return shaped.too_many() if what == 429 else shaped.failure(what, "sandbox", "A fault on demand")

    def _admit(self, api: Api, asked: Asked) -> bool:
        key = api.name, asked.authorization
        if key not in self._windows:
            self._windows[key] = self._window()
        return self._windows[key].admit(asked.at)

    def _tell(self, arrival: Arrival, status: int | None, begun: float, *, over_limit: bool) -> None:
        asked, api, found, _ = arrival
        at = self._clock.at()
        self._feed.add(
            "request",
            self._clock.unix(at),
            {
                "api": (api or self._apis[0]).name,
                "method": asked.method,
                "path": (api.prefix if api else "") + asked.path,
                "route": found.template,
                "status": status,
                "refused": over_limit,
                "seconds": at - begun,
            },
        )

    async def _travel(self, longer: float = 0.0) -> None:
        # Even without a delay it lets others run and can be cancelled, as a network does and can.
        await anyio.sleep(self._latency / 2 + self._random.random() * self._jitter + longer)
