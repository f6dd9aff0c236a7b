"""Claims on the keys that a message is known by: they tell which messages were taken before, and they expire.

A delivery claims its message when it arrives. Once the message is taken, the claim is kept for the whole window. A
claim that is neither kept nor released, because its process has died, expires by itself, and Landbot's next attempt is
taken.

Reasons: docs/decisions.md, "Shared claims".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from landbot_async._core.event_loop import clock


class Claim(Enum):
    """The result of a claim."""

    NEW = "new"
    """It is ours."""
    HELD = "held"
    """Somebody else holds it."""
    SEEN = "seen"
    """The message was taken before."""


class Claims(Protocol):
    """A store of claims. One that several processes share does each of these for all keys of a message at once.

    A claim may expire before `keep` or `release` is called, and another process may have claimed the message since.
    """

    async def claim(self, keys: Sequence[str], seconds: float) -> Claim:
        """Claim the message with these keys for `seconds`, unless any of them is seen or held."""
        ...

    async def keep(self, keys: Sequence[str], seconds: float) -> None:
        """Note that the message was taken: its keys are seen for `seconds`, also if the claim has expired."""
        ...

    async def release(self, keys: Sequence[str]) -> None:
        """Give up a claim, because the message was not taken. Keys that are seen stay seen."""
        ...


class MemoryClaims:
    """Claims of one process, bounded in time and number. No method waits, so none can be cancelled midway.

    Args:
        most: how many keys to remember; beyond that the oldest are forgotten first. A message has one.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._held: OrderedDict[str, float] = OrderedDict()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held) + len(self._seen)

    async def claim(self, keys: Sequence[str], seconds: float) -> Claim:
        """Claim the message with these keys for `seconds`, unless any of them is seen or held."""
        now = clock()()  # `anyio.current_time` takes longer than all else that a claim does
        for known, claim in ((self._seen, Claim.SEEN), (self._held, Claim.HELD)):
            for key in keys:
                if key in known and known[key] > now:
                    return claim
        _add(self._held, keys, now, now + seconds, self._most)
        return Claim.NEW

    async def keep(self, keys: Sequence[str], seconds: float) -> None:
        """Note that the message was taken: its keys are seen for `seconds`, also if the claim has expired."""
        now = clock()()
        for key in keys:
            self._held.pop(key, None)
        _add(self._seen, keys, now, now + seconds, self._most)

    async def release(self, keys: Sequence[str]) -> None:
        """Give up a claim, because the message was not taken. Keys that are seen stay seen."""
        for key in keys:
            self._held.pop(key, None)


def _add(known: OrderedDict[str, float], keys: Sequence[str], now: float, until: float, most: int) -> None:
    for key in keys:
        known[key] = until
        known.move_to_end(key)
    # An inbox keeps all for the same time, so the oldest are the first to expire.
    while known and (len(known) > most or next(iter(known.values())) <= now):
        known.popitem(last=False)
