"""A Landbot on your own machine: in process, without a socket, and nobody real is ever written to.

    async with Sandbox(customers=250) as sandbox:
        async with sandbox.client() as landbot:
            await landbot.customers.send_text(1, "Hello")
        assert sandbox.sent[0].text == "Hello"

It runs on the event loop's clock, so tests in virtual time wait for nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack, get_args

from landbot_async import AsyncLandbot, Event, Limiter, RetryPolicy, TokenBucket
from landbot_async._core.check import choice, finite_number, whole_number
from landbot_async._core.client import METHODS
from landbot_async._core.http import AsyncClient, Timeout
from landbot_async._core.routes import ROUTES

from .api import Api
from .faults import Fault, FaultName, Faults
from .transport import SandboxTransport
from .windows import WINDOWS, WindowName
from .workspace import SandboxChannel, SandboxCustomer, Sent, Workspace

__all__ = ["FaultName", "Sandbox", "SandboxChannel", "SandboxCustomer", "Sent", "WindowName"]


class ClientOptions(TypedDict, total=False):
    """The options of `AsyncLandbot`."""

    token: str
    base_url: str
    limiter: Limiter | None
    retry: RetryPolicy
    timeout: float | Timeout
    total_timeout: float | None
    strict: bool
    http_client: AsyncClient
    on_event: Callable[[Event], None] | None


class Sandbox:
    """A workspace with two channels (8, web chat; 9, WhatsApp) and as many customers as asked for (1, 2, 3, …).

    Args:
        customers: how many there are.
        window: how the limit is counted: `"sliding"`, `"counting"` (refused requests count too), `"fixed"`, `"gcra"`
            or `"off"`. Landbot does not say which is its own.
        rate: requests that are taken in a window.
        per: the window, in seconds.
        latency: seconds that a request and its answer travel, together.
        jitter: seconds that each way may take longer, evenly spread.
        seed: for names, cities, jitter and the chances of faults.

    Attributes:
        base_url: what `base_url` of a client wired to it is.
        token: 40 hex digits, new each time.
    """

    base_url = "https://sandbox.invalid/v1/"

    def __init__(
        self,
        *,
        customers: int = 0,
        window: WindowName = "sliding",
        rate: int = 10,
        per: float = 1.0,
        latency: float = 0.0,
        jitter: float = 0.0,
        seed: int = 0,
    ) -> None:
        if choice("window", window, tuple(WINDOWS)) is None:
            raise TypeError("window must be the name of one, and 'off' is no limit: not None")
        whole_number("seed", seed, at_least=0)
        self.token: str = secrets.token_hex(20)
        self._workspace = Workspace(customers=whole_number("customers", customers, at_least=0), seed=seed)
        self._faults = Faults(seed)
        self._transport = SandboxTransport(
            Api(self._workspace, self.token),
            WINDOWS[window](whole_number("rate", rate, at_least=1), finite_number("per", per, above=0)),
            self._faults,
            base_path="/v1/",
            latency=finite_number("latency", latency, at_least=0),
            jitter=finite_number("jitter", jitter, at_least=0),
            seed=seed,
        )
        self._limiter: Limiter | None = None  # the one that clients of a token share anyway
        if window == "off":
            self._limiter = TokenBucket(1000, burst=1000)
        elif (rate, per) != (10, 1.0):
            self._limiter = TokenBucket(rate, per)
        self._http = AsyncClient(transport=self._transport)

    def __repr__(self) -> str:
        return f"Sandbox(received={self.received}, refused={self.refused}, sent={len(self.sent)})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def client(self, **options: Unpack[ClientOptions]) -> AsyncLandbot:
        """An `AsyncLandbot` wired to this sandbox, with any of its options.

        It keeps to the sandbox's own rate, and to none where the window is `"off"`, unless it is given a limiter.
        """
        given: ClientOptions = {
            "token": self.token,
            "base_url": self.base_url,
            "http_client": self._http,
            "limiter": self._limiter,
            **options,
        }
        return AsyncLandbot(**given)

    @property
    def sent(self) -> Sequence[Sent]:
        """What reached customers, in order."""
        return self._workspace.sent

    @property
    def received(self) -> int:
        """How many requests arrived, refused ones included."""
        return self._transport.received

    @property
    def refused(self) -> int:
        """How many requests the limit refused with 429."""
        return self._transport.refused

    def channel(self, channel_id: int) -> SandboxChannel:
        """A channel, to look at or to change, such as `sandbox.channel(8).active = False`.

        Raises:
            KeyError: there is none.
        """
        return self._workspace.channels[channel_id]

    def customer(self, customer_id: int) -> SandboxCustomer:
        """A customer, to look at or to change, such as `sandbox.customer(1).blocked = True`.

        Raises:
            KeyError: there is none.
        """
        return self._workspace.customers[customer_id]

    def add_customer(self, name: str | None = None, *, place: int | None = None, **details: Any) -> SandboxCustomer:
        """A new customer, at `place` of the listing or at its end; `details` as in `SandboxCustomer`.

        Raises:
            ValueError: there is no channel with the `channel_id` given.
        """
        return self._workspace.add_customer(name, place=place, **details)

    def delete_customer(self, customer_id: int) -> None:
        """Take a customer away, as if somebody else had deleted them.

        Raises:
            KeyError: there is none.
        """
        self._workspace.delete_customer(self.customer(customer_id).id)

    def fault(
        self,
        what: int | FaultName,
        *,
        times: int | None = 1,
        probability: float = 1.0,
        method: str | None = None,
        route: str | None = None,
        after_the_work: bool = False,
    ) -> None:
        """Let something go wrong.

        Args:
            what: a status to answer with (200 to 599), `"lost_answer"` (done, but nobody hears of it), `"cut"` (the
                connection breaks before the work) or `"refused"` (no connection at all).
            times: how often; None never ends. A request that the limit refuses leaves the fault for the next.
            probability: how likely each time, 0 to 1.
            method: only with this HTTP method.
            route: only on this route, such as `"/customers/{customer_id}/send_text/"`.
            after_the_work: for a status: do what was asked before answering so.

        Raises:
            ValueError, TypeError: an argument is out of range, or names nothing that could ever strike.
        """
        if isinstance(what, str):
            choice("what", what, get_args(FaultName))
            if after_the_work:
                raise ValueError(f"after_the_work goes with a status, not with {what!r}")
        else:
            whole_number("what", what, at_least=200, at_most=599)
        if times is not None:
            whole_number("times", times, at_least=1)
        finite_number("probability", probability, at_least=0, at_most=1)
        choice("method", method, METHODS)
        choice("route", route, tuple(known.template for known in ROUTES))
        self._faults.plan(Fault(what, times, probability, method, route, after_the_work))

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()
