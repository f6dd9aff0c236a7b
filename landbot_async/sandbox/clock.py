"""Virtual time for asyncio, as `trio.testing.MockClock` is for trio: waiting costs nothing and is exact."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _NoWaiting(selectors.DefaultSelector):
    """A selector that moves the loop's clock instead of waiting, unless sockets have something to say."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if not timeout:
            # At once, or nothing is planned: only a socket or a thread can go on.
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
        """Seconds since the loop was made, as the loop sees it."""
        return self._selector_clock.now
