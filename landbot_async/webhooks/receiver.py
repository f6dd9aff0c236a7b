"""Decides whether a delivery is taken, and with which status it is answered: read → sender → claim → queue → 2xx.

A 2xx ends the delivery; after anything else Landbot makes it again after 5, 10, 15, 20, 25 s.

Cancellation, at each `await`: a delivery that is cancelled before its message is claimed is not taken, and Landbot
makes it again. After that it is taken to the end, whether or not somebody still waits for the status, and Landbot's
next attempt is a duplicate.

Source: dev.landbot.io, "Message hooks" and "APIchat".

Reasons: docs/decisions.md, "Refusing" and "Duplicates".
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeVar

import anyio

from landbot_async._core.background import Background
from landbot_async._core.errors import WebhookPayloadError
from landbot_async._core.event_loop import LoopBinding, is_cancelled
from landbot_async._core.log import log

from .authentication import Tokens
from .claims import Claim, Claims, MemoryClaims
from .delivery import Delivery
from .dispatcher import Dispatcher, Room
from .messages import Source
from .parsing import read_deliveries

if TYPE_CHECKING:
    from .journal import Journal

T = TypeVar("T")

OK, BAD_REQUEST, UNAUTHORIZED, METHOD_NOT_ALLOWED, TOO_LARGE, UNAVAILABLE = 200, 400, 401, 405, 413, 503
# APIchat delivers again whatever is refused, 4xx included.
_UNREADABLE: Final = {"platform": BAD_REQUEST, "apichat": OK}
# Seconds. The longest that a delivery may take between its claim and its acknowledgement.
_CLAIM: Final = 30.0
# Seconds that a shared store has for each call: a claim is kept before it expires, and a store that hangs is left.
_PATIENCE: Final = 10.0
# Seconds between two attempts to keep a claim.
_AGAIN: Final = 1.0
# Bytes of a body that are not counted while it is received: a usual delivery has 1,000 to 2,000.
_UNCOUNTED: Final = 16_384
# Bytes of all bodies that are being received, at most: these, or a few bodies of the largest size.
_IN_PROGRESS: Final = 16_000_000
_LARGEST_BODIES: Final = 4
# Reasons and senders that the log has told, at most: more are not told of.
_MOST_TOLD: Final = 100
_WORD: Final = re.compile(r"[a-z_]{1,30}")
_LANDBOTS_WORDS: Final = frozenset(("customer", "agent", "bot", "sys", "human"))


class Opened(NamedTuple):
    """The parts of an inbox that is open."""

    loop: LoopBinding
    tasks: Background
    dispatcher: Dispatcher
    journal: Journal | None


class Receiver:
    """Takes deliveries, or refuses them.

    Args:
        source: the API whose deliveries are taken.
        tokens: a delivery has to carry one of these; None asks for none.
        senders: the types of senders whose messages are taken; None takes all.
        max_body: bytes of a delivery, at most.
        window: seconds for which a message is remembered.
        claims: the memory; None if the file of a durable inbox is the only one.
    """

    def __init__(
        self,
        *,
        source: Source,
        tokens: Tokens | None,
        senders: frozenset[str] | None,
        max_body: int,
        window: float,
        claims: Claims | None,
    ) -> None:
        self._source: Source = source
        self._tokens = tokens
        self._senders = senders
        self._max_body = max_body
        self._window = window
        self._claims = claims
        self._waits = type(claims) is not MemoryClaims  # a store may hang, but for this one
        self._opened: Opened | None = None
        self._in_progress = 0  # counted bytes of bodies that are being received
        self._unkept: deque[Sequence[str]] = deque()  # the keys of claims that are to be kept
        self._failure_told = False  # the log has said that they cannot be kept, and not yet that they are
        self._refusals: set[Hashable] = set()  # why deliveries get 503, as the log has told
        self._dropped: set[str | None] = set()  # senders whose messages are dropped, as the log has told

    def open(self, opened: Opened) -> None:
        """Take deliveries from now on."""
        self._opened = opened
        self._unkept = deque()
        self._failure_told = False
        self._refusals.clear()

    def close(self) -> None:
        """Take no more."""
        self._opened = None
        self._refusals.clear()

    # Before the body is there

    def refuse(self, authorization: bytes, size: int) -> int | None:
        """Return the status of a delivery that is refused before its body is read, else None.

        Args:
            authorization: the digest of its `Authorization` header.
            size: the bytes of its body, if the headers tell, else 0.
        """
        if self._tokens is not None and not self._tokens.match(authorization):
            log.warning("a delivery without the hook's token is refused (401)")
            return UNAUTHORIZED
        return self.too_large(size)

    def too_large(self, size: int) -> int | None:
        """Return the status of a delivery of this many bytes if they are too many, else None."""
        if size <= self._max_body:
            return None
        log.warning("a delivery of more than %d bytes is refused (413)", self._max_body)
        return TOO_LARGE

    def count(self, before: int, now: int) -> int | None:
        """Note that a body in progress has grown, or is over; return the status if all together are too large."""
        self._in_progress += max(0, now - _UNCOUNTED) - max(0, before - _UNCOUNTED)
        most = max(_IN_PROGRESS, _LARGEST_BODIES * self._max_body)
        if self._in_progress > most and now > max(before, _UNCOUNTED):
            return self._not_now("bodies", "the bodies that are being received are too large together")
        return None

    # Taking

    async def take(self, body: bytes | bytearray, delivery_id: str | None) -> int:
        """Take a delivery that was not refused, and return the status to answer with. No handler is waited for."""
        try:
            deliveries = read_deliveries(self._source, body, delivery_id, time.time())
        except WebhookPayloadError as error:
            log.warning("a delivery is dropped (%d): %s", _UNREADABLE[self._source], error)
            return _UNREADABLE[self._source]
        status = OK
        for delivery in deliveries:
            if status == OK and self._is_asked_for(delivery.sender):
                status = await self._take(delivery)
        return status

    def _is_asked_for(self, sender: str | None) -> bool:
        if self._senders is None or sender in self._senders:
            return True
        if sender not in self._dropped and len(self._dropped) < _MOST_TOLD:
            self._dropped.add(sender)
            _tell_dropped(sender)
        return False

    async def _take(self, delivery: Delivery) -> int:
        opened = self._opened
        if opened is None:
            return self._not_now("closed", "it is not open: handlers run inside `async with inbox`")
        opened.loop.bind()
        keys = delivery.keys
        if self._claims is None or not keys:
            return await self._queue(delivery, opened)
        try:
            claim = await self._ask(self._claims.claim(keys, _CLAIM))
            claim = claim if isinstance(claim, Claim) else Claim(claim)
        except (_StoreError, ValueError) as error:
            return self._not_now("claims", "the claims failed", exc_info=error.__cause__ or error)
        if claim is not Claim.NEW:
            # Whoever holds it may still have to refuse it.
            return OK if claim is Claim.SEEN else UNAVAILABLE
        if not (self._waits or opened.journal):
            return await self._queue_claimed(delivery, opened, self._claims)
        if self._opened is not opened:
            with anyio.CancelScope(shield=True):
                return await self._queue_claimed(delivery, opened, self._claims)
        return await _to_the_end(opened.tasks, self._queue_claimed, delivery, opened, self._claims)

    async def _queue_claimed(self, delivery: Delivery, opened: Opened, claims: Claims) -> int:
        status = await self._queue(delivery, opened)
        taken = status == OK
        try:
            await self._ask(claims.keep(delivery.keys, self._window) if taken else claims.release(delivery.keys))
        except _StoreError as error:
            if taken:
                self._tell_failure(error)
                self.remember([delivery], opened.tasks)
            else:
                log.error("the claims failed after a message was refused", exc_info=error.__cause__)
        return status

    def remember(self, deliveries: Iterable[Delivery], tasks: Background) -> None:
        """Keep the claims of messages that were taken, in the background, and until the store does it.

        Otherwise a copy would be taken when the claim has expired.
        """
        keys = [delivery.keys for delivery in deliveries if delivery.keys]
        if self._claims is None or not keys:
            return
        if not self._unkept:
            tasks.start(partial(self._keep_all, self._claims, self._unkept))
        self._unkept.extend(keys)

    async def _keep_all(self, claims: Claims, unkept: deque[Sequence[str]]) -> None:
        while unkept:
            try:
                await self._ask(claims.keep(unkept[0], self._window))
                unkept.popleft()
            except _StoreError as error:
                self._tell_failure(error)
                await anyio.sleep(_AGAIN)
        if self._failure_told:
            self._failure_told = False
            log.info("the claims are back: they know all messages that were taken")

    def _tell_failure(self, error: _StoreError) -> None:
        """Log that claims cannot be kept, once until they are."""
        if not self._failure_told:
            self._failure_told = True
            told = (
                "the claims failed after a message was taken: they are asked again until they know it, and a copy of it"
            )
            log.warning("%s that comes before may be handled too", told, exc_info=error.__cause__)

    async def _queue(self, delivery: Delivery, opened: Opened) -> int:
        dispatcher, journal, customer = opened.dispatcher, opened.journal, delivery.customer
        room = dispatcher.room(customer) if self._opened is opened else Room.CLOSED
        if room is not Room.FREE:
            return self._no_room(room, delivery, dispatcher)
        if journal is None:
            dispatcher.reserve(customer)
            dispatcher.put(delivery, opened.tasks.now())
            return self._taken(delivery, dispatcher)
        outcome = await journal.add(delivery.keys, delivery.id, delivery.body, dispatcher.expect(delivery))
        if isinstance(outcome, Exception):
            return self._not_now("file", "its file cannot be written", exc_info=outcome)
        return self._taken(delivery, dispatcher)

    async def _ask(self, call: Awaitable[T]) -> T:
        """Await a call of the store. Whatever it raises is its failure, but for a cancellation of the caller."""
        try:
            if not self._waits:
                return await call
            with anyio.fail_after(_PATIENCE):
                return await call
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            if isinstance(error, anyio.get_cancelled_exc_class()) and is_cancelled():
                raise
            raise _StoreError from error

    # Refusing

    def _no_room(self, room: Room, delivery: Delivery, dispatcher: Dispatcher) -> int:
        if room is Room.CLOSED:
            return self._not_now("closed", "it is being closed")
        if room is Room.FULL:
            return self._not_now(room, "it is full: %d messages wait for their handlers", dispatcher.held)
        customer = delivery.customer if isinstance(delivery.customer, int) else "(with a token)"
        held = dispatcher.held_of(delivery.customer)
        reason = "customer %s has %d messages that wait for their handlers, a quarter of the queue"
        return self._not_now(delivery.customer, reason, customer, held)

    def _taken(self, delivery: Delivery, dispatcher: Dispatcher) -> int:
        if self._refusals:
            self._refusals -= {"file", "claims", "bodies"}
            # A queue that is nearly full takes and refuses by turns: the log tells it once.
            if dispatcher.held <= max(1, dispatcher.queue_size // 2):
                self._refusals.discard(Room.FULL)
            if dispatcher.held_of(delivery.customer) <= max(1, dispatcher.share // 2):
                self._refusals.discard(delivery.customer)
        return OK

    def _not_now(self, kind: Hashable, reason: str, *args: object, exc_info: BaseException | None = None) -> int:
        if kind not in self._refusals and len(self._refusals) < _MOST_TOLD:
            self._refusals.add(kind)
            told = "the inbox answers 503, so that Landbot delivers again: "
            log.warning(told + reason, *args, exc_info=exc_info)
        return UNAVAILABLE


class Upload:
    """A body while it is received: bounded by itself, and together with all others."""

    __slots__ = ("_receiver", "body")

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.body: bytearray = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._receiver.count(len(self.body), 0)

    def add(self, part: bytes) -> int | None:
        """Add what has come; return the status if it is refused now, else None."""
        before = len(self.body)
        self.body += part
        over = self._receiver.count(before, len(self.body))
        return self._receiver.too_large(len(self.body)) or over


class _StoreError(Exception):
    """A call of a store of claims failed. The cause tells how."""


async def _to_the_end(tasks: Background, function: Callable[..., Awaitable[int]], *args: object) -> int:
    """Await a function in a task of its own, which goes on if the caller is cancelled, or the inbox is closed."""
    statuses, ended = list[int](), anyio.Event()

    async def run() -> None:
        with anyio.CancelScope(shield=True):
            statuses.append(await function(*args))

    tasks.start(run, on_end=lambda _: ended.set())
    await ended.wait()
    return statuses[0] if statuses else UNAVAILABLE


def _tell_dropped(sender: str | None) -> None:
    if sender is None:
        log.warning("a delivery does not tell who wrote its message: it may be an echo, so no handler gets it")
    elif sender in _LANDBOTS_WORDS:
        log.info("messages whose sender is of type %r are dropped, because `senders` does not have it", sender)
    else:
        word = sender if _WORD.fullmatch(sender) else "(unreadable)"
        log.warning("messages whose sender is of the unknown type %r are dropped: `senders` may have it", word)
