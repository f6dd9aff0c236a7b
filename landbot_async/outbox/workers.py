"""The tasks that send: each claims a message, waits for the limiter, marks the message, sends it and notes the result.

There are as many as the rate and the latency of responses need, and they claim only while somebody waits for a receipt.
They belong to no task: on asyncio any task may close an Outbox that another has opened. When the block of the Outbox is
cancelled, what is on the wire has time to end.

Cancellation, and the end of the Outbox, at each `await`: a claimed message of which nothing was sent is queued again.
The mark and the result are written to their end. A message that is on the wire when its task is cancelled is unknown,
unless the wire's trace proves that nothing of it was written. A task that somebody else cancels (`asyncio.run` does so
to all at its end) ends like that, and no other with it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http.client import responses as phrases
from typing import Final, TypeAlias, TypeVar

import anyio

from landbot_async._core.attempts import Attempts
from landbot_async._core.background import Background, Result
from landbot_async._core.engine import Engine
from landbot_async._core.errors import APIStatusError, OutboxError, OutboxStoppedError
from landbot_async._core.event_loop import Notifier
from landbot_async._core.resources.fields import Fields
from landbot_async._core.responses import accepted
from landbot_async._core.tasks import uninterrupted

from .flight import FencedError, Flight, NotNowError, TooLateError
from .journal.journal import Journal
from .journal.rows import Claimed
from .journal.store import Store
from .outgoing import ROUTES
from .receipts import Receipt
from .run import Progress, Rules, Stop
from .states import After, after, slow_down, wanted_in_flight
from .steps import Step, steps_of

T = TypeVar("T")
_Take: TypeAlias = Callable[[Store], Claimed | None]

# A run stops if so many attempts in a row came to nothing, for so many seconds.
_IN_VAIN: Final = 20
_IN_VAIN_FOR: Final = 60.0
# The weight of the newest latency in their mean.
_NEWEST: Final = 0.2
_CUT_OFF: Final = "it was cut off on its way"


class Workers:
    """The tasks that send the messages of a journal.

    Args:
        journal: the journal.
        engine: makes the calls, with low priority and a hard end for each.
    """

    def __init__(self, journal: Journal, engine: Engine) -> None:
        self.progress: Progress = Progress(Rules())
        """Of the newest run; at first, of none."""
        self._journal = journal
        self._engine = engine
        self._background = Background(self._interrupted)
        self._closed = False
        self._tasks = 0
        self._claiming = 0
        self._one_claims = anyio.Lock(fast_acquire=True)
        self._flights: set[Flight] = set()
        self._changed = Notifier()
        self._dry = False  # True if nothing was ready when it was last asked for, and nothing has changed since
        self._changes = 0
        self._look_again_at = math.inf
        self._paused_until = -math.inf
        self._latency = 0.0
        self._in_vain = 0  # attempts in a row that came to nothing
        self._in_vain_since = 0.0
        self._pauses = 0  # and pauses because of them

    async def open(self) -> None:
        """Begin. Nothing is sent before a run. On trio the task that calls this calls `aclose`; on asyncio any may."""
        await self._background.open()

    # Runs

    def take_over(self, progress: Progress) -> None:
        """Begin another run. The one before ends; receipts that it has not handed out are the new one's."""
        before, self.progress = self.progress, progress
        progress.receipts, before.receipts = before.receipts, progress.receipts
        before.news.notify()

    def stop(self) -> None:
        """Start nothing more in the current run, and drop what has not started."""
        self.progress.stop()
        self._drop()

    def changed(self) -> None:
        """Have the workers look at the journal again, because something may be ready now."""
        self._dry = False
        self._changes += 1
        self._tell()

    async def tend(self, progress: Progress) -> float | None:
        """Keep a run going. Return the seconds to wait for news, or None if it is over.

        Raises:
            OutboxError: the journal cannot be read.
        """
        if progress is not self.progress:
            return None
        if not progress.begun:
            await self._begin(progress)
        if self._idle and progress.stop_reason is not None and progress.failure is None:
            progress.failure = await self._stopped_error(progress.stop_reason)
        wait = self._wait(progress)
        if wait is None:
            await self._journal.do(Store.expire)
            wait = self._wait(progress)  # something may have come meanwhile
        self._add_workers()
        return wait

    async def _begin(self, progress: Progress) -> None:
        async with self._one_claims:
            self._dry = False
            await self._journal.recover()
            await self._journal.do(Store.expire)
            progress.begun = True

    def _wait(self, progress: Progress) -> float | None:
        """Return the seconds until something may change by itself, or None if the run is over."""
        now, follow = anyio.current_time(), progress.rules.follow
        if self._dry and now >= self._look_again_at:
            self._dry = False
        if self._closed or progress.stopping or progress.complete(self._on_the_way):
            return None if self._idle else math.inf
        if not self._hours(progress):
            return self._journal.look_again if follow else None if self._idle else math.inf
        if now < self._paused_until:
            return self._paused_until - now
        if self._dry:
            return self._look_again_at - now if follow else None if self._idle else math.inf
        return math.inf

    async def _stopped_error(self, stop: Stop) -> OutboxStoppedError:
        counts = await self._journal.look(Store.counts)
        error = OutboxStoppedError(
            f"The run stopped: {stop.reason}. {counts['queued']} messages stay queued. Mend the cause, then run again.",
            counts={str(status): count for status, count in counts.items()},
        )
        error.__cause__ = stop.cause
        return error

    # Workers

    @property
    def _on_the_way(self) -> int:
        return len(self._flights) + self._claiming

    @property
    def _idle(self) -> bool:
        return not self._flights and not self._claiming

    @property
    def _wanted(self) -> int:
        limiter = self._engine.connection.throttle.limiter
        rate = getattr(limiter, "rate", 10) / getattr(limiter, "per", 1.0)
        # An attempt that is still on its way tells how long they take at the least.
        now = anyio.current_time()
        oldest = max((now - each.marked_at for each in self._flights if each.marked_at is not None), default=0.0)
        return wanted_in_flight(rate, max(self._latency, oldest))

    def _may_claim(self) -> Progress | None:
        """Return the progress of the run for which a message may be claimed now."""
        progress = self.progress
        if self._closed or not progress.begun or not progress.iterating or progress.stopping or self._dry:
            return None
        if progress.complete(self._on_the_way) or anyio.current_time() < self._paused_until:
            return None
        return progress if self._hours(progress) else None

    def _hours(self, progress: Progress) -> bool:
        hours = progress.rules.hours
        return hours is None or hours.contain(time.time())

    def _add_workers(self) -> None:
        while self._tasks < self._wanted and self._may_claim() is not None:
            self._tasks += 1
            self._background.start(self._work, on_end=self._worked)

    async def _work(self) -> None:
        """Send messages while there are any, and as long as this worker is needed."""
        # On trio, the cancellation of the task that opened the Outbox ends no worker: `aclose` gives it time.
        with anyio.CancelScope(shield=True):
            while self._tasks <= self._wanted and (progress := self._may_claim()) is not None:
                taken = await self._claim(progress)
                if taken is not None:
                    await self._carry(Flight(taken))

    def _worked(self, result: Result) -> None:
        """Note that a worker has ended, however that was: the run adds another one if it is needed."""
        self._tasks -= 1
        if isinstance(result, Exception):
            self._stop(result)
        self._tell()

    def _interrupted(self) -> None:
        """Start nothing more: all workers are cancelled, and it may be that nobody closes the Outbox."""
        self._closed = True
        self.stop()

    async def _claim(self, progress: Progress) -> Claimed | None:
        self._claiming += 1
        try:
            # One at a time, so that a mark waits for one claim at most. None while a run begins: a claim by the rules
            # of an older run may find nothing, and the new run would end.
            async with self._one_claims:
                return await self._claim_alone(progress) if progress is self.progress else None
        except OutboxError as error:
            progress.fail(error)
            return None
        finally:
            self._claiming -= 1

    async def _claim_alone(self, progress: Progress) -> Claimed | None:
        changes = self._changes
        claim = partial(Store.claim, per_day=progress.rules.per_day)
        taken = await self._take(self._journal.do, claim)
        if taken is None and await self._journal.recover():
            taken = await self._take(self._journal.do, claim)
        if taken is None:
            due, longest = await self._journal.do(Store.next_due), self._journal.look_again
            wait = longest if due is None else max(0.0, due - self._journal.clock())
            self._look_again_at = anyio.current_time() + min(wait, longest)
        self._dry = taken is None and changes == self._changes
        return taken

    async def _carry(self, flight: Flight) -> None:
        """Do the steps of a message, one after another, until one is not done."""
        steps = steps_of(flight.taken.content)
        self._flights.add(flight)
        try:
            with flight.scope:
                while await self._attempt(flight, steps[flight.taken.step]):
                    pass
        finally:
            self._flights.discard(flight)
            self.changed()

    # An attempt

    async def _attempt(self, flight: Flight, step: Step) -> bool:
        """Do one step, and note what came of it. Return True if another step follows."""
        flight.begin()
        try:
            await self._call(flight, step)
        except BaseException as error:
            flight.settling = True
            await self._not_done(flight, step, error)
            if isinstance(error, Exception):
                return False
            raise
        flight.settling = True
        return await self._done(flight)

    async def _call(self, flight: Flight, step: Step) -> None:
        options = self._engine.options._replace(before_send=partial(self._before_send, flight, step))
        engine = Engine(self._engine.connection, options)
        customer = flight.taken.customer_id
        if step.kind == "fields":
            for name, body in step.body.items():
                await Fields(engine).set(customer, name, body["value"], type=body["type"])
        else:
            await engine.call(ROUTES[step.kind], {"customer_id": customer, **step.ids}, json=step.body, read=accepted)

    async def _before_send(self, flight: Flight, step: Step, attempts: Attempts) -> None:
        """Mark a message between the limiter's ticket and the first byte. If this raises, nothing is written."""
        flight.attempts = attempts
        progress = self.progress
        if self._closed or progress.stopping or not (step.idempotent or self._hours(progress)):
            raise NotNowError
        if step.idempotent:
            return  # it follows a message that was sent, and needs no mark
        now, is_marked = time.time(), flight.marked_at is not None
        if flight.taken.is_overdue(now):
            raise NotNowError if is_marked else TooLateError  # queued again, it expires
        if not is_marked:
            flight.asked_at = now
            if not await self._journal.do(partial(Store.mark, taken=flight.taken)):
                raise FencedError
            await anyio.lowlevel.checkpoint_if_cancelled()
        if time.time() - flight.asked_at > (self._engine.options.total_timeout or math.inf):
            raise NotNowError  # the machine was asleep: others may have given this attempt up
        if is_marked:
            return  # refused with 429 or never written: another attempt of the same call
        flight.marked_at = anyio.current_time()
        self._add_workers()

    async def _done(self, flight: Flight) -> bool:
        self._measure(flight)
        self._in_vain = self._pauses = 0
        taken = flight.taken
        if taken.step + 1 < len(steps_of(taken.content)):
            following = await self._take(self._settle, partial(Store.next_step, taken=taken))
            if following is not None:
                flight.taken = following
            return following is not None
        await self._end(partial(Store.sent, taken=taken), None)
        return False

    async def _not_done(self, flight: Flight, step: Step, error: BaseException) -> None:
        self._measure(flight)
        taken = flight.taken
        if isinstance(error, FencedError):
            return
        if isinstance(error, TooLateError):
            await self._settle(partial(Store.expired, taken=taken))
            return
        lost = flight.doubt and not step.idempotent
        if isinstance(error, NotNowError) or not isinstance(error, Exception):
            if lost:
                await self._end(partial(Store.lost, taken=taken, error=_CUT_OFF, status=None), None)
            else:
                await self._settle(partial(Store.not_sent, taken=taken))
            return
        follows = after(error, idempotent=step.idempotent, doubt=flight.doubt)
        if follows is After.RAISE:
            self._stop(error)
        elif follows is After.STOP:
            self._stop(Stop(_words(error), error))
        elif follows is After.AGAIN:
            self._slow_down(error)
        text, status = _words(error), error.status if isinstance(error, APIStatusError) else None
        if follows is After.FAILED:
            self._in_vain = self._pauses = 0
            await self._end(partial(Store.failed, taken=taken, error=text, status=status), error)
        elif lost:
            self._in_vain = self._pauses = 0
            await self._end(partial(Store.lost, taken=taken, error=text, status=status), error)
        else:
            await self._settle(partial(Store.not_sent, taken=taken))

    # Results of the journal, none of which is lost if the worker is cancelled while it waits for them

    async def _take(self, ask: Callable[[_Take], Awaitable[Claimed | None]], take: _Take) -> Claimed | None:
        """Take a message, or its next step. If the worker is cancelled meanwhile, it is queued again."""
        taken: list[Claimed | None] = []
        try:
            return await ask(_noted(take, taken))
        except BaseException:
            for each in filter(None, taken):
                await self._settle(partial(Store.not_sent, taken=each))
            raise

    async def _end(self, end: Callable[[Store], Receipt | None], error: Exception | None) -> None:
        """Write that a message has ended, and hand its receipt out."""
        receipts: list[Receipt | None] = []
        try:
            await self._settle(_noted(end, receipts))
        finally:
            for receipt in filter(None, receipts):
                self.progress.ended(receipt, error)
                if self.progress.stopping:
                    self._drop()

    async def _settle(self, function: Callable[[Store], T]) -> T | None:
        """Write a result. If that cannot be done now, the run ends with the error, and it is tried again later."""
        try:
            return await self._journal.settle(function)
        except OutboxError as error:
            self._stop(error)
            return None

    # Stopping

    def _stop(self, why: Stop | Exception) -> None:
        if isinstance(why, Stop):
            self.progress.stop(why)
        else:
            self.progress.fail(why)
        self._drop()

    def _drop(self) -> None:
        """Have what is not on the wire queued again."""
        for flight in self._flights:
            if flight.droppable:
                flight.scope.cancel()

    def _slow_down(self, error: Exception) -> None:
        now = anyio.current_time()
        if not self._in_vain:
            self._in_vain_since = now
        self._in_vain += 1
        patient = self.progress.rules.stop_after_failures is None
        if not patient and self._in_vain >= _IN_VAIN and now - self._in_vain_since >= _IN_VAIN_FOR:
            self._stop(Stop(f"for {_IN_VAIN_FOR:g} seconds no attempt came to anything ({_words(error)})", error))
        if now >= self._paused_until:
            # Several that fail together are one trouble.
            self._pauses += 1
            self._paused_until = now + slow_down(error, self._pauses)

    def _measure(self, flight: Flight) -> None:
        if flight.marked_at is not None:
            latency = anyio.current_time() - flight.marked_at
            self._latency += (latency - self._latency) * (_NEWEST if self._latency else 1.0)

    # The end

    async def aclose(self, grace: float, *, interrupted: bool) -> None:
        """Start nothing more, and wait until nothing is on its way: for `grace` seconds, then it is cut off.

        A cancelled scope around it changes nothing. An interruption (Ctrl-C, asyncio's own cancellation) is raised at
        the end; a second one cuts off at once.

        Args:
            grace: seconds.
            interrupted: true if there was an interruption already.
        """
        self._closed = True
        self.stop()
        until = anyio.current_time() + grace
        try:
            try:
                await self._idle_by(until)
            except BaseException:
                if not interrupted:
                    await self._idle_by(until)
                raise
        finally:
            try:
                await uninterrupted(self._cut_off)
            finally:
                await self._background.close()

    async def _idle_by(self, deadline: float) -> None:
        with anyio.CancelScope(shield=True, deadline=deadline):
            await self._until_idle()

    async def _cut_off(self) -> None:
        for flight in self._flights:
            flight.scope.cancel()
        await self._until_idle()

    async def _until_idle(self) -> None:
        while not self._idle:
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.notify()
        self.progress.news.notify()


def _noted(function: Callable[[Store], T], results: list[T]) -> Callable[[Store], T]:
    """Return a function that does the same, and keeps its result where it is found after a cancellation."""

    def noted(store: Store) -> T:
        result = function(store)
        results.append(result)
        return result

    return noted


def _words(error: Exception) -> str:
    """Return what a receipt says of an error."""
    if isinstance(error, APIStatusError):
        text = f"{error.status} {phrases.get(error.status, '')}".rstrip()
        return f"{text}: {error.message}" if error.message else text
    return f"{type(error).__name__}: {error}"
