"""Ways in which a server may count ten requests a second.

Landbot does not say which is its own, so a client has to survive them all. A window is asked with the time of each
request, in seconds that never go back, and says if the request is accepted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol, TypeAlias

WindowName: TypeAlias = Literal["sliding", "counting", "fixed", "gcra", "off"]
"""The ways to count the limit; `"off"` is no limit."""


class Window(Protocol):
    """A way to count requests."""

    def admit(self, now: float) -> bool:
        """Return True if a request that arrives at `now` is accepted."""
        ...


class Sliding:
    """At most `rate` in any stretch of `per` seconds. With `counting`, refused requests count as well."""

    def __init__(self, rate: int, per: float, *, counting: bool = False) -> None:
        self._rate, self._per, self._counting = rate, per, counting
        self._arrivals: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Return True if a request that arrives at `now` is accepted."""
        while self._arrivals and self._arrivals[0] <= now - self._per:
            self._arrivals.popleft()
        taken = len(self._arrivals) < self._rate
        if taken or self._counting:
            self._arrivals.append(now)
        return taken


class Fixed:
    """At most `rate` in each stretch of `per` seconds of the server's own clock."""

    def __init__(self, rate: int, per: float) -> None:
        self._rate, self._per = rate, per
        self._window = -1
        self._count = 0

    def admit(self, now: float) -> bool:
        """Return True if a request that arrives at `now` is accepted."""
        window = int(now // self._per)
        if window != self._window:
            self._window, self._count = window, 0
        self._count += 1
        return self._count <= self._rate


class Gcra:
    """A leaky bucket that holds `rate` requests and drains `rate` in `per` seconds."""

    def __init__(self, rate: int, per: float) -> None:
        self._gap, self._depth = per / rate, per
        self._full_until = float("-inf")

    def admit(self, now: float) -> bool:
        """Return True if a request that arrives at `now` is accepted."""
        full_until = max(self._full_until, now) + self._gap
        if full_until - now > self._depth + 1e-9:
            return False
        self._full_until = full_until
        return True


class Off:
    """No limit."""

    def admit(self, now: float) -> bool:
        """Accept every request."""
        return True


WINDOWS: Final[Mapping[WindowName, Callable[[int, float], Window]]] = {
    "sliding": Sliding,
    "counting": lambda rate, per: Sliding(rate, per, counting=True),
    "fixed": Fixed,
    "gcra": Gcra,
    "off": lambda _rate, _per: Off(),
}
