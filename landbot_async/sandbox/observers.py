"""Observers of a workspace: one writes to the feed, one has the courier deliver messages."""

from __future__ import annotations

from .clock import Clock
from .deliveries.courier import Courier
from .deliveries.delivery import deliveries_of
from .feed import Feed
from .workspace.directory import Observer
from .workspace.records import Json, SandboxCustomer, SandboxMessage
from .workspace.workspace import Workspace


class FeedWriter(Observer):
    """Tells the feed of messages, customers, channels and hooks."""

    def __init__(self, workspace: Workspace, feed: Feed, clock: Clock) -> None:
        self._workspace, self._feed, self._clock = workspace, feed, clock

    def customer_changed(self, customer: SandboxCustomer) -> None:
        """Tell of a customer."""
        self._feed.add("customer", self._clock.now(), self._row(customer))

    def customer_deleted(self, customer: SandboxCustomer) -> None:
        """Tell that a customer was deleted."""
        self._feed.add("customer", self._clock.now(), {**self._row(customer), "deleted": True})

    def message_added(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Tell of a message."""
        self._feed.add("message", message.at, message.story())

    def _row(self, customer: SandboxCustomer) -> Json:
        return customer.row(self._workspace.channels[customer.channel_id])


class HookNotifier(Observer):
    """Has the courier deliver each message to the receivers of its channel.

    `key` belongs to one sandbox, so that no two sandboxes have ids of messages in common.
    """

    def __init__(self, workspace: Workspace, courier: Courier, key: str) -> None:
        self._workspace, self._courier, self._key = workspace, courier, key

    def message_added(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Post the deliveries of a message."""
        channel = self._workspace.channels[customer.channel_id]
        hooks = self._workspace.hooks_of(channel.id)
        self._courier.post(deliveries_of(message, customer, channel, hooks, self._key), at)
