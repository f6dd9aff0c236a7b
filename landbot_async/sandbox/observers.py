"""Who watches a workspace for others: for the feed, and for the courier."""

from __future__ import annotations

from .clock import Clock
from .deliveries.courier import Courier
from .deliveries.delivery import deliveries
from .feed import Feed
from .workspace.records import SandboxCustomer, SandboxMessage
from .workspace.workspace import Workspace


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


class Dispatcher:
    """Gives the courier what each message makes. `key` is of one sandbox alone, so that no two have ids in common."""

    def __init__(self, workspace: Workspace, courier: Courier, key: str) -> None:
        self._workspace, self._courier, self._key = workspace, courier, key

    def customer_changed(self, customer: SandboxCustomer) -> None:
        """Nobody is posted that."""

    def customer_gone(self, customer: SandboxCustomer) -> None:
        """Nor that."""

    def said(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Post it to whom it concerns."""
        channel = self._workspace.channels[customer.channel_id]
        hooks = self._workspace.hooks_of(channel.id)
        self._courier.post(deliveries(message, customer, channel, hooks, self._key), at)

    def furnished(self) -> None:
        """Nor that."""
