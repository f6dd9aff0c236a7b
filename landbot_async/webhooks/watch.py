"""Cutting off what takes too long, with one timer for all: each may take as long, so the first to begin is due first.

A timer for each message would cost more than its handler where that is quick.
"""

from __future__ import annotations

import anyio


class Watch:
    """Cancels what takes longer than `seconds`, while `run` runs."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due: dict[anyio.CancelScope, float] = {}  # in the order they began

    def begin(self) -> anyio.CancelScope:
        """A scope for what begins now. Whoever leaves it calls `end`."""
        scope = anyio.CancelScope()
        self._due[scope] = anyio.current_time() + self.seconds
        return scope

    def end(self, scope: anyio.CancelScope) -> None:
        """What began is over."""
        self._due.pop(scope, None)

    async def run(self) -> None:
        """Watch, until cancelled."""
        while True:
            # What begins while nothing does is due no earlier.
            await anyio.sleep_until(next(iter(self._due.values()), anyio.current_time() + self.seconds))
            now = anyio.current_time()
            for scope in [each for each, due in self._due.items() if due <= now]:
                del self._due[scope]
                scope.cancel()
