"""`landbot campaign status` and `report`: what a campaign's file tells, also while another process runs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Final

import anyio
from attrs import frozen

from landbot_async.cli.columns import Column, Listing
from landbot_async.cli.session import Target
from landbot_async.outbox import OutboxReader

from .journal import next_command, open_reader
from .messages import row_of

LATELY: Final = 60.0
"""Seconds of which the rate is the mean."""
_KINDS: Final = 3
"""Reasons for failures that are shown."""


@frozen
class Status:
    """How a campaign stands."""

    campaign: str
    total: int
    queued: int
    sending: int
    sent: int
    failed: int
    unknown: int
    cancelled: int
    expired: int
    rate: float
    begun: str
    errors: str
    next: str


@frozen
class ReportRow:
    """What became of one row of the spreadsheet."""

    row: int | None
    key: str
    customer: int
    phone: str
    status: str
    attempts: int
    at: str
    error: str
    evidence: str


def _column(name: str, least: int = 0, most: int = 0) -> Column:
    return Column(name, lambda item: getattr(item, name), least, most or least)


STATUS: Final = Listing("campaign", tuple(_column(each) for each in Status.__annotations__))
REPORT: Final = Listing(
    "message",
    (
        _column("row", 5),
        _column("customer", 9),
        _column("phone", 13),
        _column("status", 9),
        _column("at", 19),
        _column("error", 20, 80),
        _column("key", 12, 30),
        _column("attempts", 8),
        _column("evidence"),
    ),
)


def show_status(target: Target, file: Path) -> None:
    """Show how a campaign stands."""
    target.show(STATUS, anyio.run(look, file))


def show_report(target: Target, file: Path) -> None:
    """List what became of each row."""
    anyio.run(target.stream, REPORT, rows(file))


async def look(file: Path) -> Status:
    """Return how a campaign stands. Nothing is changed, and it may be running."""
    reader = open_reader(file)
    counts = await reader.counts()
    lately = await reader.sent_within(LATELY)
    runs = bool(lately and (counts["queued"] or counts["sending"]))
    return Status(
        campaign=str(file),
        total=sum(counts.values()),
        **{str(status): count for status, count in counts.items()},
        rate=round(lately / LATELY, 1),
        begun=await _begun(reader),
        errors=await _errors(reader) if counts["failed"] or counts["unknown"] else "",
        next=("" if not runs else "it was sending a moment ago; once it has ended: ") + next_command(file, counts),
    )


async def _begun(reader: OutboxReader) -> str:
    """Return when the first message was sent: the first that was queued is the first to be sent."""
    async for receipt in reader.receipts():
        return _time(receipt.started_at)
    return ""


async def _errors(reader: OutboxReader) -> str:
    kinds: Counter[str] = Counter()
    async for receipt in reader.receipts(("failed", "unknown")):
        kinds[f"{receipt.status}: {receipt.error or 'forgotten'}"] += 1
    return "; ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common(_KINDS))


async def rows(file: Path) -> AsyncIterator[ReportRow]:
    """Yield what became of each row, in the order of the spreadsheet."""
    async for receipt in open_reader(file).receipts():
        row, phone = row_of(receipt.note)
        yield ReportRow(
            row=row,
            key=receipt.key,
            customer=receipt.customer_id,
            phone=phone,
            status=receipt.status,
            attempts=receipt.attempts,
            at=_time(receipt.ended_at),
            error=receipt.error or "",
            evidence=receipt.evidence or "",
        )


def _time(when: datetime | None) -> str:
    return "" if when is None else f"{when:%Y-%m-%d %H:%M:%S}"
