"""Background tasks of an object that is opened and closed, such as an inbox."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import current_token

from .event_loop import clock, is_cancelled
from .log import log

if TYPE_CHECKING:
    import asyncio


class End(Enum):
    """The ways in which a task ends, apart from failing."""

    RETURNED = "returned"
    CANCELLED = "cancelled"
    """The task itself was cancelled: by `close`, by the end of the event loop, or by somebody who holds the task."""


Result: TypeAlias = End | Exception
"""The end of a task: its exception if it failed, a `TimeoutError` if it was cut off."""


class _Task:
    """One task, and how it ended."""

    __slots__ = ("function", "on_end", "result", "scope", "timeout")

    def __init__(
        self, function: Callable[[], Awaitable[object]], timeout: float, on_end: Callable[[Result], None]
    ) -> None:
        self.function = function
        self.timeout = timeout
        self.on_end = on_end
        self.scope: anyio.CancelScope | None = None  # while it runs
        self.result: Result = End.CANCELLED  # a task that is cancelled before it begins never says so


class Background:
    """Tasks that run until they end or `close` is called. A task that fails or is cancelled ends no other.

    On asyncio these are plain tasks of the event loop, so any task may close what another has opened. On trio they run
    in a nursery, which the same task must open and close. Only KeyboardInterrupt and SystemExit get out of a task: on
    asyncio they end the event loop, as from any task; on trio they cancel the task that opened the nursery.

    Args:
        on_interrupt: called when all tasks are cancelled before `close` was called: `asyncio.run` does so at its end,
            and on trio it happens when the task that opened the nursery is cancelled.
    """

    def __init__(self, on_interrupt: Callable[[], None] | None = None) -> None:
        self._on_interrupt = on_interrupt
        self._running: dict[Any, _Task] = {}  # on asyncio by the event loop's task
        self._group: TaskGroup | None = None
        self._new_scope: Callable[..., anyio.CancelScope] = anyio.CancelScope
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sentinel: asyncio.Task[None] | None = None
        self._closing = False
        self.now: Callable[[], float] = anyio.current_time
        """Returns the event loop's time, in seconds."""

    async def open(self) -> None:
        """Begin. Nothing can be started before."""
        import asyncio  # noqa: PLC0415  # loaded already, unless the event loop is trio's

        # Once for all tasks: anyio looks for the event loop each time.
        self.now = clock()
        self._new_scope = type(anyio.CancelScope())
        loop = current_token().native_token
        if isinstance(loop, asyncio.AbstractEventLoop):
            self._loop = loop
            # Only the end of the event loop cancels this task, because nobody else knows it.
            self._sentinel = loop.create_task(_forever(loop.create_future()))
            self._sentinel.add_done_callback(self._interrupted)
        else:
            self._group = await anyio.create_task_group().__aenter__()

    @property
    def ending(self) -> bool:
        """True if all tasks are being cancelled: by `close`, or by the end of the event loop."""
        sentinel = self._sentinel
        return self._closing or (sentinel is not None and (sentinel.done() or sentinel.cancelling() > 0))

    def start(
        self,
        function: Callable[..., Awaitable[object]],
        *args: object,
        timeout: float = math.inf,
        context: Context | None = None,
        on_end: Callable[[Result], None] | None = None,
    ) -> None:
        """Start a task that awaits `function(*args)`.

        Args:
            function: what the task awaits.
            args: its arguments.
            timeout: seconds after which it is cut off.
            context: the context variables it sees, which are copied; None is the caller's.
            on_end: called with how it ended, however that was; it must not raise. None logs a failure.
        """
        task = _Task(partial(function, *args), timeout, on_end or _log_failure)
        context = copy_context() if context is None else context.copy()
        if self._loop is not None:
            # Nothing of anyio here: on_end runs outside any task, and may start the next one.
            native = self._loop.create_task(self._run(task), context=context)
            self._running[native] = task
            native.add_done_callback(self._ended)
        elif self._group is not None:
            self._running[task] = task
            context.run(self._group.start_soon, self._run_on_trio, task)
        else:
            raise RuntimeError("nothing can be started before it is open")

    async def close(self) -> None:
        """Cancel all tasks, and return when they have ended. Cancelling this call makes it no shorter."""
        self._closing = True
        for task in self._running.values():
            if task.scope is not None:
                task.scope.cancel()
        if self._group is not None:
            try:
                await self._group.__aexit__(None, None, None)
            except BaseExceptionGroup as group:
                # As it was raised. Trio raises a Ctrl-C in whichever task is running.
                raise _end_of_program(group) from None
        elif self._sentinel is not None:
            self._sentinel.cancel()
            await self._join()

    async def _join(self) -> None:
        import asyncio  # noqa: PLC0415  # loaded already

        cancelled: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):
            while self._running:
                try:
                    await asyncio.wait([*self._running])
                except asyncio.CancelledError as error:
                    cancelled = error
        if cancelled is not None:
            raise cancelled

    def _interrupted(self, _: object = None) -> None:
        if not self._closing and self._on_interrupt is not None:
            self._on_interrupt()

    async def _run(self, task: _Task) -> None:
        deadline = math.inf if task.timeout == math.inf else self.now() + task.timeout
        task.scope = scope = self._new_scope(deadline=deadline)
        if self._closing:
            scope.cancel()
        try:
            with scope:
                await task.function()
        except (KeyboardInterrupt, SystemExit):
            raise
        except GeneratorExit as error:
            # Raised by the function itself; or the event loop is gone, and nobody looks at the result.
            task.result = _failure("it raised GeneratorExit", error)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is this task's failure and no other's
            task.result = self._result_of(error)
        else:
            if not scope.cancelled_caught:
                task.result = End.RETURNED
            elif not self._closing:
                task.result = TimeoutError(f"it took longer than {task.timeout:g} seconds")

    async def _run_on_trio(self, task: _Task) -> None:
        try:
            # A nursery of its own, because a function may leave one open, which trio tells the nursery around it.
            async with anyio.create_task_group() as group:
                group.start_soon(self._run, task)
        except Exception as error:  # noqa: BLE001  # as above
            task.result = self._result_of(error)
        finally:
            del self._running[task]
            if task.result is End.CANCELLED and not self._closing:
                # The task that opened the nursery is cancelled, and so are all of these.
                self._interrupted()
                self._closing = True
            task.on_end(task.result)

    def _ended(self, native: asyncio.Task[None]) -> None:
        task = self._running.pop(native)
        if not native.cancelled():
            native.exception()  # it has ended the event loop, which need not tell of it again
        if task.scope is not None and task.result is not End.RETURNED:
            task.scope.deadline = math.inf  # otherwise a scope that was left open inside it would be cut off later
        task.on_end(task.result)

    def _result_of(self, error: BaseException) -> Result:
        cancelled = anyio.get_cancelled_exc_class()
        group = error if isinstance(error, BaseExceptionGroup) else BaseExceptionGroup("", [error])
        if group.subgroup((KeyboardInterrupt, SystemExit)):
            raise error
        if self.ending:
            return End.CANCELLED
        if group.subgroup(cancelled):
            return End.CANCELLED if is_cancelled() else _failure("it was cancelled by something it waited for", error)
        return error if isinstance(error, Exception) else _failure(f"it raised {type(error).__name__}", error)


def _end_of_program(group: BaseExceptionGroup) -> BaseException:
    """Return the KeyboardInterrupt or SystemExit of a group: nothing else gets out of a task."""
    error: BaseException = group.subgroup((KeyboardInterrupt, SystemExit)) or group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _failure(what: str, cause: BaseException) -> Exception:
    error = RuntimeError(what)
    error.__cause__ = cause
    return error


def _log_failure(result: Result) -> None:
    if isinstance(result, Exception):
        log.error("a background task failed", exc_info=result)


async def _forever(future: asyncio.Future[None]) -> None:
    await future
