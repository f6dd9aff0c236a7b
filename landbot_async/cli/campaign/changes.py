"""The commands of a campaign that change what is queued or known, and send nothing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

import typer

from landbot_async import AsyncLandbot
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.session import accepted, say

from .journal import next_command, open_outbox, place, plural, quoted, summary


async def retry(landbot: AsyncLandbot, file: Path, error: int | None) -> None:
    """Queue failed messages again: all, or those with one HTTP status."""
    async with open_outbox(landbot, file) as outbox:
        count = await outbox.retry(error)
        counts = await outbox.counts()
    accepted(f"Queued again: {plural(count, 'failed message')}. Now: {summary(counts)}.")
    if counts["queued"]:
        say(f"Next: {next_command(file, counts)}")


async def reconcile(landbot: AsyncLandbot, file: Path) -> None:
    """Look unknown messages up in transcripts, and say what is certain now."""
    async with open_outbox(landbot, file) as outbox:
        done = await outbox.reconcile()
        counts = await outbox.counts()
        key = None
        async for receipt in outbox.receipts("unknown"):
            key = receipt.key
            break
    found = f"Had arrived: {done.sent:,}. Never did, and queued again: {done.queued:,}."
    if not (done.sent or done.queued or done.unknown):
        found = "No message is unknown."
    accepted(f"{found} Now: {summary(counts)}.")
    for reason, count in done.unknown.items():
        say(f"{count:,} still unknown: {reason}.")
    if key is not None:
        say(
            "What no transcript can tell, you decide, with --sent or --again:"
            f" landbot campaign resolve {quoted(file)} {quoted(key)} --sent"
        )
        raise typer.Exit(ExitCode.SOME_UNKNOWN)
    say(f"Next: {next_command(file, counts)}")


async def resolve(landbot: AsyncLandbot, file: Path, key: str, outcome: Literal["sent", "queued"]) -> None:
    """Settle an unknown message as a person says."""
    async with open_outbox(landbot, file) as outbox:
        await outbox.resolve(key, outcome)
        counts = await outbox.counts()
    accepted(f"{key} is {outcome}. Now: {summary(counts)}.")
    say(f"Next: {next_command(file, counts)}")


async def cancel(landbot: AsyncLandbot, file: Path, key: str | None) -> None:
    """Take back what is queued: all, or one message."""
    async with open_outbox(landbot, file) as outbox:
        count = await outbox.cancel(key)
        counts = await outbox.counts()
    accepted(f"Cancelled: {plural(count, 'queued message')}. Now: {summary(counts)}.")
    if key is not None and not count:
        say(f"There is no queued message {key}.")
        raise typer.Exit(ExitCode.NOT_FOUND)


async def forget(landbot: AsyncLandbot, file: Path, before: datetime | None) -> None:
    """Delete contents, rows and phone numbers of ended messages from the file."""
    async with open_outbox(landbot, file) as outbox:
        count = await outbox.forget(before)
    accepted(
        f"Deleted the contents of {plural(count, 'ended message')} from {place(file)}. Keys, ids and statuses stay."
    )
