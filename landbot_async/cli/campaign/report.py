"""`landbot campaign status` and `report`: what a campaign's file tells, also while another process runs it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from landbot_async.cli.columns import Column, Listing
from landbot_async.cli.session import Target

from .journal import next_command, open_reader
from .notes import row_of

if TYPE_CHECKING:
    from landbot_async.outbox import OutboxReader

LATELY: Final = 60.0
"""Seconds of which the rate is the mean."""
_KINDS: Final = 3
"""Reasons for failures that are shown."""
LOOKED_AT: Final = 2_000
"""Failures whose reasons are counted: the command is to be quick."""


_STATUS: Final = (
    "campaign",
    "total",
    "queued",
    "sending",
    "sent",
    "failed",
    "unknown",
    "cancelled",
    "expired",
    "rate",
    "begun",
    "errors",
    "next",
)


def _column(name: str, least: int = 0, most: int = 0) -> Column:
    return Column(name, itemgetter(name), least, most or least)


STATUS: Final = Listing("campaign", tuple(map(_column, _STATUS)))
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


async def look(file: Path) -> dict[str, object]:
    """Return how a campaign stands. Nothing is changed, and it may be running."""
    reader = await open_reader(file)
    counts = await reader.counts()
    lately = await reader.sent_within(LATELY)
    runs = bool(lately and (counts["queued"] or counts["sending"]))
    begun = await _begun(reader)
    return {
        "campaign": str(file),
        "total": sum(counts.values()),
        **{str(status): count for status, count in counts.items()},
        "rate": round(lately / span(begun, time.time()), 1),
        "begun": _time(begun),
        "errors": await _errors(reader) if counts["failed"] or counts["unknown"] else "",
        "next": ("it was sending a moment ago; once it has ended: " if runs else "") + next_command(file, counts),
    }


async def _begun(reader: OutboxReader) -> datetime | None:
    """Return when the first message was sent: the first that was queued is the first to be sent."""
    async for receipt in reader.receipts():
        return receipt.started_at
    return None


def span(begun: datetime | None, now: float) -> float:
    """Return of how many seconds the rate is the mean: fewer than usual if the campaign began only lately."""
    return LATELY if begun is None else min(LATELY, max(1.0, now - begun.timestamp()))


async def _errors(reader: OutboxReader) -> str:
    kinds: Counter[str] = Counter()
    async for receipt in reader.receipts(("failed", "unknown")):
        kinds[f"{receipt.status}: {receipt.error or 'forgotten'}"] += 1
        if kinds.total() == LOOKED_AT:
            break
    shown = "; ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common(_KINDS))
    return shown if kinds.total() < LOOKED_AT else f"of the first {LOOKED_AT:,}: {shown}"


async def rows(file: Path) -> AsyncIterator[dict[str, object]]:
    """Yield what became of each row, in the order of the spreadsheet."""
    async for receipt in (await open_reader(file)).receipts():
        row, phone = row_of(receipt.note)
        yield {
            "row": row,
            "customer": receipt.customer_id,
            "phone": phone,
            "status": receipt.status,
            "at": _time(receipt.ended_at),
            "error": receipt.error or "",
            "key": receipt.key,
            "attempts": receipt.attempts,
            "evidence": receipt.evidence or "",
        }


def _time(when: datetime | None) -> str:
    return "" if when is None else f"{when:%Y-%m-%d %H:%M:%S}"
