"""Rows of the journal as values, and the part of a database connection that the journal uses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from landbot_async.outbox.receipts import Receipt
from landbot_async.outbox.states import STATUS, State
from landbot_async.outbox.steps import steps_of


class Cursor(Protocol):
    """The part of a cursor of the Python database API that is used here."""

    @property
    def rowcount(self) -> int:
        """The number of rows that were changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the other rows."""
        ...


class Connection(Protocol):
    """The part of a connection that is used here. It commits only when it is told to."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement."""
        ...


class Claimed(NamedTuple):
    """A message that was taken to be sent. `claim` fences its results."""

    number: int
    claim: int
    key: str
    customer_id: int
    content: str
    step: int
    expires: float | None

    def is_overdue(self, now: float) -> bool:
        """Return True if the message was not sent in time. What follows a message that was sent is never too late."""
        return self.step == 0 and self.expires is not None and self.expires <= now


class Kept(NamedTuple):
    """A message as evidence is looked for it, or as it is evidence itself."""

    number: int
    outbox: int
    claim: int
    customer_id: int
    kind: str
    content: str
    step: int
    state: State
    started_at: float
    message_at: float | None
    accepted_at: float | None
    evidence: str | None

    @property
    def more_to_do(self) -> bool:
        """True if there are further steps behind the one that is unknown."""
        return self.step + 1 < len(steps_of(self.content))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def as_kept(row: Sequence[Any]) -> Kept:
    """Return a row as a message with its evidence."""
    kept = Kept(*row)
    return kept._replace(state=State(kept.state))


def as_receipt(row: Sequence[Any]) -> Receipt:
    """Return a row as a receipt."""
    _, key, customer, state, attempts, queued_at, started_at, ended_at, error, evidence, note = row
    return Receipt(
        key=key,
        customer_id=customer,
        status=STATUS[State(state)],
        attempts=attempts,
        queued_at=datetime.fromtimestamp(queued_at, UTC),
        started_at=_moment(started_at),
        ended_at=_moment(ended_at),
        error=error,
        evidence=evidence,
        note=note,
    )
