"""`Sandbox`: the object that its users hold."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack, get_args

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
from .apis.base import Answered, Asked, Broken
from .apis.platform import Platform
from .assertions import not_as_wanted, not_nothing
from .clock import Clock
from .deliveries.courier import Courier
from .deliveries.delivery import DeliveryAttempt
from .feed import Feed
from .network.faults import Fault, FaultName, Faults
from .network.network import Gate
from .network.transport import SandboxTransport
from .network.windows import WINDOWS, WindowName
from .observers import Dispatcher, FeedWriter
from .workspace.bot import Bot
from .workspace.customer_messages import spoken
from .workspace.records import BEGINNING, RefusedError, SandboxChannel, SandboxCustomer, SandboxMessage, Sent
from .workspace.workspace import Workspace

if TYPE_CHECKING:
    from .workspace.storage import Storage

# Unix seconds of the last day that a calendar has.
END: Final = 253_402_214_400.0


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
    """A workspace with three channels (8, web chat; 9, WhatsApp; 10, APIchat) and customers (1, 2, 3, …) on two.

    Args:
        customers: how many there are.
        window: how the limit is counted: `"sliding"`, `"counting"` (refused requests count too), `"fixed"`, `"gcra"`
            or `"off"`. Landbot does not say which is its own.
        rate: requests that are taken in a window.
        per: the window, in seconds.
        latency: seconds that a request and its answer travel, together.
        jitter: seconds that each way may take longer, evenly spread.
        seed: for names, cities, the bot's words, jitter and the chances of faults.
        epoch: Unix seconds at its beginning, which is when an event loop first looks at it; None is a fixed past,
            so that two runs are alike.
        token: the agent token it takes; None is 40 hex digits, new each time.
        bot: whether a small bot answers customers whom no agent has, and speaks where a bot is launched.
        db: a file to keep it in, made where there is none: the customers of an existing one are its own, whatever
            `customers` says, and so is its token unless one is given. None keeps it in memory.
        external_deliveries: whether deliveries may go beyond this machine.

    Attributes:
        base_url: what `base_url` of a client wired to it is.
        chat_base_url: the same for APIchat.
        token: the agent token.
        feed: what happened, and what happens.
    """

    base_url = "https://sandbox.invalid/v1/"
    chat_base_url = "https://sandbox.invalid/chat/v1/"

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
        self.rate: int = whole_number("rate", rate, at_least=1)
        self.per: float = finite_number("per", per, above=0)
        self.window: WindowName = window
        self._clock = Clock(BEGINNING if epoch is None else finite_number("epoch", epoch, at_least=0))
        kept: Mapping[str, str] = {}
        self._storage: Storage | None = None
        if db is not None:
            from .workspace.storage import Storage  # noqa: PLC0415  # brings sqlite3, which nothing else needs

            self._storage = Storage(db)
            kept = self._storage.about()
        # One that is given may be somebody's real one, and is not written down.
        own_token = kept.get("token") or secrets.token_hex(20)
        self.token: str = token or own_token
        key = kept.get("key") or secrets.token_hex(16)
        self._workspace = Workspace(customers=0 if kept else customers, seed=seed, unix=self._clock.unix)
        if self._storage is not None:
            if kept:
                self._storage.restore(self._workspace, self._clock)
            self._storage.keep(self._workspace, self._clock, token=own_token, key=key)
            self._workspace.watches.append(self._storage)
        self._workspace.watches.append(FeedWriter(self._workspace, self.feed, self._clock))
        self._courier = Courier(
            self._clock, self.feed, external=flag("external_deliveries", external_deliveries), seed=seed
        )
        self._workspace.watches.append(Dispatcher(self._workspace, self._courier, key))
        if flag("bot", bot):
            speaker = Bot(self._workspace, seed)
            self._workspace.watches.append(speaker)
            self._workspace.launch = speaker.launch
        self._rooms = AsyncExitStack()
        self._open = False
        self._faults = Faults(seed)
        self._apis = (Platform(self._workspace, self.token), Apichat(self._workspace))
        self._gate = Gate(
            self._apis,
            partial(WINDOWS[window], rate, per),
            self._faults,
            self._clock,
            self.feed,
            latency=finite_number("latency", latency, at_least=0),
            jitter=finite_number("jitter", jitter, at_least=0),
            seed=seed,
        )
        self._limiters: dict[str, Limiter] = {}
        self._transport = SandboxTransport(self._gate)
        self._http = AsyncClient(transport=self._transport)

    def __repr__(self) -> str:
        return f"Sandbox(received={self.received}, refused={self.refused}, sent={len(self.sent)})"

    async def __aenter__(self) -> Self:
        if self._open or self._http.is_closed:
            raise RuntimeError(f"This sandbox {'is open already' if self._open else 'was closed: make a new one'}.")
        self._open = True
        self._clock.at()
        self._rooms.push_async_callback(self._http.aclose)
        if self._storage is not None:
            self._rooms.callback(self._let_go, self._storage)
        group = await self._rooms.enter_async_context(anyio.create_task_group())
        self._rooms.callback(group.cancel_scope.cancel)
        self._courier.open()
        group.start_soon(self._courier.run)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        # Not given the error of the block, which the task group would wrap in a group of errors.
        await self._rooms.aclose()

    def _let_go(self, storage: Storage) -> None:
        self._storage = None
        self._workspace.watches.remove(storage)
        storage.close()

    def client(self, **options: Unpack[ClientOptions]) -> AsyncLandbot:
        """An `AsyncLandbot` wired to this sandbox, with any of its options.

        It keeps to the sandbox's own rate, and to none where the window is `"off"`, unless it is given a limiter.
        """
        given: ClientOptions = {
            "token": self.token,
            "base_url": self.base_url,
            "http_client": self._http,
            "limiter": self._limiter(self.base_url),
            **options,
        }
        return AsyncLandbot(**given)

    def apichat(self, channel_id: int = 10, **options: Unpack[ClientOptions]) -> AsyncApichat:
        """An `AsyncApichat` wired to this sandbox, for the owner of a channel; otherwise it is like `client`.

        Raises:
            KeyError: there is no such channel.
        """
        given: ClientOptions = {
            "token": self.channel_token(channel_id),
            "base_url": self.chat_base_url,
            "http_client": self._http,
            "limiter": self._limiter(f"{self.chat_base_url}{channel_id}"),
            **options,
        }
        return AsyncApichat(**given)

    def _limiter(self, whose: str) -> Limiter | None:
        """One for each token, but none where the usual one does, which clients of a token share anyway."""
        if self.window != "off" and (self.rate, self.per) == (10, 1.0):
            return None
        if whose not in self._limiters:
            bucket = TokenBucket(1000, burst=1000) if self.window == "off" else TokenBucket(self.rate, self.per)
            self._limiters[whose] = bucket
        return self._limiters[whose]

    async def handle(self, asked: Asked) -> Answered | Broken:
        """Let one request go the way of all: faults, limit, API. `asked.path` is whole, such as `/v1/channels/`.

        It is what carries the sandbox over any kind of HTTP.
        """
        return await self._gate.handle(asked)

    @property
    def now(self) -> float:
        """Unix seconds on the sandbox's clock."""
        return self._clock.now()

    def tick(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        """Move the sandbox's clock on, and only its: deliveries that are due then go out at once, while whatever waits
        for the event loop's clock waits as before.

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

    def write(self, customer_id: int, text: str | None = None, *, type: str = "text", **data: Any) -> SandboxMessage:
        """Say something as a customer: it goes into the transcript, and to the message hooks of their channel.

        Args:
            customer_id: who.
            text: what; of an image and its like, the caption.
            type: `"text"`, `"button"` (its label as `text`, and `payload`), `"image"`, `"audio"`, `"video"` and
                `"document"` (with `url`), `"location"` (with `latitude`, `longitude`), or anything else.
            data: the rest, as message hooks show it.

        Raises:
            KeyError: there is no such customer.
            ValueError, TypeError: the message is not whole, or the workspace does not hear them: they are blocked, or
                their channel is inactive.
            RuntimeError: outside `async with sandbox`, where no delivery could be made.
        """
        if not self._open:
            raise RuntimeError("write() makes deliveries, so it needs `async with sandbox`.")
        self.customer(customer_id)
        words, rest = spoken(filled_text("type", type), optional_text("text", text), json_value("data", data))
        try:
            return self._workspace.hear(customer_id, type, words, at=self._clock.at(), data=rest)
        except RefusedError as refusal:
            raise ValueError(f"customer {customer_id} is not heard: {refusal}") from None

    def mount(self, url_prefix: str, app: Any) -> None:
        """Deliver to an ASGI application in this process what goes to URLs that begin so, up to a whole segment.

        What it raises counts as a 500.
        """
        self._courier.mount(web_address("url_prefix", url_prefix), app)

    def deliver(self, *, copies: int = 1, disorder: float = 0.0) -> None:
        """Say how the deliveries of messages from now on are made.

        Args:
            copies: how often each is; copies have the `sentry-trace` of their message, as retries have.
            disorder: seconds that each is held back at most, at random: Landbot's own is 0.01 to 0.05.
        """
        self._courier.copies = whole_number("copies", copies, at_least=1)
        self._courier.disorder = float(finite_number("disorder", disorder, at_least=0))

    @property
    def deliveries(self) -> Sequence[DeliveryAttempt]:
        """What each hook was sent and what it answered: every attempt, in the order they ended."""
        return self._courier.attempts

    async def settled(self) -> None:
        """Return when no delivery is due or on its way any more: with hooks that fail, up to 75 seconds later."""
        await self._courier.settled()

    @property
    def sent(self) -> Sequence[Sent]:
        """What reached customers, in order."""
        return self._workspace.sent

    def assert_sent(
        self, customer_id: int, text: str | None = None, *, type: str | None = None, times: int = 1
    ) -> None:
        """Assert that `times` messages with this `text` and `type` (None: any) reached a customer, no more, no fewer.

        Raises:
            AssertionError: they did not; the message shows what did.
        """
        __tracebackhide__ = True
        whole_number("times", times, at_least=1)
        wrong = not_as_wanted(self.sent, customer_id, text, type, times)
        if wrong is not None:
            raise AssertionError(wrong)

    def assert_nothing_sent(self, customer_id: int | None = None) -> None:
        """Assert that nothing reached this customer, or (None) anybody.

        Raises:
            AssertionError: something did; the message shows it.
        """
        __tracebackhide__ = True
        wrong = not_nothing(self.sent, customer_id)
        if wrong is not None:
            raise AssertionError(wrong)

    @property
    def received(self) -> int:
        """How many requests arrived, refused ones included."""
        return self._gate.received

    @property
    def refused(self) -> int:
        """How many requests the limit refused with 429."""
        return self._gate.refused

    @property
    def channels(self) -> Sequence[SandboxChannel]:
        """The channels."""
        return list(self._workspace.channels.values())

    def channel(self, channel_id: int) -> SandboxChannel:
        """A channel, to look at or to change, such as `sandbox.channel(8).active = False`.

        Raises:
            KeyError: there is none.
        """
        if channel_id not in self._workspace.channels:
            raise KeyError(f"the sandbox has no channel {channel_id}; it begins with 8, 9 and 10")
        return self._workspace.channels[channel_id]

    def channel_token(self, channel_id: int) -> str:
        """The token of a channel, with which its owner uses APIchat.

        Raises:
            KeyError: there is none.
        """
        return self.channel(channel_id).token

    def add_channel(self, name: str, *, type: str = "webchat", url: str | None = None) -> SandboxChannel:
        """A new channel; `url` is where the messages of an `"apichat"` one are posted to."""
        filled_text("name", name)
        return self._workspace.add_channel(name, filled_text("type", type), url)

    @property
    def customers(self) -> Sequence[SandboxCustomer]:
        """The customers in the order of `GET /customers/`: the latest activity first.

        A customer moves to the front when they write or are written to, and nobody moves otherwise.
        """
        return self._workspace.list_customers()

    def messages(self, customer_id: int) -> Sequence[SandboxMessage]:
        """A customer's conversation, in the order of time.

        Raises:
            KeyError: there is none.
        """
        return list(self.customer(customer_id).messages)

    def customer(self, customer_id: int) -> SandboxCustomer:
        """A customer, to look at or to change, such as `sandbox.customer(1).blocked = True`.

        Raises:
            KeyError: there is none.
        """
        if customer_id not in self._workspace.customers:
            raise KeyError(f"the sandbox has no customer {customer_id}: Sandbox(customers=…) says how many there are")
        return self._workspace.customers[customer_id]

    def add_customer(self, name: str | None = None, *, place: int | None = None, **details: Any) -> SandboxCustomer:
        """Add a customer who has just written, so that they stand at the front of the listing.

        `place` puts them elsewhere (0 is the front), and so does a `last_message` of their own; `details` are those of
        `SandboxCustomer`.

        Raises:
            ValueError: there is no channel with the `channel_id` given.
        """
        return self._workspace.add_customer(name, place=place, at=self._clock.at(), **details)

    def change_customer(self, customer_id: int, **details: Any) -> SandboxCustomer:
        """Change a customer's details, such as `blocked=True`, so that whoever watches sees it.

        Raises:
            KeyError: there is none.
        """
        customer = self.customer(customer_id)
        for name, value in details.items():
            setattr(customer, name, value)
        self._workspace.changed(customer)
        return customer

    def change_channel(self, channel_id: int, **details: Any) -> SandboxChannel:
        """Change a channel's details, such as `active=False` or `url`, so that whoever watches sees it.

        Raises:
            KeyError: there is none.
        """
        channel = self.channel(channel_id)
        for name, value in details.items():
            setattr(channel, name, value)
        self._workspace.furnished()
        return channel

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
        latency: float = 0.0,
    ) -> None:
        """Let something go wrong.

        Args:
            what: a status to answer with (200 to 599); `"html"`, a web page with status 200; `"lost_answer"` (done, but
                nobody hears of it), `"half_body"` (the same, after half of the answer's body), `"cut"` (the connection
                breaks before the work), `"refused"` (no connection at all) or `"latency"` (nothing but late).
            times: how often; None never ends. A request that the limit refuses leaves the fault for the next.
            probability: how likely each time, 0 to 1.
            method: only with this HTTP method.
            route: only on this route, such as `"/customers/{customer_id}/send_text/"`.
            after_the_work: for a status and `"html"`: do what was asked before answering so.
            latency: seconds that the answer takes longer.

        Raises:
            ValueError, TypeError: an argument is out of range, or names nothing that could ever strike.
        """
        if isinstance(what, str):
            choice("what", what, get_args(FaultName))
            if after_the_work and what != "html":
                raise ValueError(f"after_the_work goes with a status or a page, not with {what!r}")
        else:
            whole_number("what", what, at_least=200, at_most=599)
        if times is not None:
            whole_number("times", times, at_least=1)
        finite_number("probability", probability, at_least=0, at_most=1)
        choice("method", method, METHODS)
        choice("route", route, tuple(template for api in self._apis for template in api.paths.templates))
        finite_number("latency", latency, at_least=0)
        if what == "latency" and not latency:
            raise ValueError("latency must be above 0 seconds where nothing else goes wrong")
        self._faults.plan(Fault(what, times, probability, method, route, after_the_work, latency))

    @property
    def faults(self) -> Sequence[Fault]:
        """Those that may still strike, each as it stands now."""
        return [evolve(fault) for fault in self._faults.planned]

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()
