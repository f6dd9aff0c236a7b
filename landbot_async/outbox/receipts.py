"""The records that an Outbox hands out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs
from attrs import frozen

from landbot_async._core.record import Record

from .states import Evidence, Status


@frozen(eq=False, repr=False)
class Receipt(Record):
    """The account of one message."""

    key: str
    """The caller's name for it."""
    customer_id: int
    """The customer it is for."""
    status: Status
    """`"queued"`, `"sending"`, `"sent"` (Landbot accepted it), `"failed"`, `"unknown"` (it may have been sent),
    `"cancelled"` or `"expired"`."""
    attempts: int
    """The number of times it was on its way."""
    queued_at: datetime
    """The time when it was queued, in UTC."""
    started_at: datetime | None
    """The time when its last attempt began, in UTC; None if there was none."""
    ended_at: datetime | None
    """The time when its status became final, or unknown, in UTC; otherwise None."""
    error: str | None
    """The reason it failed, or is unknown, in words; otherwise None. It contains nothing of the message."""
    evidence: Evidence | None
    """The evidence that it was sent: `"answer"` (Landbot's response), `"hook"`, `"transcript"` or `"resolved"` (a
    person said so); otherwise None."""
    note: str | None = attrs.field(default=None, repr=False)
    """The text that was queued with it, or None."""


@frozen(eq=False, repr=False)
class Added(Record):
    """The result of adding messages."""

    new: int
    """The number that were queued."""
    same: int
    """The number that were in the journal already."""


@frozen(eq=False, repr=False)
class Reconciled(Record):
    """The result of looking unknown messages up."""

    sent: int
    """The number that turned out to be sent."""
    queued: int
    """The number that never arrived, and are queued again (or go on with their next step)."""
    unknown: Mapping[str, int] = attrs.field(hash=False)
    """The number that are still unknown, by reason."""
