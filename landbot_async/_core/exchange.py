"""An exchange in a task of its own, which its caller can leave at any moment.

A request on the wire must not be cancelled just anywhere. asyncio's own cancellation (`task.cancel()`,
`asyncio.timeout`, a `TaskGroup`) ignores the shields under which httpcore returns connections to its pool, and loses
them for good: a borrowed pool of 32 was dead after 280 such cancellations. And a hook of a borrowed client may take as
long as it likes to end, or refuse to.

So the exchange runs in a task that only this module cancels, through a scope that the shields hold off. A caller that
is cancelled stops the exchange and waits for its end, but for no longer than `GRACE`. What is left of the exchange then
ends by itself and writes nothing any more.

Reasons: docs/decisions.md, "A task for each exchange".
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import anyio

from .event_loop import spawn

T = TypeVar("T")

# Seconds that a cancelled caller waits for the end of its exchange. It takes less than a millisecond, unless a hook
# refuses to end.
GRACE = 0.03


class ForeignCancellationError(Exception):
    """The task of an exchange was cancelled by somebody else, for example by a loop over `asyncio.all_tasks()`."""


class Exchange(Generic[T]):
    """One exchange, and what came of it.

    Args:
        run: makes the exchange. What it raises is raised to the caller, if it is still there.
        stop: called when the caller leaves. It returns the seconds for which the exchange may go on: 0 where it can
            be cancelled at once, more where only the exchange itself can end safely.
        running: the exchanges that have not ended. Being in there keeps their tasks alive.
    """

    __slots__ = ("_ended", "_error", "_result", "_run", "_running", "_scope", "_stop", "_task")

    def __init__(
        self, run: Callable[[], Coroutine[Any, Any, T]], stop: Callable[[], float], running: set[Exchange[T]]
    ) -> None:
        self._run = run
        self._stop = stop
        self._running = running
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._task: object = None

    async def result(self) -> T:
        """Make the exchange and return its result.

        Raises:
            ForeignCancellationError: somebody else cancelled its task.
            Exception: whatever the exchange raised.
        """
        self._running.add(self)
        self._task = spawn(self._make)
        if not self._ended.is_set():
            try:
                await self._ended.wait()
            except BaseException:
                await self._leave()
                raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback refers to this object
        return self._result.pop()

    async def _make(self) -> None:
        try:
            with self._scope:
                self._result.append(await self._run())
        except anyio.get_cancelled_exc_class():
            self._error = ForeignCancellationError("the exchange was cancelled from outside")
        except BaseException as error:  # noqa: BLE001  # the caller gets it
            self._error = error
        finally:
            self._running.discard(self)
            self._ended.set()

    async def _leave(self) -> None:
        patience = self._stop()
        if patience > 0:
            self._scope.deadline = anyio.current_time() + patience
            return
        self._scope.cancel()
        with anyio.move_on_after(GRACE, shield=True):
            await self._ended.wait()
