"""Looking at a journal without owning it, and the receipts of one."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeAlias, TypeVar

import anyio.to_thread

from landbot_async._core.arguments import choice, filled_text, finite_number
from landbot_async._core.secret import Secret
from landbot_async._core.sqlite import open_reader

from .journal.journal import no_thread
from .journal.location import journal_location
from .journal.sqlite import KIND, told
from .journal.statements import SQLITE
from .journal.store import Store
from .receipts import Receipt
from .states import STATUSES, Status

T = TypeVar("T")

_PAGE: Final = 500
# Receipts with their numbers, and what finds them.
Found: TypeAlias = list[tuple[int, Receipt]]
Find: TypeAlias = Callable[[Store], Found]


class Receipts:
    """The receipts of a journal, in the order queued: `async for receipt in outbox.receipts()`."""

    def __init__(self, look: Callable[[Find], Awaitable[Found]], status: Status | Collection[Status] | None) -> None:
        wanted = STATUSES if status is None else (status,) if isinstance(status, str) else tuple(status)
        for each in wanted:
            choice("status", each, STATUSES)
        self._look = look
        self._statuses = wanted
        self._behind = 0
        self._page: deque[tuple[int, Receipt]] = deque()
        self._last = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Receipt:
        if not self._page and not self._last:
            find = partial(Store.receipts, statuses=self._statuses, behind=self._behind, how_many=_PAGE)
            self._page.extend(await self._look(find))
            self._last = len(self._page) < _PAGE
        if not self._page:
            raise StopAsyncIteration
        self._behind, receipt = self._page.popleft()
        return receipt


class OutboxReader:
    """A look at a journal that another process, or nobody, has open: counts and receipts. It changes nothing.

        counts = await OutboxReader("spring.campaign").counts()

    It opens the file anew for each question.

    Args:
        journal: the file.
        name: the outbox in the journal, if it holds several.

    Raises:
        TypeError, ValueError: an argument cannot be right.
        JournalMismatchError: when it is asked: it is not the file of an outbox.
        OutboxError: when it is asked: there is no such file, or it cannot be read.
    """

    def __init__(self, journal: str | os.PathLike[str], *, name: str = "default") -> None:
        given, journal = Secret(journal), ""  # no frame of a traceback shows a password in it
        self._journal = journal_location(given)
        self._name = filled_text("name", name)

    def __repr__(self) -> str:
        return f"OutboxReader({str(self._journal)!r}, name={self._name!r})"

    async def counts(self) -> dict[Status, int]:
        """Return how many messages have each status."""
        return await self._look(Store.counts)

    async def receipt(self, key: str) -> Receipt | None:
        """Return the receipt of a message, or None if there is no such key."""
        return await self._look(partial(Store.receipt, key=filled_text("key", key)))

    async def sent_within(self, seconds: float) -> int:
        """Return how many messages were sent in the last so many seconds; it counts up to 1,000."""
        since = time.time() - finite_number("seconds", seconds, above=0)
        return await self._look(partial(Store.sent_after, moment=since))

    def receipts(self, status: Status | Collection[Status] | None = None) -> Receipts:
        """Return the receipts of all messages, or of those with one or several statuses: see `Outbox.receipts`."""
        return Receipts(self._look, status)

    async def _look(self, function: Callable[[Store], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(self._read, function)
        except RuntimeError as error:
            raise no_thread(self._journal, error) from error

    def _read(self, function: Callable[[Store], T]) -> T:
        if not isinstance(self._journal, Path):
            from .journal.postgres import read  # noqa: PLC0415  # psycopg is optional

            return read(self._journal, self._name, function)
        with told(self._journal):
            connection = open_reader(self._journal, KIND)
            try:
                return function(Store(connection, SQLITE, self._name, time.time, make=False))
            finally:
                connection.close()
