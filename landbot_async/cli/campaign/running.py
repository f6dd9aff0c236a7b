"""`landbot campaign run`: sends what is queued, and says what came of it and what to do next."""

from __future__ import annotations

import re
import time as clock
from collections.abc import Callable
from datetime import datetime, time, tzinfo
from functools import partial
from pathlib import Path
from typing import Final, cast

import typer
from attrs import frozen

from landbot_async import AsyncLandbot, LandbotError, OutboxStoppedError
from landbot_async.cli.exit_codes import ExitCode, error_text
from landbot_async.cli.session import accepted, end, once, say, say_server
from landbot_async.cli.signals import Stop
from landbot_async.outbox import Outbox
from landbot_async.outbox.outgoing import ROUTES
from landbot_async.outbox.states import OpeningHours
from landbot_async.outbox.steps import steps_of

from .bar import Tally, bar
from .journal import Counts, database, first_queued, next_command, open_outbox, plural, quoted, summary

_BETWEEN: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])-([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


@frozen
class Running:
    """The options of a run.

    Attributes:
        file: the campaign.
        first: end after so many messages.
        per_day: at most so many customers in 24 hours.
        between: only at these hours: start, end and zone.
        expires: when nothing is sent any more.
        stop_after_failures: stop when so many of the last hundred failed equally.
        moved: accept a file that is a copy.
    """

    file: Path
    first: int | None = None
    per_day: int | None = None
    between: tuple[time, time, tzinfo] | None = None
    expires: datetime | None = None
    stop_after_failures: int | None = None
    moved: bool = False


def hours(text: str, zone: tzinfo) -> tuple[time, time, tzinfo]:
    """Return the hours of a text such as `9:00-20:00`.

    Raises:
        ValueError: it is of another form.
    """
    found = _BETWEEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not START-END, such as 9:00-20:00")
    first, last = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if first == last:
        raise ValueError("start and end are the same")
    return first, last, zone


def moment(text: str, zone: tzinfo | None) -> datetime:
    """Return the time of a text such as `2026-12-01T20:00`.

    Raises:
        ValueError: it is of another form, or nothing says in which zone it is.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time such as 2026-12-01T20:00") from None
    if when.tzinfo is None and zone is None:
        raise ValueError("say in which zone, with --zone Europe/Madrid or as 2026-12-01T20:00+01:00")
    return when if when.tzinfo is not None else when.replace(tzinfo=zone)


async def look(landbot: AsyncLandbot, asked: Running, test_to: str | None) -> bool:
    """Say where the messages go and how many there are, or that there are none. Return True if there are any."""
    async with open_outbox(landbot, asked.file, moved=asked.moved) as outbox:
        counts = await outbox.counts()
    say_server(landbot, _about(asked, counts, test_to))
    return bool(counts["queued"])


def _about(asked: Running, counts: Counts, test_to: str | None) -> str:
    if test_to is not None:
        return f"one message as a test to {test_to}, and to nobody else"
    queued = counts["queued"]
    number = queued if asked.first is None else min(queued, asked.first)
    of = f" of {queued:,}" if number != queued else ""
    return f"{number:,}{of} queued message{'' if queued == 1 else 's'}"


async def run(landbot: AsyncLandbot, asked: Running, stop: Stop) -> None:
    """Send what is queued and may be sent now, and end with the exit code for what came of it."""
    stopped: OutboxStoppedError | None = None
    async with open_outbox(landbot, asked.file, moved=asked.moved) as outbox:
        if asked.expires is not None:
            await outbox.set_expiry(asked.expires)
        tally = Tally(await outbox.counts(), asked.first)
        with bar(asked.file.stem, tally) as tell:
            stop.by(partial(_stop, outbox, tell))
            try:
                async for receipt in outbox.run(
                    first=asked.first,
                    per_day=asked.per_day,
                    between=asked.between,
                    stop_after_failures=asked.stop_after_failures,
                ):
                    tally.note(receipt)
            except OutboxStoppedError as error:
                stopped = error
            finally:
                stop.by(None)
        counts = await outbox.counts()
    if stopped is not None:
        say(str(stopped))
        # A run stops for errors of calls only.
        say(error_text(cast("LandbotError", stopped.__cause__), "the last message"))
    code = ending(counts, stopped=stopped is not None or stop.requested)
    for line in lines(asked, counts, tally.handed_out, code):
        say(line)
    if code:
        raise typer.Exit(code)


def _stop(outbox: Outbox, tell: Callable[[str], None]) -> None:
    outbox.stop()
    tell("Stopping: what is on the wire is finished first. The next Ctrl-C does not wait for it.")


def ending(counts: Counts, *, stopped: bool) -> ExitCode:
    """Return the exit code of a run."""
    if stopped and counts["queued"]:
        return ExitCode.STOPPED
    if counts["unknown"]:
        return ExitCode.SOME_UNKNOWN
    return ExitCode.SOME_FAILED if counts["failed"] else ExitCode.DONE


def lines(asked: Running, counts: Counts, sent_now: int, code: ExitCode) -> list[str]:
    """Return what a person is told at the end of a run."""
    told: list[str] = []
    if counts["queued"] and code is not ExitCode.STOPPED:
        told.append(_why_queued(asked, sent_now))
    head = "Stopped" if code is ExitCode.STOPPED else "Finished" if not counts["queued"] else "For now"
    told.append(f"{head}: {summary(counts)}.")
    told.append(f"Next: {next_command(asked.file, counts)}")
    if counts["failed"] and not counts["queued"]:
        told.append(f"What failed can be queued again: landbot campaign retry {quoted(asked.file)}")
    return told


def _why_queued(asked: Running, sent_now: int) -> str:
    """Return why messages are still queued though nobody stopped the run."""
    if asked.first is not None and sent_now >= asked.first:
        return f"That was the number asked for ({asked.first:,}): look at the result before the others follow."
    if asked.between is not None and not OpeningHours(*asked.between).contain(clock.time()):
        start, last, zone = asked.between
        return f"Messages are sent between {start:%H:%M} and {last:%H:%M} ({zone}) only. The same command goes on then."
    if asked.per_day is not None:
        return f"That is all for 24 hours ({plural(asked.per_day, 'customer')}). The same command goes on later."
    if database() is not None:
        return (
            "Another run has the rest, or had it when it was killed: then it is free again about a minute later."
            " The same command goes on."
        )
    return "Some messages cannot be sent now. The same command goes on later."


async def test(landbot: AsyncLandbot, asked: Running, phone: str) -> None:
    """Send the first queued message to a phone of one's own, and to nobody else. It stays queued for its customer."""
    async with open_outbox(landbot, asked.file, moved=asked.moved) as outbox:
        kept = await first_queued(outbox)
    if kept is None:
        end(ExitCode.NOT_FOUND, f"Nothing is queued in {asked.file}.")
    channel = (await landbot.customers.get(kept.customer_id)).channel_id
    found = await landbot.customers.find(phone=phone, channel_id=channel)
    if not found:
        end(ExitCode.NOT_FOUND, f"No customer on channel {channel} has this phone number. Give its country code.")
    customer, step = found[0].id, steps_of(kept.content)[0]
    path = ROUTES[step.kind].template.format(customer_id=customer).lstrip("/")
    await once(
        landbot,
        lambda client: client.request("POST", path, json=step.body),
        f"the test may have been sent. Look first: landbot transcript {customer}",
    )
    accepted(f"Landbot accepted a test: the message for customer {kept.customer_id}, sent to customer {customer}.")
