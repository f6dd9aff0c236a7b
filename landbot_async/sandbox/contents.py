"""`Contents`: what a test looks at and changes in a sandbox, and what it asserts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from landbot_async._core.arguments import filled_text, web_address, whole_number

from .assertions import something_sent, unexpected
from .clock import Clock
from .deliveries.delivery import DeliveryAttempt
from .workspace.records import SandboxChannel, SandboxCustomer, SandboxHook, SandboxMessage, Sent
from .workspace.workspace import Workspace


class Contents:
    """The part of `Sandbox` that reads and changes its workspace."""

    def __init__(self, workspace: Workspace, clock: Clock, attempts: Sequence[DeliveryAttempt]) -> None:
        self._workspace = workspace
        self._clock = clock
        self._attempts = attempts

    # Messages

    @property
    def deliveries(self) -> Sequence[DeliveryAttempt]:
        """The attempts to deliver messages, in the order they ended: the newest 50,000 at least."""
        return self._attempts

    @property
    def sent(self) -> Sequence[Sent]:
        """The messages that reached customers, in order: the newest 250,000 at least."""
        return self._workspace.sent

    def messages(self, customer_id: int) -> Sequence[SandboxMessage]:
        """Return a customer's conversation, in the order of time: the newest 10,000 messages at least.

        Raises:
            KeyError: there is no such customer.
        """
        return list(self.customer(customer_id).messages)

    def assert_sent(
        self, customer_id: int, text: str | None = None, *, type: str | None = None, times: int = 1
    ) -> None:
        """Assert that exactly `times` messages with this `text` and `type` (None: any) reached a customer.

        Raises:
            AssertionError: they did not; the text shows what did, and which deliveries were not accepted.
        """
        __tracebackhide__ = True
        whole_number("times", times, at_least=1)
        wrong = unexpected(self.sent, customer_id, text, type, times, deliveries=self.deliveries)
        if wrong is not None:
            raise AssertionError(wrong)

    def assert_nothing_sent(self, customer_id: int | None = None) -> None:
        """Assert that nothing reached this customer, or (None) anybody.

        Raises:
            AssertionError: something did; the text shows it.
        """
        __tracebackhide__ = True
        wrong = something_sent(self.sent, customer_id)
        if wrong is not None:
            raise AssertionError(wrong)

    # Customers

    @property
    def customers(self) -> Sequence[SandboxCustomer]:
        """The customers in the order of `GET /customers/`: the latest activity first.

        A customer moves to the front when they write or are written to, and nobody moves otherwise.
        """
        return self._workspace.list_customers()

    def customer(self, customer_id: int) -> SandboxCustomer:
        """Return a customer, to look at or to change, such as `sandbox.customer(1).blocked = True`.

        Raises:
            KeyError: there is no such customer.
        """
        if customer_id not in self._workspace.customers:
            raise KeyError(f"the sandbox has no customer {customer_id}: Sandbox(customers=…) says how many there are")
        return self._workspace.customers[customer_id]

    def add_customer(self, name: str | None = None, *, place: int | None = None, **details: Any) -> SandboxCustomer:
        """Add a customer who has just written, so that they stand at the front of the listing.

        `place` puts them elsewhere (0 is the front), and so does a `last_message` of their own; `details` are those of
        `SandboxCustomer`.

        Raises:
            ValueError: there is no channel with the `channel_id` given.
        """
        return self._workspace.add_customer(name, place=place, at=self._clock.at(), **details)

    def change_customer(self, customer_id: int, **details: Any) -> SandboxCustomer:
        """Change a customer's details, such as `blocked=True`, and tell the feed and the page.

        Raises:
            KeyError: there is no such customer.
        """
        customer = self.customer(customer_id)
        for name, value in details.items():
            setattr(customer, name, value)
        self._workspace.changed(customer)
        return customer

    def delete_customer(self, customer_id: int) -> None:
        """Delete a customer, as if somebody else had.

        Raises:
            KeyError: there is no such customer.
        """
        self._workspace.delete_customer(self.customer(customer_id).id)

    # Channels and bots

    @property
    def channels(self) -> Sequence[SandboxChannel]:
        """The channels."""
        return list(self._workspace.channels.values())

    def channel(self, channel_id: int) -> SandboxChannel:
        """Return a channel, to look at or to change, such as `sandbox.channel(8).active = False`.

        Raises:
            KeyError: there is no such channel.
        """
        if channel_id not in self._workspace.channels:
            raise KeyError(f"the sandbox has no channel {channel_id}; it begins with 8, 9 and 10")
        return self._workspace.channels[channel_id]

    def channel_token(self, channel_id: int) -> str:
        """Return the token of a channel: its owner uses APIchat with it, or WhatsApp's opt-in.

        Raises:
            KeyError: there is no such channel.
        """
        return self.channel(channel_id).token

    def add_channel(self, name: str, *, type: str = "webchat", url: str | None = None) -> SandboxChannel:
        """Add a channel; messages of an `"apichat"` one are posted to `url`."""
        filled_text("name", name)
        return self._workspace.add_channel(name, filled_text("type", type), url)

    def change_channel(self, channel_id: int, **details: Any) -> SandboxChannel:
        """Change a channel's details, such as `active=False` or `url`, and tell the feed and the page.

        Raises:
            KeyError: there is no such channel.
        """
        channel = self.channel(channel_id)
        for name, value in details.items():
            setattr(channel, name, value)
        self._workspace.directory_changed()
        return channel

    @property
    def hooks(self) -> Sequence[SandboxHook]:
        """The message hooks of all channels."""
        return list(self._workspace.hooks.values())

    def add_hook(self, channel_id: int, url: str, *, token: str | None = None, name: str | None = None) -> SandboxHook:
        """Add a message hook, as if somebody had created it through the API.

        Raises:
            KeyError: there is no such channel.
        """
        channel = self.channel(channel_id)
        now = self._clock.now()
        return self._workspace.add_hook(channel.id, web_address("url", url), token, name, created=now)

    def delete_hook(self, hook_id: int) -> None:
        """Delete a message hook.

        Raises:
            KeyError: there is no such hook.
        """
        self._workspace.delete_hook(self._workspace.hooks[hook_id].channel_id, hook_id)

    @property
    def bots(self) -> set[int]:
        """The ids of bots that `assign_bot` takes: 1 to 999, and those that are added: `sandbox.bots.add(2384756)`."""
        return self._workspace.bots
