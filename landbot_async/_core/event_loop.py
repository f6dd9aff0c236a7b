"""Tools for objects that live in one event loop: the loop they belong to, and an event that fires repeatedly."""

from __future__ import annotations

import math
from weakref import ref

import anyio
from anyio.lowlevel import current_token


class LoopBinding:
    """The event loop that an object belongs to: the one in which it is first used.

    The reference to the loop is weak, so an object that outlives its loop does not keep the closed loop in memory.

    Args:
        owner: the object's name in the error text, for example "This client".
    """

    __slots__ = ("_loop", "_owner")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._loop: ref[object] | None = None

    def bind(self) -> None:
        """Bind to the running event loop on the first call; check that it is still the same one on later calls.

        Raises:
            RuntimeError: the object is bound to another event loop.
        """
        running = current_token().native_token
        if self._loop is None:
            self._loop = ref(running)
        elif self._loop() is not running:
            raise RuntimeError(
                f"{self._owner} belongs to another event loop. Create one in each event loop that uses it."
            )


class Notifier:
    """An event that can fire any number of times: each `notify` wakes the tasks that wait at that moment.

    A task that begins to wait later waits for the next `notify`. Tasks check their condition in a loop:
    `while not condition: await notifier.wait()`. Nothing can happen between the check and the wait, because both run
    without giving up control of the event loop. A notifier can be created outside any event loop, and one that nobody
    waits on keeps no event loop in memory.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[anyio.Event, None] = {}

    async def wait(self) -> None:
        """Wait for the next `notify`. Cancelling the wait leaves nothing behind."""
        event = anyio.Event()
        self._waiting[event] = None
        try:
            await event.wait()
        finally:
            self._waiting.pop(event, None)

    def notify(self) -> None:
        """Wake every waiting task, in the order in which they began to wait."""
        waiting, self._waiting = self._waiting, {}
        for event in waiting:
            event.set()


def being_cancelled() -> bool:
    """Return True if the running task is being cancelled: by a scope of anyio or trio, or by asyncio's `task.cancel()`.

    False while a cancelled exception is handled means that it belongs to somebody else, such as a task that was awaited
    and had been cancelled.
    """
    if anyio.current_effective_deadline() == -math.inf:
        return True
    import asyncio  # noqa: PLC0415  # not needed on trio, and it takes time to import

    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0
