"""Two queues for one resource: normal tasks go first, and low ones are not starved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeAlias

import anyio

from .event_loop import Notifier

Priority: TypeAlias = Literal["normal", "low"]
"""The priority of a client's calls."""
Due: TypeAlias = Callable[[], Callable[[], Awaitable[object]] | None]

PRIORITIES: Final[tuple[Priority, ...]] = ("normal", "low")
# Normal turns after which a waiting low task has the next one. With the turn that is taken when it comes, its own is
# the tenth at the latest.
NORMAL_IN_A_ROW: Final = 8


def known_priority(value: Priority) -> Priority:
    """Return `value` if it is a priority.

    Raises:
        ValueError: it is none.
    """
    if value not in PRIORITIES:
        raise ValueError(f"priority must be 'normal' or 'low', not {value!r}")
    return value


class PrioritySemaphore:
    """A semaphore with a queue for each priority, each of them first come, first served.

    A free place goes to the first normal task, or to the first low one if no normal task waits or eight of them in a
    row went before it. So a normal task that comes has at most one low task before it, and waiting low tasks get more
    than every tenth place. A place may have a time from which it can be taken: the heads of both queues wait for it,
    and it is given away only then.

    A task that is cancelled while it waits leaves its queue and changes nothing for the others.

    Args:
        places: how many tasks may hold one at a time.
        low: how many of the places low tasks may hold at a time; None for all of them.
    """

    def __init__(self, places: int, *, low: int | None = None) -> None:
        self.places: int = places
        self._low = places if low is None else low
        self._held: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        self._waiting: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        # The queues. Only the head of each looks at the places, so a change wakes at most two tasks.
        self._heads = {priority: anyio.Lock(fast_acquire=True) for priority in PRIORITIES}
        self._changed = Notifier()
        self._in_a_row = 0  # normal turns since a low task began to wait or had its turn

    @property
    def held(self) -> int:
        """The number of places that are taken."""
        return sum(self._held.values())

    async def acquire(self, priority: Priority = "normal", due: Due | None = None) -> None:
        """Wait for a place. If one is free and nobody waits, other tasks do not run meanwhile.

        Args:
            priority: the queue.
            due: returns a function that waits for what the place needs, such as its time, or None if the place can be
                taken now. A task that waits for that holds nothing, so a normal one may still go before it.
        """
        head = self._heads[priority]
        self._waiting[priority] += 1
        try:
            await head.acquire()
            try:
                while True:
                    if self._turn() != priority:
                        await self._changed.wait()
                    elif due is None or (wait := due()) is None:
                        break
                    else:
                        await wait()
                self._held[priority] += 1
                self._in_a_row = self._in_a_row + 1 if priority == "normal" and self._waiting["low"] else 0
            finally:
                head.release()
        finally:
            self._waiting[priority] -= 1
            self._changed.notify()

    def release(self, priority: Priority = "normal") -> None:
        """Give a place back."""
        self._held[priority] -= 1
        self._changed.notify()

    def resize(self, places: int, *, low: int) -> None:
        """Change how many places there are. Tasks that hold one keep it."""
        self.places = places
        self._low = low
        self._changed.notify()

    def turn(self, priority: Priority = "normal", due: Due | None = None) -> Turn:
        """Return a place as an asynchronous context manager. The arguments are those of `acquire`.

        Raises:
            ValueError: the priority is unknown.
        """
        return Turn(self, known_priority(priority), due)

    def ahead(self) -> int:
        """Return how many of the tasks that wait now go before a normal task that comes now, at the least."""
        return self._waiting["normal"]

    def _turn(self) -> Priority | None:
        """Return the priority whose head has the next place, or None if there is no place for any."""
        if self.held >= self.places:
            return None
        normal, low = self._waiting["normal"], self._waiting["low"]
        if low and self._held["low"] < self._low and (not normal or self._in_a_row >= NORMAL_IN_A_ROW):
            return "low"
        return "normal" if normal else None


class Turn:
    """A place of a `PrioritySemaphore`, from `async with` to its end."""

    __slots__ = ("_due", "_priority", "_semaphore")

    def __init__(self, semaphore: PrioritySemaphore, priority: Priority, due: Due | None) -> None:
        self._semaphore = semaphore
        self._due = due
        self._priority: Priority = priority

    def __aenter__(self) -> Awaitable[None]:
        # Not a coroutine of its own: a hundred thousand waiting tasks would each keep one more.
        return self._semaphore.acquire(self._priority, self._due)

    async def __aexit__(self, *exc_info: object) -> None:
        self._semaphore.release(self._priority)
