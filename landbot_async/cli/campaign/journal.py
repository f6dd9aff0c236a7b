"""The file of a campaign, and the environment variable that will name a database instead."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from landbot_async import ConfigurationError, outbox
from landbot_async.cli.environment import JOURNAL_URL
from landbot_async.outbox.journal.rows import Kept
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.states import Status

if TYPE_CHECKING:  # `status` and `report` need no client, and are to be quick
    from landbot_async import AsyncLandbot
    from landbot_async.outbox import Outbox, OutboxReader

GRACE: Final = 2.0
"""Seconds that a second Ctrl-C leaves to what is on the wire."""

Counts: TypeAlias = Mapping[Status, int]


def check_journal(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse an environment that names a database.

    Raises:
        ConfigurationError: it does.
    """
    if environment.get(JOURNAL_URL, "").strip():
        raise ConfigurationError(
            f"{JOURNAL_URL} is set, but this version keeps campaigns in files only. Unset it; nothing was sent."
        )


def open_outbox(landbot: AsyncLandbot, file: Path, *, moved: bool = False) -> Outbox:
    """Return the Outbox of a campaign, to be entered."""
    check_journal()
    return outbox.Outbox(file, landbot, grace=GRACE, moved=moved)


def open_reader(file: Path) -> OutboxReader:
    """Return what looks into a campaign, whether it runs or not."""
    check_journal()
    return outbox.OutboxReader(file)


def remove(file: Path) -> None:
    """Remove a campaign's file, which nobody has open."""
    for each in (file, *(file.with_name(f"{file.name}-{part}") for part in ("wal", "shm"))):
        each.unlink(missing_ok=True)


async def first_queued(opened: Outbox) -> Kept | None:
    """Return the first message that is queued, with its content."""
    async for receipt in opened.receipts("queued"):
        return await opened._open.journal.do(partial(Store.find, key=receipt.key))  # noqa: SLF001  # the same package
    return None


def next_command(file: Path, counts: Counts) -> str:
    """Return the command that a person needs next."""
    if counts["queued"] or counts["sending"]:
        verb = "run"
    elif counts["unknown"]:
        verb = "reconcile"
    else:
        verb = "report"
    return f"landbot campaign {verb} {quoted(file)}"


def quoted(word: Path | str) -> str:
    """Return a path or a key as one types it in a shell."""
    text = str(word)
    if all(char.isalnum() or char in "._-/\\:" for char in text):
        return text
    return shlex.quote(text) if set(text) & set('$`"!') else f'"{text}"'


def plural(count: int, thing: str) -> str:
    """Return a number of things, in words."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def summary(counts: Counts) -> str:
    """Return the counts that are not zero, in words; that of the sent ones always."""
    shown: tuple[Status, ...] = ("sent", "failed", "unknown", "queued", "sending", "cancelled", "expired")
    return ", ".join(f"{counts[status]:,} {status}" for status in shown if counts[status] or status == "sent")
