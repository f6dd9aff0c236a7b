"""Who has a delivery already: claims on the keys that a message is known by, which expire.

A claim is made when a delivery arrives, and kept for the whole window once the message is taken. One that is neither
kept nor released (its process died) expires by itself, and Landbot's next attempt is taken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import anyio


class Claim(Enum):
    """What became of a claim: it is ours, somebody holds it, or the message was acknowledged before."""

    NEW = "new"
    HELD = "held"
    SEEN = "seen"


class Claims(Protocol):
    """Where claims are kept: a store for several processes does each of these for all keys of a message at once."""

    async def claim(self, keys: Sequence[str], seconds: float) -> Claim:
        """Take the message with these keys for `seconds`, unless any of them is seen or held."""
        ...

    async def keep(self, keys: Sequence[str], seconds: float) -> None:
        """The message was taken: its keys are seen for `seconds`."""
        ...

    async def release(self, keys: Sequence[str]) -> None:
        """The message was not taken: let Landbot's next attempt have it."""
        ...


class MemoryClaims:
    """Claims of one process, bounded in time and number. No method waits, so none can be cancelled midway.

    Args:
        most: how many keys to remember; beyond that the oldest are forgotten first. A message has one or two.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._held: OrderedDict[str, float] = OrderedDict()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held) + len(self._seen)

    def find(self, keys: Sequence[str], now: float) -> Claim:
        """What is known of these keys."""
        for key in keys:
            if key in self._seen and self._seen[key] > now:
                return Claim.SEEN
        for key in keys:
            if key in self._held and self._held[key] > now:
                return Claim.HELD
        return Claim.NEW

    def see(self, keys: Sequence[str], now: float, until: float) -> None:
        """The message was taken: its keys are seen until then."""
        _add(self._seen, keys, now, until, self._most)

    async def claim(self, keys: Sequence[str], seconds: float) -> Claim:
        """Take the message with these keys for `seconds`, unless any of them is seen or held."""
        now = anyio.current_time()
        found = self.find(keys, now)
        if found is Claim.NEW:
            _add(self._held, keys, now, now + seconds, self._most)
        return found

    async def keep(self, keys: Sequence[str], seconds: float) -> None:
        """The message was taken: its keys are seen for `seconds`."""
        await self.release(keys)
        now = anyio.current_time()
        self.see(keys, now, now + seconds)

    async def release(self, keys: Sequence[str]) -> None:
        """The message was not taken: let Landbot's next attempt have it."""
        for key in keys:
            self._held.pop(key, None)


def _add(kept: OrderedDict[str, float], keys: Sequence[str], now: float, until: float, most: int) -> None:
    for key in keys:
        kept[key] = until
        kept.move_to_end(key)
    # One inbox keeps all for as long, so the oldest are the first to go.
    while kept and (len(kept) > most or next(iter(kept.values())) <= now):
        kept.popitem(last=False)
