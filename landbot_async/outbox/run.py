"""`Run`: what `outbox.run()` returns. It hands out receipts; the workers send.

It is an object and not a generator. A generator with a task group inside would keep running after a `break`, until it
is collected, and an error of a worker would come out of it in a group of errors. Here a loop that is left, by `break`
or by cancellation, leaves nothing behind: the workers belong to the Outbox, and claim only while somebody waits for a
receipt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

import anyio

from landbot_async._core.event_loop import Notifier

from .receipts import Receipt
from .states import FailureWatch, OpeningHours


class Rules(NamedTuple):
    """The arguments of `outbox.run()`."""

    first: int | None = None
    per_day: int | None = None
    hours: OpeningHours | None = None
    stop_after_failures: int | None = None
    follow: bool = False


class Stop(NamedTuple):
    """A reason to stop sending, and the error that shows it."""

    reason: str
    cause: Exception


class Progress:
    """The progress of a run. The workers write it, the run reads it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.receipts: deque[Receipt] = deque()
        """Receipts to be handed out."""
        self.handed_out = 0
        self.iterating = 0
        """The number of tasks that wait for a receipt."""
        self.begun = False
        self.over = False
        """True once its end has been told."""
        self.stopping: bool = False
        """True if nothing more is to be started."""
        self.stop_reason: Stop | None = None
        self.failure: Exception | None = None
        """The error that the run ends with."""
        self.news: Notifier = Notifier()
        self._watch = FailureWatch(rules.stop_after_failures)

    def complete(self, on_the_way: int) -> bool:
        """Return True if as many messages have ended, or are on their way, as were asked for."""
        first = self.rules.first
        return first is not None and self.handed_out + len(self.receipts) + on_the_way >= first

    def ended(self, receipt: Receipt, error: Exception | None) -> None:
        """Note that a message has ended sent, failed or unknown."""
        self.receipts.append(receipt)
        failure = self._watch.note(error)
        if failure is not None and error is not None:
            self.stop(Stop(f"{self.rules.stop_after_failures} of the last 100 messages ended with {failure}", error))
        self.news.notify()

    def stop(self, reason: Stop | None = None) -> None:
        """Start nothing more."""
        self.stopping = True
        self.stop_reason = self.stop_reason or reason
        self.news.notify()

    def fail(self, error: Exception) -> None:
        """Start nothing more, and end with an error."""
        self.failure = self.failure or error
        self.stop()


async def receive(progress: Progress, tend: Callable[[Progress], Awaitable[float | None]]) -> Receipt:
    """Wait for the next receipt of a run.

    Args:
        progress: of the run.
        tend: keeps the run going, and returns the seconds to wait for news, or None if the run is over.

    Raises:
        StopAsyncIteration: there are no more.
    """
    progress.iterating += 1
    try:
        while not progress.receipts:
            if progress.over:
                raise StopAsyncIteration
            wait = await tend(progress)
            if wait is None and not progress.receipts:
                progress.over = True
                if progress.failure is not None:
                    raise progress.failure
                raise StopAsyncIteration
            with anyio.move_on_after(0.0 if progress.receipts else wait):
                await progress.news.wait()
        progress.handed_out += 1
        return progress.receipts.popleft()
    finally:
        progress.iterating -= 1


class Run:
    """The receipts of messages as they end sent, failed or unknown: `async for receipt in outbox.run()`.

    Messages are claimed only while somebody waits for a receipt. What is on its way when the loop is left goes on, and
    its receipt is handed out by the next run. An error comes out as itself, when nothing is on its way any more.
    """

    def __init__(self, receive: Callable[[], Awaitable[Receipt]]) -> None:
        self._receive = receive

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Receipt:
        return await self._receive()
