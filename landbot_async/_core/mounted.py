"""The inboxes that a delivery in this process has reached, so that the sandbox can wait for their handlers.

The sandbox sets `inboxes` around a delivery to a mounted application; an inbox adds itself. The set is shared with
whatever tasks the application starts for the request, because they inherit the context.
"""

from __future__ import annotations

from collections.abc import MutableSet
from contextvars import ContextVar
from typing import Final, Protocol


class SupportsIdle(Protocol):
    """An inbox: something that can be waited for until it has handled what it has taken."""

    async def idle(self) -> None:
        """Return when everything taken so far has been handled."""
        ...


inboxes: Final[ContextVar[MutableSet[SupportsIdle] | None]] = ContextVar("inboxes", default=None)
"""The inboxes that the current delivery has reached; None outside a delivery of the sandbox's."""


def reached(inbox: SupportsIdle) -> None:
    """Note that the current delivery has reached this inbox."""
    found = inboxes.get()
    if found is not None:
        found.add(inbox)
