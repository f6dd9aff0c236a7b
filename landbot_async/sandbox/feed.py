"""The feed of a sandbox: its last thousand events, and new ones as they come."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias

from landbot_async._core.event_loop import Notifier

# Events that are kept, and that a subscriber may lag behind.
KEPT: Final = 1000

EventKind: TypeAlias = Literal["request", "message", "delivery", "customer"]
"""The kinds of events."""


class SandboxEvent(NamedTuple):
    """Something that happened, ready for JSON, without any token."""

    number: int
    """The number of the event, from 1."""
    kind: EventKind
    """The kind of event, which decides the keys of `data`."""
    at: float
    """The time when it happened, in Unix seconds of the sandbox."""
    data: dict[str, Any]
    """The details."""


class Stream:
    """Events as they come, for one subscriber. A subscriber that is too slow loses the oldest; nothing waits for it."""

    def __init__(self) -> None:
        self._held: deque[SandboxEvent] = deque(maxlen=KEPT)
        self._added = Notifier()

    def push(self, event: SandboxEvent) -> None:
        """Add an event."""
        self._held.append(event)
        self._added.notify()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SandboxEvent:
        while not self._held:
            await self._added.wait()
        return self._held.popleft()


class Feed:
    """The last thousand events, and the subscribers who are told of new ones."""

    def __init__(self) -> None:
        self._kept: deque[SandboxEvent] = deque(maxlen=KEPT)
        self._streams: set[Stream] = set()
        self.last: int = 0
        """The number of the newest event."""

    def add(self, kind: EventKind, at: float, data: dict[str, Any]) -> None:
        """Add an event."""
        self.last += 1
        event = SandboxEvent(self.last, kind, at, data)
        self._kept.append(event)
        for stream in self._streams:
            stream.push(event)

    def since(self, number: int) -> list[SandboxEvent]:
        """Return the events after `number` that are still kept, in order."""
        return [event for event in self._kept if event.number > number]

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncGenerator[Stream]:
        """Receive events from now on: `async with feed.subscribe() as stream: async for event in stream: ...`."""
        stream = Stream()
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)
