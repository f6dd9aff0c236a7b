"""The place of a campaign: a file, or the database that the environment names."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from landbot_async import ConfigurationError, outbox
from landbot_async._core.extras import MissingExtraError
from landbot_async._core.secret import Secret
from landbot_async.cli.environment import JOURNAL_URL, setting
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.session import end
from landbot_async.outbox.journal.journal import NoOutboxError
from landbot_async.outbox.journal.rows import Kept
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.states import Status

if TYPE_CHECKING:  # `status` and `report` need no client, and are to be quick
    from landbot_async import AsyncLandbot
    from landbot_async.outbox import Outbox, OutboxReader

T = TypeVar("T")

GRACE: Final = 2.0
"""Seconds that a second Ctrl-C leaves to what is on the wire."""

Counts: TypeAlias = Mapping[Status, int]


@asynccontextmanager
async def open_outbox(
    landbot: AsyncLandbot, file: Path, *, moved: bool = False, new: bool = False
) -> AsyncGenerator[Outbox]:
    """Open the Outbox of a campaign.

    Args:
        landbot: the client.
        file: the campaign.
        moved: accept a file that is a copy.
        new: make the campaign if there is none.

    Raises:
        ConfigurationError: the URL of the database, or what is installed, is unusable.
    """
    url = database()
    if url is None:
        opened = outbox.Outbox(file, landbot, grace=GRACE, moved=moved)
    else:
        if not new:
            await open_reader(file)
        with _usable(url):
            opened = outbox.Outbox(url.reveal(), landbot, name=name_of(file), grace=GRACE)
    async with opened:
        yield opened


async def open_reader(file: Path) -> OutboxReader:
    """Return what looks into a campaign, whether it runs or not. Without a campaign in the database the command ends.

    Raises:
        ConfigurationError: the URL of the database, or what is installed, is unusable.
    """
    reader = _reader(file)
    if database() is not None:
        with _told(file):
            await reader._look(_check)  # noqa: SLF001  # the same package
    return reader


def read(file: Path, function: Callable[[Store], T]) -> T:
    """Return what a function reads of a campaign, over one connection. Otherwise it is as with `open_reader`.

    It needs no event loop, which takes longer to start than most questions take.

    Raises:
        ConfigurationError: the URL of the database, or what is installed, is unusable.
    """

    def checked(store: Store) -> T:
        _check(store)
        return function(store)

    with _told(file):
        return _reader(file)._read(checked)  # noqa: SLF001  # the same package


def _reader(file: Path) -> OutboxReader:
    url = database()
    if url is None:
        return outbox.OutboxReader(file)
    with _usable(url):
        return outbox.OutboxReader(url.reveal(), name=name_of(file))


def _check(store: Store) -> None:
    """Raise `NoOutboxError` if the campaign is not in the database. A file has been looked for before."""
    if database() is not None and not store.id:
        raise NoOutboxError(f"There is no outbox {store.name!r} in the database.")


@contextmanager
def _told(file: Path) -> Generator[None]:
    """End the command if there is no such campaign."""
    try:
        yield
    except NoOutboxError:
        csv = quoted(file.with_suffix(".csv"))
        end(ExitCode.USAGE, f"There is no campaign {place(file)}. Make it with: landbot campaign prepare {csv}")


def database(environment: Mapping[str, str] = os.environ) -> Secret | None:
    """Return the URL of the database that holds the campaigns, or None if they are files."""
    url = Secret(setting(JOURNAL_URL, environment))
    return url if url.reveal() else None


@contextmanager
def _usable(url: Secret) -> Generator[None]:
    """Raise a `ConfigurationError` if the URL cannot be used. Its text has nothing of the URL."""
    try:
        if "://" not in url.reveal():
            raise ValueError("it would be a file")
        yield
    except MissingExtraError as error:
        raise ConfigurationError(f"{JOURNAL_URL}: {error}") from None
    except ValueError:
        raise ConfigurationError(
            f"{JOURNAL_URL} must be a URL such as postgresql://user:password@host/database. Nothing was sent."
        ) from None


def name_of(file: Path) -> str:
    """Return the name of a campaign in a database."""
    return file.name.removesuffix(".campaign")


def place(file: Path) -> str:
    """Return where a campaign is, in words."""
    return file.name if database() is None else f"{name_of(file)} in the database of {JOURNAL_URL}"


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
