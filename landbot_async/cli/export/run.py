"""One run of an export: it continues with what is missing, and says what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import anyio
import typer

from landbot_async import AsyncLandbot, LandbotError
from landbot_async.cli.environment import TOKEN, server, setting
from landbot_async.cli.exit_codes import ExitCode, error_text
from landbot_async.cli.progress import A_SECOND, duration, progress
from landbot_async.cli.session import end, say

from .folder import Folder, FolderError, FolderInUseError, now
from .lines import LinesFile, customer_id, transcript_id
from .tables import write_customers, write_messages
from .walks import Transcripts, list_customers

CUSTOMERS: Final = "customers.jsonl"
TRANSCRIPTS: Final = "transcripts.jsonl"


async def export(landbot: AsyncLandbot, path: Path) -> None:
    """Export customers and transcripts to a folder, or continue with that."""
    try:
        folder = Folder(path, landbot.base_url, setting(TOKEN))
    except FolderInUseError as error:
        end(ExitCode.FILE, str(error))
    except FolderError as error:
        end(ExitCode.OTHER, str(error))
    with folder:
        finished = folder.fact("finished")
        if finished is not None:
            say(f"{path} is complete since {finished}. For a new export, name a new folder.")
            return
        try:
            failed = await _export(landbot.with_options(priority="low"), folder)
        except (LandbotError, OSError, anyio.get_cancelled_exc_class()):
            say(f"Not finished. The same command continues: landbot export {path}")
            raise
    if failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


async def _export(landbot: AsyncLandbot, folder: Folder) -> int:
    """Export what is missing, and return how many transcripts could not be read."""
    path, host = folder.path, server(landbot.base_url)[0]
    with LinesFile(path / CUSTOMERS, customer_id) as customers:
        if folder.fact("listed") is None:
            say(f"Listing the customers of {host}.")
            complete = await _list(landbot, folder, customers)
            customers.save()
            folder.keep("listed", "all" if complete else "with gaps")
    with LinesFile(path / TRANSCRIPTS, transcript_id) as file:
        missing = len(customers.ids) - len(file.ids)
        say(f"{missing:,} of {len(customers.ids):,} transcripts to read, {A_SECOND} a second: {duration(missing)}.")
        with progress("transcripts", done=len(file.ids)) as step:
            transcripts = Transcripts(file, len(customers.ids), step)
            await transcripts.read(landbot, customers.ids)
        file.save()
    if transcripts.error is not None:
        say(
            f"{transcripts.failures:,} transcripts could not be read, the last because: {error_text(transcripts.error)}"
            f" The same command tries them again: landbot export {path}"
        )
        return transcripts.failures
    await write_customers(path / CUSTOMERS, path / "customers.csv")
    messages, deleted = await write_messages(path / TRANSCRIPTS, path / "messages.csv")
    folder.keep("finished", now())
    say(f"Exported {len(customers.ids):,} customers and {messages:,} messages to {path}.")
    if deleted:
        say(f"{deleted:,} customers were deleted meanwhile and have no transcript.")
    if folder.fact("listed") != "all":
        say("Some customers may be missing: the list changed too much while it was read.")
    return 0


async def _list(landbot: AsyncLandbot, folder: Folder, customers: LinesFile) -> bool:
    with progress("customers", done=len(customers.ids)) as step:
        return await list_customers(
            landbot, customers, folder.fact("total"), lambda total: folder.keep("total", str(total)), step
        )
