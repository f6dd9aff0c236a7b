"""What happened in a sandbox, for whoever watches: the last of it, and the rest as it comes."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias

from landbot_async._core.event_loop import Notifier

# Happenings that are kept, and that a subscriber may lag behind.
KEPT: Final = 1000

Kind: TypeAlias = Literal["request", "message", "delivery", "customer"]


class Happening(NamedTuple):
    """Something that happened, ready for JSON, without any token.

    Attributes:
        number: counts them, from 1.
        kind: what it was, and so what is in `data`.
        at: Unix seconds of the sandbox.
    """

    number: int
    kind: Kind
    at: float
    data: dict[str, Any]


class Stream:
    """Happenings as they come, for one subscriber. One that is too slow loses the oldest; nobody waits for it."""

    def __init__(self) -> None:
        self._held: deque[Happening] = deque(maxlen=KEPT)
        self._arrived = Notifier()

    def push(self, happening: Happening) -> None:
        """Hold one more."""
        self._held.append(happening)
        self._arrived.notify()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Happening:
        while not self._held:
            await self._arrived.wait()
        return self._held.popleft()


class Feed:
    """Keeps the last thousand happenings and tells subscribers of new ones."""

    def __init__(self) -> None:
        self._kept: deque[Happening] = deque(maxlen=KEPT)
        self._streams: set[Stream] = set()
        self.last: int = 0
        """The number of the newest."""

    def add(self, kind: Kind, at: float, data: dict[str, Any]) -> None:
        """Tell of something."""
        self.last += 1
        happening = Happening(self.last, kind, at, data)
        self._kept.append(happening)
        for stream in self._streams:
            stream.push(happening)

    def since(self, number: int) -> list[Happening]:
        """Those after `number` that are still kept, in order."""
        return [happening for happening in self._kept if happening.number > number]

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncGenerator[Stream]:
        """The happenings from here on: `async with feed.subscribe() as stream: async for happening in stream: ...`."""
        stream = Stream()
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)
