"""The messages that are taken and not yet handled, and the tasks that handle them.

A message settles, waits for its turn, and is handled: by as many tasks as there are messages whose turn it is, up to a
limit. They are started one after another, so what handlers do without waiting takes one task and not a hundred.

No handler sees what another one, or a request, has set in its context: each has the context variables of whoever opened
the inbox. A task in which they were changed handles nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Final, NamedTuple

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import TaskGroup

from landbot_async._core.errors import WebhookPayloadError
from landbot_async._core.event_loop import Notifier
from landbot_async._core.events import log

from .messages import Message
from .ordering import Lanes, Taken
from .parsing import Sealed

# The share of the settling time by which a message may wait longer, so that many settle at one stroke of the clock.
_STROKE: Final = 0.1
# What a worker handles at most before it lets others run, where its handlers do not wait.
_IN_A_ROW: Final = 16


class Held(NamedTuple):
    """A delivery that is taken and not yet handled; `number` is its place on the disk, 0 without one."""

    body: bytes
    delivery_id: str | None
    number: int
    redelivered: bool
    age: int


class Workers:
    """Handles what is put in, from `run` until its task group is cancelled.

    Args:
        group: where the tasks run.
        read: what makes a message of a body and the id of its delivery.
        handle: what is awaited for each message.
        handled: what is awaited after that, with its place on the disk; None without a disk.
        settle: seconds that a message waits for earlier ones.
        concurrency: how many messages are handled side by side.
    """

    def __init__(
        self,
        group: TaskGroup,
        read: Callable[[bytes, str | None], Message],
        handle: Callable[[Message], Awaitable[None]],
        handled: Callable[[int], Awaitable[None]] | None,
        *,
        settle: float,
        concurrency: int,
    ) -> None:
        self._group = group
        self._read = read
        self._handle = handle
        self._handled = handled
        self._settle = settle
        self._concurrency = concurrency
        self._lanes: Lanes[Held] = Lanes(settle)
        self._context = copy_context()
        self._working = 0
        self._coming = False  # whether a worker was started that has not begun
        self._stopping = False
        self._news: anyio.Event | None = None  # what the clock waits for where nothing settles
        self._idle = anyio.Event()
        self._ended = Notifier()  # fires when a message is handled, and when the inbox closes
        self._age = 0
        self._ages: dict[int, int] = {}  # how many messages of each age are not yet handled
        self.held: int = 0
        """How many messages are taken and not yet handled."""

    def put(self, sealed: Sealed, number: int, now: float, *, redelivered: bool = False) -> None:
        """Take a delivery. Does not wait."""
        self.held += 1
        self._ages[self._age] = self._ages.get(self._age, 0) + 1
        held = Held(sealed.body, sealed.delivery_id, number, redelivered, self._age)
        self._lanes.put(sealed.customer, (sealed.timestamp, sealed.seq), held, now)
        if not self._settle:
            self._lanes.ripen(now)
            self._call_a_worker()
        elif self._news is not None:
            self._news.set()

    async def run(self) -> None:
        """Let messages settle, and have them handled."""
        while True:
            due = self._lanes.next_due
            if due is None:
                news = self._news = anyio.Event()
                await news.wait()
                self._news = None
            else:
                await anyio.sleep_until(due)
                self._lanes.ripen(max(due, anyio.current_time()))  # timers may be a breath early
                self._call_a_worker()
                await anyio.sleep(self._settle * _STROKE)

    async def drain(self) -> None:
        """Wait until all is handled. Nothing settles any more."""
        self._lanes.ripen(math.inf)
        self._call_a_worker()
        await self.rest()

    def halt(self) -> None:
        """Begin nothing else."""
        self._stopping = True
        self._ended.notify()

    async def idle(self) -> None:
        """Return when every message put in before this call is handled, or when nothing else begins."""
        age, self._age = self._age, self._age + 1
        while not self._stopping and any(each <= age for each in self._ages):
            await self._ended.wait()

    async def rest(self) -> None:
        """Wait until what is in hand is handled."""
        while self._working:
            self._idle = anyio.Event()
            await self._idle.wait()

    def _call_a_worker(self) -> None:
        if self._lanes.ready and not self._coming and not self._stopping and self._working < self._concurrency:
            self._coming = True
            self._working += 1
            self._context.copy().run(self._group.start_soon, self._work)

    async def _work(self) -> None:
        """Handle messages while there are any whose turn it is."""
        self._coming = False
        handled = 0
        try:
            while not self._stopping and (taken := self._lanes.take()) is not None:
                self._call_a_worker()  # for the next one, if this one makes its worker wait
                await self._see_to(taken)
                self.held -= 1
                self._forget(taken.item.age)
                self._lanes.done(taken.lane)
                if not _same(copy_context(), self._context):
                    break
                handled += 1
                if handled % _IN_A_ROW == 0:
                    await anyio.lowlevel.checkpoint()
        finally:
            self._working -= 1
            if not self._working:
                self._idle.set()
        self._call_a_worker()

    def _forget(self, age: int) -> None:
        self._ages[age] -= 1
        if not self._ages[age]:
            del self._ages[age]
            self._ended.notify()

    async def _see_to(self, taken: Taken[Held]) -> None:
        body, delivery_id, number, redelivered, _ = taken.item
        try:
            message = self._read(body, delivery_id)
        except WebhookPayloadError as error:
            # It could be read when it was taken. It must not keep the others from being handled.
            log.error("a message that was taken cannot be read, and is not handled: %s", error)
            return
        if taken.late or redelivered:
            message = attrs.evolve(message, late=taken.late, redelivered=redelivered)
        await self._handle(message)
        if self._handled is not None:
            await self._handled(number)


def _same(one: Context, other: Context) -> bool:
    """Whether both have the same objects; equality would ask these, which are somebody else's."""
    return len(one) == len(other) and all(other.get(variable, one) is value for variable, value in one.items())
