"""Who watches a workspace for others: so far, for the feed."""

from __future__ import annotations

from .clock import Clock
from .feed import Feed
from .records import SandboxCustomer, SandboxMessage
from .workspace import Workspace


class FeedWriter:
    """Tells the feed of messages and customers."""

    def __init__(self, workspace: Workspace, feed: Feed, clock: Clock) -> None:
        self._workspace, self._feed, self._clock = workspace, feed, clock

    def customer_changed(self, customer: SandboxCustomer) -> None:
        """A customer is new, or not what they were."""
        self._feed.add("customer", self._clock.now(), customer.row(self._workspace.channels[customer.channel_id]))

    def customer_gone(self, customer: SandboxCustomer) -> None:
        """A customer was deleted."""
        row = customer.row(self._workspace.channels[customer.channel_id])
        self._feed.add("customer", self._clock.now(), {**row, "deleted": True})

    def said(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Somebody said something."""
        self._feed.add("message", message.at, message.story())

    def furnished(self) -> None:
        """The feed does not tell of channels and hooks."""
