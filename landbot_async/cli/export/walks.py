"""The two walks of an export: the customers, then a transcript of each. Each continues where an earlier run ended.

The JSON Lines files themselves say what is done, so a run that is killed loses no more than the requests in flight.

Reasons: docs/decisions.md, "An export's files are its state" and "An export's failures".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import anyio
from attrs import define

from landbot_async import (
    AsyncLandbot,
    AuthenticationError,
    ConfigurationError,
    Customer,
    LandbotError,
    NotFoundError,
    Pages,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    TranscriptMessage,
)
from landbot_async.cli.safe_text import json_line

from .lines import LinesFile

PREFETCH: Final = 12
"""Pages in flight: enough for the full rate if a page takes at most 1.2 seconds."""
WORKERS: Final = 24
"""Transcripts in flight: the places that calls of low priority may take. Enough if one takes at most 2.4 seconds."""
MOST_FAILURES: Final = 10
"""Failures in a row that end the run: by then they are not about single customers."""
# Errors that every other request would meet too.
_FATAL: Final = (
    AuthenticationError,
    ConfigurationError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
)

Step = Callable[[int | None], None]
"""Is called with each row, and with how many there are."""


async def list_customers(
    landbot: AsyncLandbot, file: LinesFile, total: str | None, save: Callable[[int | None], None], step: Step
) -> bool:
    """Write to the file every customer who is not there yet. Return True unless some may be missing.

    An interrupted walk continues with an overlap of one row. If that row is in its place and there are as many
    customers as before, nothing has moved meanwhile; otherwise the list is walked again from its beginning.

    Args:
        landbot: the client.
        file: the file of customers.
        total: how many customers there were when an earlier run ended, as text.
        save: keeps how many there are, after each page.
        step: is called for each new customer.
    """
    walk = _Walk(file, set(file.ids), save, step)
    if file.ids:
        rest = landbot.customers.list(prefetch=PREFETCH, offset=len(file.ids) - 1)
        if await walk.take(rest, first=file.ids[-1], total=total) and not rest.drift:
            return True
    pages = landbot.customers.list(prefetch=PREFETCH)
    await walk.take(pages)
    return pages.complete is not False


@define
class _Walk:
    """A walk through the customers that writes the new ones to a file."""

    file: LinesFile
    known: set[int]
    save: Callable[[int | None], None]
    step: Step

    async def take(self, pages: Pages[Customer], *, first: int | None = None, total: str | None = None) -> bool:
        """Write what is new in the pages. Return False, and stop, unless they begin with `first` and say `total`."""
        async with pages:
            async for page in pages.iter_pages():
                if first is not None and (page[0].id != first or str(page.total) != total):
                    return False
                first = None
                new = {customer.id: json_line(customer) for customer in page if customer.id not in self.known}
                self.file.append(new)
                self.known.update(new)
                self.save(page.total)
                for _ in new:
                    self.step(page.total)
        return first is None


@define
class Transcripts:
    """The transcripts of an export, read by several tasks.

    Attributes:
        file: the file of transcripts.
        total: how many there will be.
        step: is called for each transcript.
        failures: how many could not be read in this run.
        error: the last failure.
    """

    file: LinesFile
    total: int
    step: Step
    failures: int = 0
    error: LandbotError | None = None
    _in_a_row: int = 0

    async def read(self, landbot: AsyncLandbot, customer_ids: Iterable[int]) -> None:
        """Write the transcripts of these customers to the file. A later run tries those again that fail here.

        Raises:
            LandbotError: an error that all others would meet too, or the last of many in a row.
        """
        done = set(self.file.ids)
        pending = (number for number in customer_ids if number not in done)
        fatal: list[LandbotError] = []

        async def work() -> None:
            for number in pending:
                try:
                    messages = await landbot.customers.messages(number)
                except NotFoundError:
                    messages = None  # deleted since the customers were listed
                except LandbotError as error:
                    if self._ends_all(error):
                        fatal.append(error)
                        group.cancel_scope.cancel()
                        return
                    continue
                self._in_a_row = 0
                self.file.append({number: transcript_line(number, messages)})
                self.step(self.total)

        async with anyio.create_task_group() as group:
            for _ in range(WORKERS):
                group.start_soon(work)
        if fatal:
            raise fatal[0]

    def _ends_all(self, error: LandbotError) -> bool:
        self.failures += 1
        self._in_a_row += 1
        self.error = error
        return isinstance(error, _FATAL) or self._in_a_row >= MOST_FAILURES


def transcript_line(customer_id: int, messages: list[TranscriptMessage] | None) -> str:
    """Return the line of a transcript; without messages, it says that the customer has been deleted."""
    content = "null" if messages is None else f"[{', '.join(map(json_line, messages))}]"
    return f'{{"customer_id": {customer_id}, "messages": {content}}}'
