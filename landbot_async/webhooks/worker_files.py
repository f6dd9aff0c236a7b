"""The files of several workers, each of which has a durable inbox of its own: `durable="inbox-{n}.db"`.

A worker takes the first file that no other has. So after a restart some files may be left, with messages in them:
fewer workers start, or the old ones end after the new ones have begun. Whoever opens an inbox moves these messages to
its own file, then and for some seconds longer.

Cancellation: a file is moved to its end. If the process ends meanwhile, a message may stand in both files, and is
handled twice at most, as after any crash.

Reasons: docs/decisions.md, "Files of several workers".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import anyio

from landbot_async._core.errors import ConfigurationError
from landbot_async._core.log import log
from landbot_async._core.sqlite import FileInUseError
from landbot_async._core.tasks import uninterrupted

from .delivery import Delivery
from .journal import Entry, Journal, Outcome, open_if_free

PLACEHOLDER: Final = "{n}"
# The highest number: more workers than any machine has.
_MOST: Final = 1000
# Seconds between two looks at files that other workers have.
_LOOK_AGAIN: Final = 0.5


class WorkerFiles:
    """The files whose name has a number in the place of `{n}`.

    Args:
        pattern: their path.
        source: what their inboxes take.
        window: seconds for which a message is remembered.
    """

    def __init__(self, pattern: Path, source: str, *, window: float) -> None:
        self._pattern = pattern
        self._source = source
        self._window = window
        self._own = pattern

    async def open(self) -> tuple[Journal, list[Entry]]:
        """Open the first file that is free, as `open_journal` does.

        Raises:
            ConfigurationError: it is not a file of an inbox of this source, or none is free.
        """
        for number in range(1, _MOST + 1):
            self._own = self._path(str(number))
            try:
                opened = await open_if_free(self._own, self._source, window=self._window)
            except FileInUseError:
                continue
            log.info("this worker's inbox has the file %s", self._own)
            return opened
        raise ConfigurationError(f"The inbox's files {self._pattern} are all in use, up to number {_MOST}.")

    async def take_over(
        self,
        journal: Journal,
        read: Callable[[list[Entry]], Iterable[Delivery]],
        expect: Callable[[Delivery], Callable[[Outcome], None]],
        *,
        seconds: float,
    ) -> None:
        """Move the messages of all other files that are free, or become free within so many seconds.

        Args:
            journal: the file to move them to.
            read: reads the messages of a file.
            expect: called with each of them before it is written, as `Dispatcher.expect` is.
            seconds: how long to look at files that other workers have.
        """
        give_up_at = anyio.current_time() + seconds
        others = self._others()
        while others:
            for path in [*others]:
                try:
                    left, entries = await open_if_free(path, self._source, window=self._window)
                except FileInUseError:
                    continue
                except ConfigurationError as error:
                    log.warning("a file of another worker is left as it is: %s", error)
                else:
                    await uninterrupted(_move, left, read(entries), journal, expect)
                others.remove(path)
            if anyio.current_time() >= give_up_at:
                return
            await anyio.sleep(_LOOK_AGAIN)

    def _path(self, number: str) -> Path:
        return self._pattern.with_name(self._pattern.name.replace(PLACEHOLDER, number))

    def _others(self) -> list[Path]:
        """Return the other files that there are."""
        before, *after = map(re.escape, self._pattern.name.split(PLACEHOLDER))
        name = re.compile(before + "([1-9][0-9]{0,3})" + r"\1".join(after))
        found = [match[1] for each in self._pattern.parent.iterdir() if (match := name.fullmatch(each.name))]
        return [path for each in sorted(found, key=int) if (path := self._path(each)) != self._own]


async def _move(
    left: Journal,
    deliveries: Iterable[Delivery],
    journal: Journal,
    expect: Callable[[Delivery], Callable[[Outcome], None]],
) -> None:
    async def move(delivery: Delivery) -> None:
        outcome = await journal.add(delivery.keys, delivery.id, delivery.body, expect(delivery))
        if not isinstance(outcome, Exception):
            left.hand_over(delivery.number, delivery.keys)

    try:
        async with anyio.create_task_group() as group:  # all at once: one write
            for delivery in deliveries:
                group.start_soon(move, delivery)
    finally:
        await left.aclose()
