"""`landbot campaign status` and `report`: what a campaign's file tells, also while another process runs it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

import anyio

from landbot_async.cli.columns import Column, Listing
from landbot_async.cli.session import Target
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.receipts import Receipt

from .journal import Counts, next_command, open_reader, read
from .notes import row_of

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
    target.show(STATUS, look(file))


def show_report(target: Target, file: Path) -> None:
    """List what became of each row."""
    anyio.run(target.stream, REPORT, rows(file))


class Standing(NamedTuple):
    """The facts about a campaign that its status is made of.

    Attributes:
        counts: the messages by status.
        lately: how many of the newest messages were sent in the last `LATELY` seconds.
        begun: when the first message was sent, or failed; None if there is none.
        failures: the first messages that failed or are unknown, at most `LOOKED_AT`.
    """

    counts: Counts
    lately: int
    begun: datetime | None
    failures: list[Receipt]


def look(file: Path) -> dict[str, object]:
    """Return how a campaign stands. Nothing is changed, and it may be running."""
    now = time.time()
    counts, lately, begun, failures = read(file, lambda store: _standing(store, now))
    runs = bool(lately and (counts["queued"] or counts["sending"]))
    return {
        "campaign": str(file),
        "total": sum(counts.values()),
        **{str(status): count for status, count in counts.items()},
        "rate": round(lately / span(begun, now), 1),
        "begun": _time(begun),
        "errors": _errors(failures),
        "next": ("it was sending a moment ago; once it has ended: " if runs else "") + next_command(file, counts),
    }


def _standing(store: Store, now: float) -> Standing:
    failures = [receipt for _, receipt in store.receipts(("failed", "unknown"), behind=0, how_many=LOOKED_AT)]
    sent = store.begun()
    begun = [] if sent is None else [datetime.fromtimestamp(sent, UTC)]
    begun += [each.started_at for each in failures[:1] if each.started_at is not None]
    return Standing(store.counts(), store.sent_after(now - LATELY), min(begun, default=None), failures)


def span(begun: datetime | None, now: float) -> float:
    """Return of how many seconds the rate is the mean: fewer than usual if the campaign began only lately."""
    return LATELY if begun is None else min(LATELY, max(1.0, now - begun.timestamp()))


def _errors(failures: list[Receipt]) -> str:
    kinds = Counter(f"{each.status}: {each.error or 'forgotten'}" for each in failures)
    shown = "; ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common(_KINDS))
    return shown if len(failures) < LOOKED_AT else f"of the first {LOOKED_AT:,}: {shown}"


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
