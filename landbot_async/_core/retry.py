"""The rules of retries: the table, the back-off and Retry-After. Nothing here waits or reads a clock.

Landbot has no idempotency key, so a repeated send may reach the customer twice (dev.landbot.io, "Errors"). A retry
therefore depends on two things: what is known about the attempt, and if the operation is idempotent.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from attrs import field, frozen

from .arguments import finite_number, whole_number
from .record import Record
from .routes import Route


class Outcome(enum.Enum):
    """The outcome of an attempt that did not succeed, as far as it is known."""

    NEVER_SENT = "never sent"
    REFUSED = "refused"
    SERVER_ERROR = "server error"
    UNKNOWN = "unknown"


# (idempotent, outcome) → retry it
REPEAT: Final[Mapping[tuple[bool, Outcome], bool]] = {
    (True, Outcome.NEVER_SENT): True,
    (True, Outcome.REFUSED): True,
    (True, Outcome.SERVER_ERROR): True,
    (True, Outcome.UNKNOWN): True,
    (False, Outcome.NEVER_SENT): True,
    (False, Outcome.REFUSED): True,
    (False, Outcome.SERVER_ERROR): False,
    (False, Outcome.UNKNOWN): False,
}

# Outcomes after which the attempt may have taken effect.
DOUBTFUL: Final = frozenset({Outcome.SERVER_ERROR, Outcome.UNKNOWN})


def outcome_of(status: int) -> Outcome | None:
    """Return the outcome that a status means, or None if a retry cannot help."""
    if status == 429:
        return Outcome.REFUSED
    return Outcome.SERVER_ERROR if status >= 500 else None


def _check_attempts(_policy: object, _attribute: object, value: object) -> None:
    whole_number("attempts", value, at_least=1)


def _check_seconds(_policy: object, attribute: object, value: object) -> None:
    finite_number(getattr(attribute, "name", "seconds"), value, at_least=0)


def _check_sends(_policy: object, _attribute: object, value: object) -> None:
    if value not in ("at_most_once", "at_least_once"):
        raise ValueError(f"sends must be 'at_most_once' or 'at_least_once', not {value!r}")


@frozen(eq=False, repr=False)
class RetryPolicy(Record):
    """The number of attempts of a call, and the waits between them, for calls that the retry table allows to retry."""

    attempts: int = field(default=5, validator=_check_attempts)
    """The number of attempts, including the first. A 429 was not processed and costs none."""
    base: float = field(default=0.1, validator=_check_seconds)
    """Seconds, the upper limit of the first back-off; it doubles with each further one (full jitter)."""
    cap: float = field(default=5.0, validator=_check_seconds)
    """Seconds, the longest back-off."""
    max_wait: float = field(default=60.0, validator=_check_seconds)
    """Seconds for which a call goes on after its first 429, and the longest Retry-After that it obeys."""
    sends: Literal["at_most_once", "at_least_once"] = field(default="at_most_once", validator=_check_sends)
    """`"at_most_once"` raises where an operation that is not idempotent may have taken effect; `"at_least_once"`
    retries it, and the customer may get the message twice."""


def repeats(policy: RetryPolicy, route: Route, outcome: Outcome) -> bool:
    """Return True if an attempt with this outcome is retried, as long as attempts are left."""
    return REPEAT[route.idempotent, outcome] or policy.sends == "at_least_once"


def ceiling(policy: RetryPolicy, n: int) -> float:
    """Return the upper limit of the back-off after `n` others, in seconds: `base · 2ⁿ`, capped, for any n."""
    return min(policy.cap, policy.base * 2.0 ** min(n, 64))


# Only ASCII digits: int() and float() would accept "٣", "1_000", "+7", "nan" and "-3". More than ten make no sense.
_SECONDS = re.compile(r"\d{1,10}(\.\d{1,9})?", re.ASCII)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that a response asks to wait, from 0; None if it asks for nothing that can be understood.

    Args:
        headers: the headers of the response. A date in Retry-After is compared with their Date, so that a wrong clock
            does no harm.
        now: the date to compare with if there is no Date.

    Source: RFC 9110, 10.2.3 (seconds or an HTTP date); decimals are accepted as well.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    return max(0.0, (until - (_http_date(headers.get("date", "")) or now)).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
