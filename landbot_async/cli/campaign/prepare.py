"""`landbot campaign prepare`: from a spreadsheet to queued messages. It reads Landbot, and sends nothing."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import anyio
from attrs import frozen
from rich.text import Text

from landbot_async import AsyncLandbot, KeyConflictError
from landbot_async.cli.columns import languages
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.progress import A_SECOND, duration, progress
from landbot_async.cli.safe_text import csv_cell, visible
from landbot_async.cli.session import Target, end, private_file, say
from landbot_async.cli.terminal import Printer, plain_table
from landbot_async.outbox import Outgoing
from landbot_async.outbox.journal.store import Store

from .customers import Chosen, Directory, choose
from .journal import open_outbox, place, plural, quoted
from .messages import CampaignMessage, TemplateMessage, TextMessage
from .recipients import LeftOut, Recipient, recipients
from .spreadsheet import Spreadsheet, SpreadsheetError, read_spreadsheet

PREFETCH: Final = 6
CANARY: Final = 20
"""Messages that are worth a look before the others follow."""
_SHOWN: Final = 300
"""Characters of a message that are shown."""


@frozen
class Preparation:
    """A request of the command line to prepare a campaign.

    Attributes:
        path: the spreadsheet.
        message: the message, whose template has not been looked up yet.
        channel_id: the channel of the customers; None for all channels.
        encoding: of the spreadsheet; None recognises it.
    """

    path: Path
    message: TextMessage | TemplateMessage
    channel_id: int | None = None
    encoding: str | None = None

    @property
    def file(self) -> Path:
        """The campaign's file."""
        return self.path.with_suffix(".campaign")

    @property
    def left_out(self) -> Path:
        """The file of the rows that get no message."""
        return self.path.with_suffix(".left-out.csv")


class Sheet(NamedTuple):
    """A spreadsheet whose rows have been looked at."""

    spreadsheet: Spreadsheet
    by_phone: bool
    recipients: list[Recipient]
    left: list[LeftOut]


class Result(NamedTuple):
    """The result of looking up the rows of a spreadsheet.

    Attributes:
        message: the message, with the template's text.
        where: the place where the customers were looked for, in words.
        chosen: the rows that have a message.
        left: those that have none.
    """

    message: TextMessage | TemplateMessage
    where: str
    chosen: list[Chosen]
    left: list[LeftOut]


class Queued(NamedTuple):
    """The contents of the campaign's file: new messages, known ones, and queued ones of an earlier spreadsheet."""

    new: int
    same: int
    others: int


def read(asked: Preparation) -> Sheet:
    """Read the spreadsheet. If it cannot be used, the command ends as for any wrong usage."""
    try:
        spreadsheet = read_spreadsheet(asked.path, asked.encoding)
    except (SpreadsheetError, OSError) as error:
        end(ExitCode.USAGE, f"{asked.path}: {error.strerror if isinstance(error, OSError) else error}")
    columns = spreadsheet.columns
    by_phone = "customer_id" not in columns
    if by_phone and "phone" not in columns:
        end(
            ExitCode.USAGE,
            f"{asked.path} has no column customer_id or phone: rename one. Its columns: {', '.join(columns)}.",
        )
    if by_phone and asked.channel_id is None:
        end(ExitCode.USAGE, "The rows are phone numbers: say on which channel, with --channel ID.")
    if missing := [name for name in asked.message.columns if name not in columns]:
        end(ExitCode.USAGE, f"{asked.path} has no column {missing[0]}. Its columns: {', '.join(columns)}.")
    return Sheet(spreadsheet, by_phone, *recipients(spreadsheet.rows, by_phone=by_phone, needed=asked.message.columns))


async def prepare(landbot: AsyncLandbot, asked: Preparation, sheet: Sheet) -> None:
    """Queue a message for each row that can have one, and show what was made of the spreadsheet."""
    where = "in this workspace"
    if asked.channel_id is not None:
        channel = await landbot.channels.get(asked.channel_id)
        where = f"on channel {channel.id}" + (f" ({channel.name})" if channel.name else "")
    message = asked.message
    if isinstance(message, TemplateMessage):
        message = await _known_template(landbot, message, asked.channel_id)
    directory, complete = await _directory(landbot, asked.channel_id, sheet.recipients)
    chosen, left = choose(
        sheet.recipients,
        directory,
        opted_in=isinstance(message, TemplateMessage),
        with_keys="key" in sheet.spreadsheet.columns,
    )
    made, refused = _messages(message, chosen, asked.path.stem)
    left = sorted([*sheet.left, *left, *refused])
    if left or await anyio.Path(asked.left_out).exists():
        _write_left_out(asked.left_out, left)
    if not made:
        end(
            ExitCode.USAGE,
            f"None of the {len(sheet.spreadsheet.rows):,} rows of {asked.path} can have a message:"
            f" {_reasons(left) or 'it is empty'}. Nothing was queued.",
        )
    queued = await _queue(landbot, asked.file, [outgoing for _, outgoing in made])
    show(_facts(asked, sheet, Result(message, where, [each for each, _ in made], left), queued))
    if not complete:
        say("Some customers may not have been found: the list changed too much while it was read. Prepare it again.")
    if queued.others:
        say(
            f"Still queued from an earlier spreadsheet: {plural(queued.others, 'message')}."
            f" To take back all that is queued: landbot campaign cancel {quoted(asked.file)}"
        )
    first = f" --first {CANARY}" if len(made) > CANARY else ""
    say(f"Nothing was sent. Next: landbot campaign run {quoted(asked.file)}{first}")


async def _known_template(landbot: AsyncLandbot, message: TemplateMessage, channel_id: int | None) -> TemplateMessage:
    """Return the message with the template's text, if there is such a template with as many gaps."""
    templates = await landbot.templates.list(channel_id=channel_id).collect()
    found = next((each for each in templates if each.id == message.template_id), None)
    if found is None:
        end(ExitCode.NOT_FOUND, f"There is no template {message.template_id}. See them with: landbot templates")
    wanted, given = found.params_number, len(message.columns)
    if wanted is not None and wanted != given:
        end(ExitCode.USAGE, f"Template {found.id} needs {wanted} --param, not {given}: {found.text}")
    # How Landbot tells languages is not documented, so a difference is said and decides nothing.
    listed = languages(found)
    if isinstance(listed, str) and message.language not in listed.split(", "):
        say(
            f"Landbot lists template {found.id} with {listed}, and not with {message.language}. If Landbot does not"
            " have it, every message will fail: prepare the campaign again with another --language."
        )
    return TemplateMessage(message.template_id, message.language, message.columns, found.text)


async def _directory(
    landbot: AsyncLandbot, channel_id: int | None, wanted: Sequence[Recipient]
) -> tuple[Directory, bool]:
    """Walk over the customers once. Return those that are wanted, and False if some may be missing."""
    directory = Directory(wanted)
    client = landbot.with_options(priority="low")
    with progress("customers") as step:
        async with client.customers.list(channel_id=channel_id, prefetch=PREFETCH) as pages:
            async for customer in pages:
                directory.add(customer)
                step(pages.total)
    return directory, bool(pages.complete)


def _messages(
    message: CampaignMessage, chosen: Iterable[Chosen], name: str
) -> tuple[list[tuple[Chosen, Outgoing]], list[LeftOut]]:
    made: list[tuple[Chosen, Outgoing]] = []
    refused: list[LeftOut] = []
    for each in chosen:
        key = each.recipient.key or f"{name}-{message.kind}{each.customer_id}"
        try:
            made.append((each, message.outgoing(each, key)))
        except ValueError as error:
            refused.append(LeftOut(each.recipient.row, "", f"makes no message: {error}"))
    return made, refused


async def _queue(landbot: AsyncLandbot, file: Path, messages: Sequence[Outgoing]) -> Queued:
    """Queue messages in the campaign's file. As long as nothing was sent from it, it is begun anew."""
    async with open_outbox(landbot, file, new=True) as outbox:
        await outbox._open.journal.do(Store.begin_anew)  # noqa: SLF001  # the same package
        try:
            added = await outbox.add_many(messages)
        except KeyConflictError:
            end(
                ExitCode.USAGE,
                f"{file} was begun with other messages to these customers, and some of them were sent."
                " For another campaign, give the spreadsheet another name.",
            )
        keys = {each.key for each in messages}
        others = [receipt async for receipt in outbox.receipts("queued") if receipt.key not in keys]
    return Queued(added.new, added.same, len(others))


def _write_left_out(path: Path, left: Iterable[LeftOut]) -> None:
    with private_file(path) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(LeftOut._fields)
        rows.writerows([csv_cell(value) for value in each] for each in left)


def _reasons(left: Iterable[LeftOut]) -> str:
    """Return the reasons, the most frequent first, with their counts."""
    counts = Counter(f"{each.column} {each.reason.partition(':')[0]}".strip() for each in left)
    return ", ".join(f"{reason} ({count:,})" for reason, count in counts.most_common())


def _facts(asked: Preparation, sheet: Sheet, result: Result, queued: Queued) -> list[tuple[str, str]]:
    spreadsheet, (message, where, chosen, left) = sheet.spreadsheet, result
    by = "phone" if sheet.by_phone else "customer_id"
    blank = f" ({spreadsheet.blank:,} blank)" if spreadsheet.blank else ""
    columns = ", ".join(spreadsheet.columns)
    read = f"{asked.path.name}: {spreadsheet.said}, {plural(len(spreadsheet.rows), 'row')}{blank}, columns {columns}"
    facts = [("Read", read), ("Customers", f"{len(chosen):,} found by {by} {where}")]
    if left:
        facts.append(("Left out", f"{plural(len(left), 'row')} → {asked.left_out.name}: {_reasons(left)}"))
    if isinstance(message, TemplateMessage):
        gaps = f" ← {', '.join(message.columns)}" if message.columns else ""
        facts.append(("Template", f"{message.template_id} ({message.language}){gaps}"))
    ends = [chosen[0], chosen[-1]] if len(chosen) > 1 else chosen
    for label, each in zip(("First", "Last"), ends, strict=False):
        name = f"+{each.recipient.phone}" if each.recipient.phone else f"customer {each.customer_id}"
        facts.append((label, f"{name}  {message.preview(each.recipient.cells)[:_SHOWN]}"))
    known = f", {queued.same:,} of them known before" if queued.same else ""
    facts.append(("Queued", f"{plural(queued.new + queued.same, 'message')} in {place(asked.file)}{known}"))
    facts.append(("Time", f"{duration(len(chosen))} at {A_SECOND} a second, shared with all that uses this token"))
    return facts


def show(facts: Sequence[tuple[str, str]]) -> None:
    """Print facts: as wide as the terminal, or one a line in a pipe."""
    with Target().open() as file:
        if not sys.stdout.isatty():
            file.writelines(f"{label}: {visible(text)}\n" for label, text in facts)
            return
        rows = plain_table(header=False)
        rows.add_column(style="bold", no_wrap=True)
        rows.add_column(overflow="fold")
        for label, text in facts:
            rows.add_row(label, Text(visible(text)))
        Printer(file=file, highlight=False, markup=False, emoji=False).print(rows)
