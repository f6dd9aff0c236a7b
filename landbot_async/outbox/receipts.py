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
    """The account of one message.

    Attributes:
        key: the caller's name for it.
        customer_id: the customer it is for.
        status: `"queued"`, `"sending"`, `"sent"` (Landbot accepted it), `"failed"`, `"unknown"` (it may have been
            sent), `"cancelled"` or `"expired"`.
        attempts: how often it was on its way.
        queued_at: when it was queued, UTC.
        started_at: when its last attempt began, UTC; None if there was none.
        ended_at: when its status became final, or unknown, UTC; otherwise None.
        error: the reason it failed, or is unknown, in words; otherwise None. It contains nothing of the message.
        evidence: how it is known that it was sent: `"answer"` (Landbot's response), `"hook"`, `"transcript"` or
            `"resolved"` (a person said so); otherwise None.
        note: the text that was queued with it, or None.
    """

    key: str
    customer_id: int
    status: Status
    attempts: int
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: str | None
    evidence: Evidence | None
    note: str | None = attrs.field(default=None, repr=False)


@frozen(eq=False, repr=False)
class Added(Record):
    """The result of adding messages.

    Attributes:
        new: how many were queued.
        same: how many were in the journal already.
    """

    new: int
    same: int


@frozen(eq=False, repr=False)
class Reconciled(Record):
    """The result of looking unknown messages up.

    Attributes:
        sent: how many turned out to be sent.
        queued: how many never arrived, and are queued again (or go on with their next step).
        unknown: how many are still unknown, by reason.
    """

    sent: int
    queued: int
    unknown: Mapping[str, int] = attrs.field(hash=False)
