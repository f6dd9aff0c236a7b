"""The parts of a workspace that exist beside its customers: agents, bots, channels, templates and message hooks."""

from __future__ import annotations

from typing import Final

from .records import (
    RefusedError,
    SandboxAgent,
    SandboxChannel,
    SandboxCustomer,
    SandboxHook,
    SandboxMessage,
    SandboxTemplate,
)

# The agent whose token it is, and the bot that replies where no other was assigned.
OWN_AGENT: Final = 1
OWN_BOT: Final = 1


class Observer:
    """A listener that is told of every change of a workspace, at once and in order.

    A subclass overrides the methods that it needs. They must not wait.
    """

    def customer_changed(self, customer: SandboxCustomer) -> None:
        """Take note that a customer was added or changed."""

    def customer_deleted(self, customer: SandboxCustomer) -> None:
        """Take note that a customer was deleted."""

    def message_added(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Take note that a message or an event was added at `at`; `customer_changed` follows."""

    def directory_changed(self) -> None:
        """Take note that a channel or a hook was added, changed or deleted."""


class Directory:
    """Agents, bots, channels, templates and message hooks, and the observers of it all.

    Attributes:
        bots: the ids of the bots that customers can be assigned to.
        observers: told of every change, in this order.
    """

    def __init__(self) -> None:
        self.agents: list[SandboxAgent] = [
            SandboxAgent(OWN_AGENT, "Sandbox agent", "agent1@example.org"),
            SandboxAgent(2, "Inés Roca", "agent2@example.org"),
            SandboxAgent(3, "Tom Baker", "agent3@example.org"),
        ]
        self.bots: set[int] = set(range(1, 1000))
        self.channels: dict[int, SandboxChannel] = {
            8: SandboxChannel(8, "Web chat", "webchat", "H-8-SANDBOX"),
            9: SandboxChannel(9, "WhatsApp", "whatsapp", "W-9-SANDBOX"),
            10: SandboxChannel(10, "Bridge", "apichat", "A-10-SANDBOX"),
        }
        self.templates: list[SandboxTemplate] = [
            SandboxTemplate(5, 9, "Hello {{1}}, we have news for you.", 1),
            SandboxTemplate(6, 9, "Your order is on its way.", 0),
        ]
        self.hooks: dict[int, SandboxHook] = {}
        self.next_hook: int = 1
        self.observers: list[Observer] = []

    def add_channel(self, name: str, type: str, url: str | None = None) -> SandboxChannel:
        """Add a channel."""
        number = max(self.channels) + 1
        channel = SandboxChannel(number, name, type, f"{type[0].upper()}-{number}-SANDBOX", url=url)
        self.channels[number] = channel
        self.directory_changed()
        return channel

    def channel(self, channel_id: int) -> SandboxChannel:
        """Return the channel, or raise a 404."""
        try:
            return self.channels[channel_id]
        except KeyError:
            raise RefusedError(404, channel="Not found") from None

    def list_channels(self, *, type: str | None = None, active: bool | None = None) -> list[SandboxChannel]:
        """Return the channels, filtered by type and by being active; None does not filter."""
        return [
            channel
            for channel in self.channels.values()
            if (type is None or channel.type == type) and (active is None or channel.active == active)
        ]

    def list_hooks(self, channel_id: int) -> list[SandboxHook]:
        """Return the hooks of a channel, or raise a 404."""
        self.channel(channel_id)
        return self.hooks_of(channel_id)

    def hooks_of(self, channel_id: int) -> list[SandboxHook]:
        """Return the hooks of a channel, if there are any."""
        return [hook for hook in self.hooks.values() if hook.channel_id == channel_id]

    def add_hook(
        self, channel_id: int, url: str, token: str | None, name: str | None, *, created: float
    ) -> SandboxHook:
        """Add a hook, created at `created` (Unix seconds)."""
        self.channel(channel_id)
        hook = SandboxHook(self.next_hook, channel_id, url, token, name, created)
        self.hooks[hook.id] = hook
        self.next_hook += 1
        self.directory_changed()
        return hook

    def hook(self, channel_id: int, hook_id: int) -> SandboxHook:
        """Return a hook of a channel, or raise a 404."""
        hook = self.hooks.get(hook_id)
        if hook is None or hook.channel_id != channel_id:
            raise RefusedError(404, hook="Not found")
        return hook

    def delete_hook(self, channel_id: int, hook_id: int) -> None:
        """Delete a hook of a channel, or raise a 404."""
        del self.hooks[self.hook(channel_id, hook_id).id]
        self.directory_changed()

    def template(self, template_id: int, language: str, params: list[str]) -> str:
        """Return the text of a template with the gaps in its body filled, or raise a 422."""
        template = next((each for each in self.templates if each.id == template_id), None)
        if template is None:
            raise RefusedError(422, template_id="There is no such template.")
        if language not in template.languages:
            raise RefusedError(422, template_language="The template has no such language.")
        if len(params) != template.params_number:
            raise RefusedError(422, template_params=f"There must be {template.params_number}, not {len(params)}.")
        text = template.text
        for number, param in enumerate(params, 1):
            text = text.replace(f"{{{{{number}}}}}", param)
        return text

    def directory_changed(self) -> None:
        """Tell the observers that a channel or a hook has changed."""
        for observer in self.observers:
            observer.directory_changed()
