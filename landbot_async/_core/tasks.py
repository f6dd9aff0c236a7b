"""Work that cancellation does not cut off: `uninterrupted` awaits it in a task, `Opening` does it in a thread."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


async def uninterrupted(function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Await `function(*args)` to its end, and return its result or raise its exception.

    If the task is cancelled meanwhile, the cancellation is raised afterwards: in place of the result, or at the next
    `await`. This includes asyncio's own cancellation (`task.cancel()`), which a shielded scope does not hold off: so
    the function runs in a task of its own, which nobody else can cancel.
    """
    results: list[T] = []
    errors: list[Exception] = []

    async def run() -> None:
        with anyio.CancelScope(shield=True):
            try:
                results.append(await function(*args))
            except Exception as error:  # noqa: BLE001  # raised below: the group would wrap it
                errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    if errors:
        raise errors[0]
    return results[0]


class Opening(Generic[T]):
    """The opening of something in a thread, for a caller who may be cancelled meanwhile.

    asyncio's own cancellation leaves the thread running. The caller never gets what the thread opens then, so the
    thread itself closes it.

    Args:
        opening: opens it.
        close: closes it.
    """

    def __init__(self, opening: Callable[[], T], close: Callable[[T], object]) -> None:
        self._opening = opening
        self._close = close
        self._lock = threading.Lock()
        self._left = False
        self._opened: list[T] = []

    @property
    def opened(self) -> T:
        """The object that `run` has opened."""
        return self._opened[0]

    def run(self) -> None:
        """Open it. Call this in the thread."""
        opened = self._opening()
        with self._lock:
            self._opened.append(opened)
            if self._left:
                self._close(opened)

    def leave(self) -> None:
        """Close it, now or as soon as it is open."""
        with self._lock:
            self._left = True
            for opened in self._opened:
                self._close(opened)
