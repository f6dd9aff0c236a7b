"""`Sandbox`: the object that its users hold. It puts the parts together."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack

import anyio
from attrs import evolve

from landbot_async import AsyncApichat, AsyncLandbot, Event, Limiter, RetryPolicy, TokenBucket
from landbot_async._core.arguments import (
    choice,
    filled_text,
    finite_number,
    flag,
    json_value,
    optional_text,
    web_address,
    whole_number,
)
from landbot_async._core.client import METHODS
from landbot_async._core.http import AsyncClient, Timeout

from .apis.apichat import Apichat
from .apis.base import SandboxDisconnect, SandboxRequest, SandboxResponse
from .apis.opt_in import OptIn
from .apis.platform import Platform
from .clock import Clock
from .contents import Contents
from .deliveries.courier import Courier
from .feed import Feed
from .network.faults import Fault, FaultName, Faults
from .network.network import Network
from .network.transport import SandboxTransport
from .network.windows import WINDOWS, WindowName
from .observers import FeedWriter, HookNotifier
from .pace import Pace
from .workspace.bot import Bot
from .workspace.customer_messages import message_content
from .workspace.records import BEGINNING, RefusedError, SandboxMessage
from .workspace.workspace import Workspace

if TYPE_CHECKING:
    from .workspace.storage import Storage

# Unix seconds of the last day in a calendar.
END: Final = 253_402_214_400.0


class ClientOptions(TypedDict, total=False):
    """The options of `Sandbox.apichat`, which are those of both clients."""

    token: str
    """The agent's or channel's token."""
    base_url: str
    """The URL of the API."""
    limiter: Limiter | None
    """The rate limit."""
    retry: RetryPolicy
    """The retries."""
    timeout: float | Timeout
    """The seconds for each phase of one attempt."""
    total_timeout: float | None
    """The seconds for a whole call; None is no limit."""
    strict: bool
    """True raises `ResponseError` for a value of an unexpected type."""
    http_client: AsyncClient
    """The HTTP client; by default one that is wired to the sandbox."""
    on_event: Callable[[Event], None] | None
    """The function that is called with each event."""


class PlatformOptions(ClientOptions, total=False):
    """The options of `Sandbox.client`, which are those of `AsyncLandbot`."""

    opt_in_base_url: str | None
    """The URL of WhatsApp's opt-in."""


class Sandbox(Contents):
    """A workspace with three channels (8, web chat; 9, WhatsApp; 10, APIchat) and customers (1, 2, 3, …) on two.

    Args:
        customers: how many customers there are.
        window: how the limit is counted: `"sliding"`, `"counting"` (refused requests count too), `"fixed"`, `"gcra"`
            or `"off"`. Landbot does not say which is its own.
        rate: requests that are accepted in a window.
        per: the window, in seconds.
        latency: seconds that a request and its response travel, together.
        jitter: seconds that each way may take longer, evenly spread.
        realistic: True takes as long as Landbot does: 0.95 to 1.35 s for a response, 0.2 to 0.7 s more until the
            message's delivery, and 5 to 8 s until that of an event.
        seed: for names, cities, the bot's words, times and the chances of faults.
        epoch: Unix seconds at its beginning, which is when an event loop first reads its clock; None is a fixed past,
            so that two runs are alike.
        token: the agent token that it accepts; None is 40 hex digits, new each time.
        bot: True has a small bot reply to customers whom no agent has, and speak when a bot is launched.
        db: a file to keep it in, created if there is none. The customers of an existing file are its own, whatever
            `customers` says, and so is its token unless one is given. None keeps it in memory.
        external_deliveries: True lets deliveries leave this machine.
    """

    base_url = "https://sandbox.invalid/v1/"
    """The `base_url` of a client wired to it."""
    chat_base_url = "https://sandbox.invalid/chat/v1/"
    """The `base_url` of an `AsyncApichat` that is wired to it."""
    opt_in_base_url = "https://sandbox.invalid/opt-in/"
    """The `opt_in_base_url` of a client that is wired to it."""

    def __init__(
        self,
        *,
        customers: int = 0,
        window: WindowName = "sliding",
        rate: int = 10,
        per: float = 1.0,
        latency: float = 0.0,
        jitter: float = 0.0,
        realistic: bool = False,
        seed: int = 0,
        epoch: float | None = None,
        token: str | None = None,
        bot: bool = True,
        db: str | os.PathLike[str] | None = None,
        external_deliveries: bool = False,
    ) -> None:
        if choice("window", window, tuple(WINDOWS)) is None:
            raise TypeError("window must be the name of one, and 'off' is no limit: not None")
        whole_number("seed", seed, at_least=0)
        whole_number("customers", customers, at_least=0)
        if token is not None:
            filled_text("token", token)
        self.feed: Feed = Feed()
        """The last events, and new ones as they come."""
        self.rate: int = whole_number("rate", rate, at_least=1)
        """The requests that are accepted in a window."""
        self.per: float = finite_number("per", per, above=0)
        """The window, in seconds."""
        self.window: WindowName = window
        """The way in which the limit is counted."""
        clock = Clock(BEGINNING if epoch is None else finite_number("epoch", epoch, at_least=0))
        pace = Pace(
            latency=finite_number("latency", latency, at_least=0),
            jitter=finite_number("jitter", jitter, at_least=0),
            realistic=flag("realistic", realistic),
            seed=seed,
        )
        kept: Mapping[str, str] = {}
        self._storage: Storage | None = None
        if db is not None:
            from .workspace.storage import Storage  # noqa: PLC0415  # imports sqlite3, which nothing else needs

            self._storage = Storage(db)
            kept = self._storage.about()
        # A given token may be somebody's real one, and is not written down.
        own_token = kept.get("token") or secrets.token_hex(20)
        self.token: str = token or own_token
        """The agent token."""
        key = kept.get("key") or secrets.token_hex(16)
        external = flag("external_deliveries", external_deliveries)
        self._courier = Courier(clock, self.feed, pace, external=external, seed=seed)
        workspace = Workspace(customers=0 if kept else customers, seed=seed, unix=clock.unix)
        super().__init__(workspace, clock, self._courier.attempts)
        if self._storage is not None:
            if kept:
                self._storage.restore(self._workspace, clock)
            self._storage.keep(self._workspace, clock, token=own_token, key=key)
            self._workspace.observers.append(self._storage)
        self._workspace.observers += [
            FeedWriter(self._workspace, self.feed, clock),
            HookNotifier(self._workspace, self._courier, key),
        ]
        if flag("bot", bot):
            speaker = Bot(self._workspace, seed)
            self._workspace.observers.append(speaker)
            self._workspace.launch = speaker.launch
        self._open = False
        self._faults = Faults(seed)
        self._apis = (
            Platform(self._workspace, self.token),
            Apichat(self._workspace),
            OptIn(self._workspace, self.token),
        )
        self._network = Network(
            self._apis, partial(WINDOWS[window], rate, per), self._faults, clock, self.feed, pace=pace
        )
        self._limiters: dict[str, Limiter] = {}
        self._transport = SandboxTransport(self._network)
        self._http = AsyncClient(transport=self._transport)

    def __repr__(self) -> str:
        return f"Sandbox(received={self.received}, refused={self.refused}, sent={len(self.sent)})"

    async def __aenter__(self) -> Self:
        if self._open or self._http.is_closed:
            raise RuntimeError(f"This sandbox {'is open already' if self._open else 'was closed: make a new one'}.")
        self._open = True
        self._clock.at()
        await self._courier.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        try:
            await self._courier.close()
        finally:
            if self._storage is not None:
                self._workspace.observers.remove(self._storage)
                self._storage.close()
                self._storage = None
            with anyio.CancelScope(shield=True):
                await self._http.aclose()

    # Clients

    def client(self, **options: Unpack[PlatformOptions]) -> AsyncLandbot:
        """Return an `AsyncLandbot` wired to this sandbox, with any of its options.

        Unless it is given a limiter it keeps to the sandbox's own rate, and to none if the window is `"off"`.
        """
        settings: PlatformOptions = {
            "token": self.token,
            "base_url": self.base_url,
            "opt_in_base_url": self.opt_in_base_url,
            "http_client": self._http,
            "limiter": self._limiter(self.base_url),
            **options,
        }
        return AsyncLandbot(**settings)

    def apichat(self, channel_id: int = 10, **options: Unpack[ClientOptions]) -> AsyncApichat:
        """Return an `AsyncApichat` wired to this sandbox, for the owner of a channel; otherwise like `client`.

        Raises:
            KeyError: there is no such channel.
        """
        settings: ClientOptions = {
            "token": self.channel_token(channel_id),
            "base_url": self.chat_base_url,
            "http_client": self._http,
            "limiter": self._limiter(f"{self.chat_base_url}{channel_id}"),
            **options,
        }
        return AsyncApichat(**settings)

    def _limiter(self, key: str) -> Limiter | None:
        """Return the limiter of a token; None if the client's own does, which clients of a token share anyway."""
        if self.window != "off" and (self.rate, self.per) == (10, 1.0):
            return None
        if key not in self._limiters:
            bucket = TokenBucket(1000, burst=1000) if self.window == "off" else TokenBucket(self.rate, self.per)
            self._limiters[key] = bucket
        return self._limiters[key]

    async def handle(self, request: SandboxRequest) -> SandboxResponse | SandboxDisconnect:
        """Let one request meet faults, limit and API, and return the result. `request.path` is the whole path.

        Any carrier of HTTP can use it.
        """
        return await self._network.carry(self._network.accept(request))

    @property
    def received(self) -> int:
        """The number of requests that arrived, refused ones included."""
        return self._network.received

    @property
    def refused(self) -> int:
        """The number of requests that the limit refused with 429."""
        return self._network.refused

    # Time

    @property
    def now(self) -> float:
        """The time on the sandbox's clock, in Unix seconds."""
        return self._clock.now()

    def tick(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        """Move the sandbox's clock on, and only that: deliveries that are due then are made at once, and whatever waits
        for the event loop's clock keeps waiting.

        Raises:
            ValueError, TypeError: not a number from 0, or beyond the year 9999, where calendars end.
        """
        amounts = {"seconds": seconds, "minutes": minutes, "hours": hours}
        for name, amount in amounts.items():
            finite_number(name, amount, at_least=0)
        moved = seconds + 60 * minutes + 3600 * hours
        if self.now + moved > END:
            raise ValueError("the sandbox's clock ends with the year 9999")
        self._clock.tick(moved)
        self._courier.wake()
        if self._storage is not None:
            self._storage.save_time()

    # Customers who write, and deliveries

    def write(self, customer_id: int, text: str | None = None, *, type: str = "text", **data: Any) -> SandboxMessage:
        """Write as a customer: the message goes into the transcript and to the message hooks of their channel.

        Args:
            customer_id: the customer.
            text: the text; of an image and the like, the caption.
            type: `"text"`, `"button"` (its label as `text`, and `payload`), `"image"`, `"audio"`, `"video"` and
                `"document"` (with `url`), `"location"` (with `latitude`, `longitude`), or anything else.
            data: the rest, as message hooks show it.

        Raises:
            KeyError: there is no such customer.
            ValueError, TypeError: the message is incomplete, or the workspace does not hear the customer: they are
                blocked, or their channel is inactive.
            RuntimeError: outside `async with sandbox`, where no delivery could be made.
        """
        if not self._open:
            raise RuntimeError(
                "write() makes deliveries, so it needs `async with sandbox` (with TestClient: in its portal)."
            )
        self.customer(customer_id)
        content, rest = message_content(
            filled_text("type", type), optional_text("text", text), json_value("data", data)
        )
        try:
            return self._workspace.hear(customer_id, type, content, at=self._clock.at(), data=rest)
        except RefusedError as refusal:
            raise ValueError(f"customer {customer_id} is not heard: {refusal}") from None

    def mount(self, url_prefix: str, app: Any) -> None:
        """Deliver to an ASGI application in this process whatever goes to URLs that start with `url_prefix`.

        The prefix ends at the end of a path segment. An exception of the application counts as a 500.
        """
        self._courier.mount(web_address("url_prefix", url_prefix), app)

    def deliver(self, *, copies: int = 1, disorder: float = 0.0) -> None:
        """Set how the deliveries of messages from now on are made.

        Args:
            copies: how often each is made; copies have the `sentry-trace` of their message, as retries have.
            disorder: the most that each is held back, at random, in seconds: Landbot's own is 0.01 to 0.05.
        """
        self._courier.copies = whole_number("copies", copies, at_least=1)
        self._courier.disorder = float(finite_number("disorder", disorder, at_least=0))

    def redeliver(self, delivery_id: int) -> None:
        """Try a delivery now that waits for its next attempt, or that has failed for good (the newest 1,000 of these).

        Raises:
            KeyError: there is no such delivery, or it was accepted.
        """
        self._courier.retry(delivery_id)

    async def settled(self) -> None:
        """Return when no delivery is due or in progress, and inboxes in this process have handled what reached them.

        If a hook fails, that takes up to 75 seconds. A handler must not wait for it, because it waits for the handler.
        """
        await self._courier.settled()

    # Faults

    def fault(
        self,
        what: int | FaultName,
        *,
        times: int | None = 1,
        probability: float = 1.0,
        method: str | None = None,
        route: str | None = None,
        after_the_work: bool = False,
        latency: float = 0.0,
    ) -> None:
        """Let something go wrong.

        Args:
            what: a status to respond with (200 to 599), or the name of a fault: `"html"`, `"lost_answer"`,
                `"half_body"`, `"cut"`, `"refused"` or `"latency"`. docs/testing.md says what each does.
            times: how often; None never ends. A request that the limit refuses leaves the fault for the next.
            probability: how likely it is each time, from 0 to 1.
            method: only with this HTTP method.
            route: only on this route, such as `"/customers/{customer_id}/send_text/"`.
            after_the_work: for a status and `"html"`: do what was asked before responding so.
            latency: seconds that the response takes longer.

        Raises:
            ValueError, TypeError: an argument is out of range, there is no such fault, or it could never strike.
        """
        if times is not None:
            whole_number("times", times, at_least=1)
        choice("method", method, METHODS)
        choice("route", route, tuple(template for api in self._apis for template in api.paths.templates))
        self._faults.plan(Fault(what, times, probability, method, route, after_the_work, latency))

    @property
    def faults(self) -> Sequence[Fault]:
        """The faults that may still strike, each as it stands now."""
        return [evolve(fault) for fault in self._faults.planned]

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()
