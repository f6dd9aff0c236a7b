"""The way to the APIs and back: time, faults, the limit, and the count of it all. Each carrier of HTTP uses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import anyio

from landbot_async.sandbox.apis.base import (
    FIREWALL,
    NOT_FOUND,
    Found,
    HttpApi,
    SandboxDisconnect,
    SandboxRequest,
    SandboxResponse,
    firewalled,
)
from landbot_async.sandbox.clock import Clock
from landbot_async.sandbox.feed import Feed
from landbot_async.sandbox.pace import Pace

from .faults import Fault, Faults
from .windows import Window

# Characters of an error's body that the feed tells.
MOST_OF_AN_ERROR: Final = 300
PAGE: Final = SandboxResponse(200, b"<!doctype html><title>Landbot</title><h1>Something else is here</h1>", "text/html")


class Arrival(NamedTuple):
    """A request on its way to an API (None: to none of them), and the fault that it will meet."""

    request: SandboxRequest
    api: HttpApi | None
    found: Found
    fault: Fault | None

    @property
    def refused(self) -> bool:
        """True if no connection opens."""
        return self.fault is not None and self.fault.kind.connection == "refuse"


class Network:
    """The network in front of the APIs.

    Attributes:
        received: how many requests arrived.
        refused: how many of them the limit refused.
    """

    def __init__(
        self,
        apis: Sequence[HttpApi],
        window: Callable[[], Window],
        faults: Faults,
        clock: Clock,
        feed: Feed,
        *,
        pace: Pace,
    ) -> None:
        self._apis = apis
        self._window = window
        self._windows: dict[tuple[str, str], Window] = {}
        self._faults = faults
        self._clock = clock
        self._feed = feed
        self._pace = pace
        self.received: int = 0
        self.refused: int = 0

    def accept(self, request: SandboxRequest) -> Arrival:
        """Find the API and the fault that a request will meet. The caller has to `carry` it then."""
        for api in self._apis:
            if request.path.startswith(api.prefix + "/"):
                below = request._replace(path=request.path[len(api.prefix) :])
                found = api.find(below)
                return Arrival(below, api, found, self._faults.next(request.method, found.template or below.path))
        return Arrival(request, None, Found(None, {}, ()), self._faults.next(request.method, request.path))

    async def carry(
        self, arrival: Arrival, read: Callable[[], Awaitable[bytes]] | None = None
    ) -> SandboxResponse | SandboxDisconnect:
        """Let a request travel and arrive, and its response travel back.

        A request that is cancelled before it arrives has no effect and uses up no fault. `read` brings the body if it
        is not there yet; a request has arrived when all of it has.
        """
        fault, begun = arrival.fault, self._clock.at()
        if arrival.refused:
            return SandboxDisconnect("refused")
        try:
            await anyio.sleep(self._pace.travel())
            body = arrival.request.body if read is None else await read()
        except BaseException:
            self._faults.put_back(fault)
            raise
        self.received += 1
        now, work = self._clock.at(), self._pace.work()
        self._pace.responds_at = now + work
        result, over_limit = self._result(arrival._replace(request=arrival.request._replace(at=now, body=body)))
        self._pace.responds_at = 0.0
        outcome: SandboxResponse | None = None
        try:
            # Even without a delay this lets others run and can be cancelled, as a network does and can.
            late = fault.latency if fault is not None and not over_limit else 0.0
            await anyio.sleep(self._pace.travel() + work + late)
            outcome = result if isinstance(result, SandboxResponse) else None
        finally:
            self._tell(arrival, outcome, begun, over_limit=over_limit)
        return result

    def _result(self, arrival: Arrival) -> tuple[SandboxResponse | SandboxDisconnect, bool]:
        """Return the result of a request that has arrived, and True if it is the limit's refusal.

        Nothing here waits, so a cancellation cannot come between a change and its record.
        """
        request, api, found, fault = arrival
        if fault is not None and fault.kind.strikes == "before":
            return SandboxDisconnect(str(fault.what)), False
        if firewalled(request.body):
            self._faults.put_back(fault)
            return FIREWALL, False
        token = None if api is None else api.identify(request)
        if api is not None and token is not None and not self._admit((api.limit, token), request.at):
            self._faults.put_back(fault)
            self.refused += 1
            return api.too_many(), True
        instead = None if fault is None else self._instead(api, fault)
        if instead is not None and fault is not None and not fault.after_the_work:
            return instead, False
        response = NOT_FOUND if api is None else api.respond(request, found, token)
        connection = "keep" if fault is None else fault.kind.connection
        if connection == "keep":
            return instead or response, False
        if connection == "half" and response.body:
            return SandboxDisconnect("half_body", response), False
        return SandboxDisconnect("lost_answer"), False  # half of nothing is nothing

    def _instead(self, api: HttpApi | None, fault: Fault) -> SandboxResponse | None:
        """Return the response that a fault gives in place of the API's own."""
        if fault.kind.response == "page":
            return PAGE
        if fault.kind.response == "own":
            return None
        status, shape = int(fault.what), api or self._apis[0]
        return shape.too_many() if status == 429 else shape.failure(status, "sandbox", "A fault on demand")

    def _admit(self, key: tuple[str, str], at: float) -> bool:
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = self._window()
        return window.admit(at)

    def _tell(self, arrival: Arrival, response: SandboxResponse | None, begun: float, *, over_limit: bool) -> None:
        request, api, found, fault = arrival
        at = self._clock.at()
        failed = response is not None and response.status >= 400
        self._feed.add(
            "request",
            self._clock.unix(at),
            {
                "api": (api or self._apis[0]).name,
                "method": request.method,
                "path": request.path if api is None else api.shown_path(request, found),
                "route": found.template,
                "status": None if response is None else response.status,
                "error": response.body.decode()[:MOST_OF_AN_ERROR] if failed and response is not None else None,
                "fault": None if fault is None or over_limit else fault.what,
                "refused": over_limit,
                "seconds": at - begun,
            },
        )
