"""The sandbox's clock, and an event loop for asyncio in virtual time.

In virtual time waiting costs nothing and is exact; for trio there is `trio.testing.MockClock`.

Reasons: docs/decisions.md, "Its clock".
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

import anyio


class Clock:
    """The event loop's clock plus whatever it was moved ahead. It never goes back.

    Args:
        epoch: Unix seconds at its beginning, which is when an event loop first reads it.
    """

    def __init__(self, epoch: float) -> None:
        self._zero = epoch
        self._ahead = 0.0
        self._last = 0.0
        self._started = False

    def at(self) -> float:
        """Return the seconds on this clock: the event loop's plus every tick. Outside a loop it stands still."""
        try:
            at = anyio.current_time() + self._ahead
        except RuntimeError:
            return self._last
        if not self._started:
            self._started = True
            self._zero += self._last - at
        elif at < self._last:
            # Another event loop, whose clock started over: this one continues.
            self._ahead += self._last - at
            at = self._last
        self._last = at
        return at

    def unix(self, at: float) -> float:
        """Return the Unix seconds of a time on this clock."""
        return self._zero + at

    def now(self) -> float:
        """Return the Unix seconds."""
        return self.unix(self.at())

    def tick(self, seconds: float) -> None:
        """Move on by `seconds` at once."""
        self.at()
        self._ahead += seconds
        self._last += seconds

    def resume(self, now: float) -> None:
        """Start no earlier than at `now`, in Unix seconds."""
        self._zero = max(self._zero, now - self._last)


class _NoWaiting(selectors.DefaultSelector):
    """A selector that moves the loop's clock instead of waiting, unless a socket is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if not timeout:
            # Nothing to wait for, or nothing is planned: only a socket or a thread can continue.
            return super().select(timeout)
        ready = super().select(0)
        self.now += 0.0 if ready else timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to whatever is due next.

    With anyio's pytest plugin, the fixture `anyio_backend` returns `("asyncio", {"loop_factory": VirtualLoop})`; with
    asyncio alone, it is `asyncio.Runner(loop_factory=VirtualLoop)`.
    """

    def __init__(self) -> None:
        self._selector_clock = _NoWaiting()
        super().__init__(self._selector_clock)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the seconds since the loop was made, as the loop sees it."""
        return self._selector_clock.now
