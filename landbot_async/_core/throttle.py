"""The client's way to any limiter: it looks once which optional parts there are, and fills in what is missing.

Reasons: docs/decisions.md, "Priorities" and "A ticket that is too old".
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeGuard

import anyio

from .limiter import (
    FinishableTicket,
    Limiter,
    PredictingLimiter,
    PriorityLimiter,
    RenewableTicket,
    StartableTicket,
    WrittenTicket,
)
from .log import log
from .priority import Priority, PrioritySemaphore

# Seconds. A request whose connection is ready waits at most this long for another turn: servers close idle connections.
RENEWAL: Final = 5.0
# Calls that wait inside a limiter without priorities at a time. One of them may be low: with less than ten, every tenth
# turn can be a low one, and no normal call has more than one low call before it.
INSIDE: Final = 8


class TicketExpiredError(ConnectionError):
    """The connection took so long that the ticket became too old, and there was no new one soon: nothing was sent."""


class _Parts(NamedTuple):
    """The optional parts that a class of tickets has."""

    start: bool
    write: bool
    finish: bool
    renew: bool


class Permit:
    """A limiter's ticket for one attempt."""

    __slots__ = ("_finish", "_renew", "_start", "_written")

    def __init__(self, ticket: Any, parts: _Parts) -> None:
        self._start: Callable[[], None] | None = ticket.started if parts.start else None
        self._written: Callable[[], None] | None = ticket.written if parts.write else None
        self._finish: Callable[[], None] | None = ticket.done if parts.finish else None
        self._renew: Callable[[], Awaitable[None]] | None = ticket.renew if parts.renew else None

    async def renew(self) -> None:
        """Return when the request may be written, which is at once unless its connection took long.

        Raises:
            TicketExpiredError: there was no other turn within five seconds.
        """
        if self._renew is None:
            return
        with anyio.move_on_after(RENEWAL):
            try:
                await self._renew()
            except Exception:  # noqa: BLE001  # whatever it is, nothing was sent, and the next attempt finds out
                log.exception("the limiter's ticket could not be renewed")
            else:
                return
        raise TicketExpiredError("the connection took so long that the turn was over")

    def started(self) -> None:
        """Report that the request is being written. A limiter that fails at this does not stop it."""
        _report(self._start)

    def written(self) -> None:
        """Report that the whole request has been written. A limiter that fails at this does not stop it."""
        _report(self._written)

    def done(self) -> None:
        """Report that the response has arrived. If the limiter fails at this, the request was sent all the same."""
        _report(self._finish)


# An attempt's permit where no limiter gave one.
NO_PERMIT: Final = Permit(None, _Parts(start=False, write=False, finish=False, renew=False))


class Throttle:
    """A limiter with its optional parts filled in."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self._prioritising = limiter if takes_priority(limiter) else None
        self._predicting = limiter if isinstance(limiter, PredictingLimiter) else None
        self._queues: PrioritySemaphore | None = None  # in front of a limiter without priorities
        self._parts: dict[type, _Parts] = {}

    async def acquire(self, priority: Priority) -> Permit:
        """Wait for the right to start one request."""
        ticket = await self._ticket(priority)
        parts = self._parts.get(type(ticket))
        if parts is None:
            parts = self._parts[type(ticket)] = _Parts(
                isinstance(ticket, StartableTicket),
                isinstance(ticket, WrittenTicket),
                isinstance(ticket, FinishableTicket),
                isinstance(ticket, RenewableTicket),
            )
        return Permit(ticket, parts)

    async def _ticket(self, priority: Priority) -> object:
        if self._prioritising is not None:
            return await self._prioritising.acquire(priority=priority)
        if self._queues is None:
            # Until there is a low call, nothing stands between the calls and their limiter.
            if priority == "normal":
                return await self.limiter.acquire()
            self._queues = PrioritySemaphore(INSIDE, low=1)
        async with self._queues.turn(priority):
            return await self.limiter.acquire()

    async def pause(self, seconds: float) -> None:
        """Let nobody start for `seconds`."""
        await self.limiter.pause(seconds)

    def expected_wait(self, ahead: int) -> float:
        """Return the seconds that a caller has to wait at the least; 0 if the limiter cannot tell."""
        if self._predicting is None:
            return 0.0
        try:
            return self._predicting.expected_wait(ahead)
        except Exception:  # noqa: BLE001  # the call finds out by waiting
            log.exception("the limiter cannot tell the wait")
            return 0.0


def takes_priority(limiter: Limiter) -> TypeGuard[PriorityLimiter]:
    """Return true if the limiter declares `acquire(priority=)`."""
    try:
        return "priority" in inspect.signature(limiter.acquire).parameters
    except (TypeError, ValueError):
        return False  # not written in Python


def _report(to: Callable[[], None] | None) -> None:
    if to is not None:
        try:
            to()
        except Exception:  # noqa: BLE001  # whatever it is
            log.exception("the limiter's ticket raised")
