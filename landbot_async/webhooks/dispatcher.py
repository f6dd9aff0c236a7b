"""The queue of messages, and the tasks that handle them.

A message settles, waits for its turn, and is handled. Each attempt of its handler, and each call of `on_error`, is a
task of its own with its own time-out, and sees the context variables of whoever opened the inbox. So whatever a handler
does to its task (leaves a cancel scope open, raises something odd, cancels it) concerns that message only.

Cancellation: a message whose task is cancelled is given back. In a durable inbox it stays in the file, and is handled
at the next start; without a file it is lost, and the log says so.

Reasons: docs/decisions.md, "A task for each attempt" and "Failing handlers".
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from contextvars import copy_context
from enum import Enum
from functools import partial
from typing import Final

import anyio
import attrs

from landbot_async._core.background import Background, End, Result
from landbot_async._core.errors import WebhookPayloadError
from landbot_async._core.event_loop import Notifier
from landbot_async._core.log import log

from .delivery import CustomerKey, Delivery
from .handlers import Handlers, back_off
from .messages import Message, Source
from .ordering import Ordering, Turn
from .parsing import read_delivery

# The share of the settling time by which a message may wait longer, so that one timer releases many messages.
_LATER: Final = 0.1
# The share of the queue that one customer's messages may take.
_SHARE: Final = 0.25
# What ids look like: nothing else of a message is written to the log.
_ID: Final = re.compile(r"[\w.:#-]{1,100}", re.ASCII)


class Room(Enum):
    """The room in the queue for one more message."""

    FREE = "it has room"
    FULL = "it is full"
    CUSTOMER_FULL = "this customer's part of it is full"
    CLOSED = "it takes no more"


class _Entry:
    """A message in the queue, and the attempts to handle it once it has its turn."""

    __slots__ = ("age", "attempts", "attempts_allowed", "delivery", "message")

    def __init__(self, delivery: Delivery, age: int) -> None:
        self.delivery = delivery
        self.age = age
        self.attempts = 0
        self.attempts_allowed = 1
        self.message: Message | None = None


class Dispatcher:
    """Handles the messages that are put in, from `run` until it is halted.

    Args:
        background: the tasks.
        handlers: the handlers.
        finish: called with the number of each message that is handled; None without a file.
        source: the API that the messages come from.
        settle: seconds that a message waits for earlier ones.
        concurrency: how many messages are handled at a time.
        queue_size: how many messages are held, at most; those of one customer take a quarter at most.
    """

    def __init__(
        self,
        background: Background,
        handlers: Handlers,
        finish: Callable[[int], None] | None,
        *,
        source: Source,
        settle: float,
        concurrency: int,
        queue_size: int,
    ) -> None:
        self._background = background
        self._handlers = handlers
        self._finish = finish
        self._source: Source = source
        self._settle = settle
        self._concurrency = concurrency
        self.queue_size: int = queue_size
        self.share: int = max(1, int(queue_size * _SHARE))
        """The most messages of one customer that are held."""
        self.held: int = 0
        """The number of messages that are taken, or on their way to the file, and not yet handled."""
        self._held_of: Counter[CustomerKey] = Counter()
        self._ordering: Ordering[_Entry] = Ordering(settle)
        self._context = copy_context()
        self._working = 0
        self._halted = False
        self._lost_told = False
        self._arrived = Notifier()
        self._ended = Notifier()  # fires when a message has ended, and when no other begins
        self._age = 0
        self._ages: Counter[int] = Counter()  # how many messages of each age have not ended
        self._without_handler: set[type[Message]] = set()

    # The queue

    def room(self, customer: CustomerKey) -> Room:
        """Return whether one more message of this customer is taken."""
        if self._halted:
            return Room.CLOSED
        if self.held >= self.queue_size:
            return Room.FULL
        return Room.FREE if self.held_of(customer) < self.share else Room.CUSTOMER_FULL

    def held_of(self, customer: CustomerKey) -> int:
        """Return how many messages of this customer are held."""
        return self._held_of.get(customer, 0)

    def reserve(self, customer: CustomerKey) -> None:
        """Take a place in the queue. `put` or `release` follows."""
        self.held += 1
        self._held_of[customer] += 1

    def release(self, customer: CustomerKey) -> None:
        """Give a place in the queue back."""
        self.held -= 1
        self._held_of[customer] -= 1
        if not self._held_of[customer]:
            del self._held_of[customer]

    def put(self, delivery: Delivery, now: float) -> None:
        """Put a message in the place that was reserved for it. Nothing waits here."""
        self._ages[self._age] += 1
        place = (delivery.timestamp, delivery.seq)
        self._ordering.put(delivery.customer, place, _Entry(delivery, self._age), now)
        if self._settle:
            self._arrived.notify()
        else:
            self._ordering.settle(now)
            self._dispatch()

    def expect(self, delivery: Delivery) -> Callable[[int | Exception | None], None]:
        """Reserve a place for a message that is about to be written to a file.

        Returns:
            A function to call with the result: the message's number in the file puts it in its place; anything else
            gives the place back.
        """
        self.reserve(delivery.customer)

        def on_written(outcome: int | Exception | None) -> None:
            if isinstance(outcome, int):
                self.put(delivery._replace(number=outcome), self._background.now())
            else:
                self.release(delivery.customer)

        return on_written

    async def run(self) -> None:
        """Run the queue: release messages that have settled, and start their handlers."""
        while True:
            due = self._ordering.next_due
            if due is None:
                await self._arrived.wait()
            else:
                await anyio.sleep_until(due)
                self._ordering.settle(max(due, anyio.current_time()))  # a timer may be a little early
                self._dispatch()
                await anyio.sleep(self._settle * _LATER)

    # Waiting for the end

    async def idle(self) -> None:
        """Return when every message put in before this call has ended, or when no other begins."""
        age, self._age = self._age, self._age + 1
        while not self._halted and any(each <= age for each in self._ages):
            await self._ended.wait()

    async def drain(self) -> None:
        """Return when all messages have ended. Nothing settles any more."""
        self._ordering.settle(math.inf)
        self._dispatch()
        while self.held and not self._halted:
            await self._ended.wait()

    def halt(self) -> None:
        """Begin no other message, and no other attempt."""
        self._halted = True
        self._ended.notify()

    async def rest(self) -> None:
        """Return when no message is being handled."""
        while self._working:
            await self._ended.wait()

    def tell_lost(self) -> None:
        """Log how many messages are lost, once: those that were taken, are not handled, and stand in no file."""
        if self.held and self._finish is None and not self._lost_told:
            log.error("the inbox ends with %d acknowledged messages that are not handled: they are lost", self.held)
            self._lost_told = True

    # Handling

    def _dispatch(self) -> None:
        while not self._halted and self._working < self._concurrency and (turn := self._ordering.take()) is not None:
            self._working += 1
            self._attempt(turn)

    def _attempt(self, turn: Turn[_Entry]) -> None:
        self._background.start(
            self._handle,
            turn,
            timeout=self._handlers.timeout,
            context=self._context,
            on_end=partial(self._attempted, turn),
        )

    async def _handle(self, turn: Turn[_Entry]) -> None:
        entry = turn.item
        entry.attempts += 1
        if entry.message is None:
            try:
                message = read_delivery(self._source, entry.delivery)
            except WebhookPayloadError as error:
                # It could be read when it was taken.
                log.error("a message that was taken cannot be read, and is not handled: %s", error)
                return
            if turn.late or entry.delivery.redelivered:
                message = attrs.evolve(message, late=turn.late, redelivered=entry.delivery.redelivered)
            entry.message = message
        handler = self._handlers.find(type(entry.message))
        if handler is None:
            self._drop(type(entry.message))
            return
        entry.attempts_allowed = handler.attempts
        await handler.call(entry.message)

    def _attempted(self, turn: Turn[_Entry], result: Result) -> None:
        entry, on_error = turn.item, self._handlers.on_error
        if result is End.RETURNED:
            self._finished(turn)
        elif isinstance(result, End):
            self._give_back(turn)
        elif entry.attempts < entry.attempts_allowed:
            self._background.start(self._back_off, entry.attempts, on_end=partial(self._backed_off, turn))
        elif on_error is None:
            log.error("the handler of a %s failed: %s", *_described(entry.message), exc_info=result)
            self._finished(turn)
        else:
            self._background.start(
                on_error,
                entry.message,
                result,
                timeout=self._handlers.timeout,
                context=self._context,
                on_end=partial(self._told, turn),
            )

    async def _back_off(self, failures: int) -> None:
        with anyio.move_on_after(back_off(failures)):
            while not self._halted:
                await self._ended.wait()

    def _backed_off(self, turn: Turn[_Entry], _: Result) -> None:
        if self._halted:
            self._give_back(turn)
        else:
            self._attempt(turn)

    def _told(self, turn: Turn[_Entry], result: Result) -> None:
        if result is End.CANCELLED:
            self._give_back(turn)
            return
        if isinstance(result, Exception):
            log.error(
                "on_error failed after the handler of a %s had: %s", *_described(turn.item.message), exc_info=result
            )
        self._finished(turn)

    def _drop(self, type_: type[Message]) -> None:
        if type_ not in self._without_handler:
            self._without_handler.add(type_)
            log.info("no handler takes a %s, so it is dropped, as all of its kind are", type_.__name__)

    def _finished(self, turn: Turn[_Entry]) -> None:
        if self._finish is not None:
            self._finish(turn.item.delivery.number)
        self._end(turn)

    def _give_back(self, turn: Turn[_Entry]) -> None:
        if self._halted or self._background.ending:
            # It stays in the file, or is counted among those that are lost.
            self._working -= 1
            self.halt()
            return
        fate = "it is lost" if self._finish is None else "it stays in the inbox's file until the next start"
        log.error("the task that handled a %s was cancelled, and %s: %s", *_described(turn.item.message, fate))
        self._end(turn)

    def _end(self, turn: Turn[_Entry]) -> None:
        entry = turn.item
        self._working -= 1
        self.release(entry.delivery.customer)
        self._ages[entry.age] -= 1
        if not self._ages[entry.age]:
            del self._ages[entry.age]
        self._ordering.done(turn.queue)
        self._ended.notify()
        self._dispatch()


def _described(message: Message | None, *between: str) -> tuple[str, ...]:
    """Return the class of a message, and by which ids it can be found: never anything that somebody wrote."""
    if message is None:
        return "Message", *between, "unread"
    id_ = message.id if message.id is not None and _ID.fullmatch(message.id) else "without an id"
    return type(message).__name__, *between, f"message {id_} of customer {message.customer.id}"
