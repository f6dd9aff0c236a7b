"""The life of a queued message, as tables and functions of values. Nothing here waits, sends or looks at a clock.

               ┌───────────────────── retry ──────────────────────┐
               ▼                                                  │
    queued ──► taken ──► sending ──► sent                         │
      ▲  ▲       │          ├──────► failed ──────────────────────┘
      │  └───────┘          └──────► unknown ──► sent       evidence (hook, transcript), or a person
      │  nothing was sent               │
      └─────────────────────────────────┘  evidence that it never arrived, or a person; never by time alone

    queued ──► cancelled, expired

A claim (*taken*) sends nothing. The mark *sending* is on disk before the first byte is written, so whatever a crash
leaves as *taken* can be queued again, and only what it leaves as *sending* is unknown. Each claim has a number, which
fences later truths: the result of an attempt is never written over a newer attempt.

*queued* has three states on disk, so that claiming is quick however many messages wait: *waiting* for its time,
*behind* another message of its customer, and *ready*. A customer has at most one message that is ready, taken or
sending.
"""

from __future__ import annotations

import enum
import math
from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime, time, tzinfo
from typing import Final, Literal, NamedTuple, TypeAlias

from landbot_async._core.errors import (
    APIStatusError,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    LandbotError,
    LimiterError,
    OutboxError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    TotalTimeoutError,
)

Status: TypeAlias = Literal["queued", "sending", "sent", "failed", "unknown", "cancelled", "expired"]
"""The statuses of a message."""
STATUSES: Final[tuple[Status, ...]] = ("queued", "sending", "sent", "failed", "unknown", "cancelled", "expired")

Evidence: TypeAlias = Literal["answer", "hook", "transcript", "resolved"]
"""The kinds of evidence that a message was sent."""


class State(enum.StrEnum):
    """The state of a message on disk."""

    WAITING = "waiting"
    BEHIND = "behind"
    READY = "ready"
    TAKEN = "taken"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


STATUS: Final[Mapping[State, Status]] = {
    State.WAITING: "queued",
    State.BEHIND: "queued",
    State.READY: "queued",
    State.TAKEN: "queued",
    State.SENDING: "sending",
    State.SENT: "sent",
    State.FAILED: "failed",
    State.UNKNOWN: "unknown",
    State.CANCELLED: "cancelled",
    State.EXPIRED: "expired",
}
QUEUED: Final = (State.WAITING, State.BEHIND, State.READY)
# A customer has at most one message in these states.
OPEN: Final = (State.READY, State.TAKEN, State.SENDING)
ENDED: Final = (State.SENT, State.FAILED, State.CANCELLED, State.EXPIRED)


class Move(NamedTuple):
    """A way from some states to another one."""

    origins: tuple[State, ...]
    target: State


# The result of an attempt may come when the message was already given up (unknown), or even queued again.
_RESULT: Final = (State.TAKEN, State.SENDING, State.UNKNOWN, State.BEHIND, State.READY)
MOVES: Final[Mapping[str, Move]] = {
    "due": Move((State.WAITING,), State.BEHIND),
    "elected": Move((State.BEHIND,), State.READY),
    "passed over": Move((State.READY,), State.BEHIND),
    "claimed": Move((State.READY,), State.TAKEN),
    "marked": Move((State.TAKEN,), State.SENDING),
    "next step": Move((State.TAKEN, State.SENDING), State.TAKEN),
    "sent": Move(_RESULT, State.SENT),
    "failed": Move(_RESULT, State.FAILED),
    "lost": Move((State.SENDING,), State.UNKNOWN),
    "not sent": Move((State.TAKEN, State.SENDING), State.BEHIND),
    "found": Move((State.UNKNOWN,), State.SENT),
    "absent": Move((State.UNKNOWN,), State.BEHIND),
    "retried": Move((State.FAILED,), State.BEHIND),
    "cancelled": Move(QUEUED, State.CANCELLED),
    "cut short": Move(QUEUED, State.SENT),
    "expired": Move((*QUEUED, State.TAKEN), State.EXPIRED),
}


class After(enum.Enum):
    """The consequences of an attempt's error."""

    FAILED = "the message has failed"
    UNKNOWN = "the message may have been sent"
    AGAIN = "nothing was sent: it is queued again"
    STOP = "nothing was sent, and no other message would be: the run stops"
    RAISE = "the error is none of the message's: the run raises it"


# Statuses that say something about the account and not about one message.
STOPPING: Final = (AuthenticationError, PaymentRequiredError, PermissionDeniedError)
_NOT_OF_THE_MESSAGE: Final = (ClientClosedError, ConfigurationError, OutboxError)


def after(error: Exception, *, idempotent: bool, doubt: bool) -> After:
    """Decide what follows an attempt that raised.

    Args:
        error: the error.
        idempotent: true if the attempt can be made again whatever it did.
        doubt: true if it may have taken effect.
    """
    if isinstance(error, STOPPING):
        return After.STOP
    if not isinstance(error, LandbotError) or isinstance(error, _NOT_OF_THE_MESSAGE):
        return After.RAISE
    if doubt and not idempotent:
        return After.UNKNOWN
    if doubt or not error.transient:
        return After.FAILED
    return After.AGAIN


def slow_down(error: Exception, trouble: int) -> float:
    """Return the seconds for which nothing is claimed after an attempt that is made again.

    Args:
        error: the error of the attempt.
        trouble: 1 the first time, and one more each time in a row.
    """
    if isinstance(error, RateLimitError | TotalTimeoutError):
        return 0.0  # the limiter has waited
    return 1.0 if isinstance(error, LimiterError) else min(30.0, 0.25 * 2.0 ** min(trouble, 10))


class FailureWatch:
    """Counts equal failures among the last hundred results.

    Args:
        limit: how many are too many, or None.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = math.inf if limit is None else limit
        self._last: deque[str | None] = deque(maxlen=100)

    def note(self, error: Exception | None) -> str | None:
        """Note a result. Return the failure of which there are too many now, or None.

        A 404 does not count: it is the recipient's own. All 5xx count as one.
        """
        status = error.status if isinstance(error, APIStatusError) else 0
        failure = None if status < 400 or status == 404 else "5xx" if status >= 500 else str(status)
        self._last.append(failure)
        return failure if failure is not None and Counter(self._last)[failure] >= self._limit else None


MOST_IN_FLIGHT: Final = 24  # the places of calls with low priority


def wanted_in_flight(rate: float, latency: float) -> int:
    """Return how many messages to have in flight so that `rate` a second are sent.

    Args:
        rate: starts a second.
        latency: seconds from the ticket of the limiter to the end of an attempt.
    """
    return min(MOST_IN_FLIGHT, max(2, math.ceil(rate * latency * 1.25) + 1))


class OpeningHours(NamedTuple):
    """A part of each day, such as 9:00 to 20:00 in Madrid; one from 22:00 to 6:00 lies over midnight."""

    start: time
    end: time
    zone: tzinfo

    def contain(self, now: float) -> bool:
        """Return True if `now`, in Unix seconds, lies in it: from the start, and before the end."""
        clock = datetime.fromtimestamp(now, self.zone).time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end
