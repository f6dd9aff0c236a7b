"""The duration of requests, responses and deliveries.

`realistic` brings Landbot's own times, from a published log: a message sent takes 0.95 to 1.35 s to be confirmed, the
message hook for it follows 0.2 to 0.7 s later, and an event (an assignment) 5 to 8 s later, after messages that
were written behind it.

Reasons: docs/decisions.md, "realistic".
"""

from __future__ import annotations

import random
from typing import Final

# Seconds: the least, and how much longer it may take.
_RESPONSE: Final = (0.95, 0.4)
_DELIVERY: Final = (0.2, 0.5)
_EVENT: Final = (5.0, 3.0)


class Pace:
    """Durations in seconds, drawn from a seed.

    Args:
        latency: the time that a request and its response travel, together.
        jitter: the most that each way may take longer, evenly spread.
        realistic: True adds the times of Landbot itself.
        seed: for everything that is drawn.
    """

    def __init__(self, *, latency: float, jitter: float, realistic: bool, seed: int) -> None:
        self._latency, self._jitter, self._realistic = latency, jitter, realistic
        self._random = random.Random(seed).random  # noqa: S311  # repeatable, not secret
        self._deliveries = random.Random(seed).random  # noqa: S311  # as above
        self.responds_at: float = 0.0
        """The time at which the response in progress leaves; deliveries of what it confirms follow it."""

    def travel(self) -> float:
        """Return the time of one way."""
        return self._latency / 2 + self._random() * self._jitter

    def work(self) -> float:
        """Return the time from the arrival of a request to its response."""
        return self._between(_RESPONSE) if self._realistic else 0.0

    def delivery(self, at: float, *, event: bool) -> float:
        """Return when a delivery goes out, of something that happened at `at`."""
        if not self._realistic:
            return at
        return max(at, self.responds_at) + self._between(_EVENT if event else _DELIVERY)

    def _between(self, span: tuple[float, float]) -> float:
        least, more = span
        return least + self._deliveries() * more
