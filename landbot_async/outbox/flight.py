"""A message between its claim and its result."""

from __future__ import annotations

import anyio

from landbot_async._core.attempts import Attempts

from .journal.rows import Claimed


class NotNowError(Exception):
    """Nothing was sent, because nothing is to be started any more."""


class TooLateError(Exception):
    """Nothing was sent, because the message has expired."""


class FencedError(Exception):
    """Nothing was sent, because the message does not belong to this claim any more."""


class Flight:
    """A claimed message, and what is known of its attempt."""

    __slots__ = ("asked_at", "attempts", "marked_at", "scope", "settling", "taken")

    def __init__(self, taken: Claimed) -> None:
        self.taken: Claimed = taken
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self.attempts: Attempts | None = None  # of the call, once it has got the limiter's ticket
        self.asked_at: float = 0.0  # when the mark was asked for, in Unix seconds
        self.marked_at: float | None = None  # when it was marked, on the event loop's clock
        self.settling: bool = False  # True while its result is written

    def begin(self) -> None:
        """Begin the next step."""
        self.attempts = self.marked_at = None
        self.settling = False

    @property
    def doubt(self) -> bool:
        """True if the attempt may have taken effect."""
        return self.attempts is not None and (self.attempts.doubt or not self.attempts.safe_to_retry)

    @property
    def droppable(self) -> bool:
        """True if the message can be queued again as things stand: it waits, and nothing of it is on the wire."""
        waits = self.marked_at is None or (self.attempts is not None and not self.attempts.on_the_wire)
        return waits and not self.settling and not self.doubt
