"""The state of a workspace and its rules. It knows nothing of HTTP, sockets or waiting.

`at` is a time on the sandbox's clock, in seconds; what is shown of it is Unix seconds.

Source: dev.landbot.io, Platform API, "Objects" and "Errors".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from .fake_customers import People, silence
from .listing import Listing
from .records import (
    BEGINNING,
    Json,
    RefusedError,
    SandboxChannel,
    SandboxCustomer,
    SandboxHook,
    SandboxMessage,
    SandboxTemplate,
    Sender,
    Sent,
)

# The agent whose token it is, and the bot that answers where no other was assigned.
OWN_AGENT: Final = 1
OWN_BOT: Final = 1
SYSTEM: Final = Sender("sys", 0, "Landbot")
# Seconds since their last message in which WhatsApp takes more than templates.
WINDOW: Final = 24 * 3600.0


class Watch(Protocol):
    """Is told what happens in a workspace, at once and in order. It must not wait."""

    def customer_changed(self, customer: SandboxCustomer) -> None:
        """A customer is new, or not what they were."""
        ...

    def customer_gone(self, customer: SandboxCustomer) -> None:
        """A customer was deleted."""
        ...

    def said(self, customer: SandboxCustomer, message: SandboxMessage, at: float) -> None:
        """Somebody said something in a customer's conversation; `customer_changed` follows."""
        ...

    def furnished(self) -> None:
        """A channel or a hook came, went or changed."""
        ...


class Launch(NamedTuple):
    """A bot that is to begin, at a node or at its beginning."""

    customer: SandboxCustomer
    bot_id: int
    node: str | None
    at: float


class Workspace:
    """Channels, customers and what was said.

    Attributes:
        unix: Unix seconds of a time on the sandbox's clock.
        listing: the customers in the order of `GET /customers/`, the latest activity first.
        launch: called where a bot is to begin.
    """

    def __init__(self, *, customers: int, seed: int, unix: Callable[[float], float] = BEGINNING.__add__) -> None:
        self.unix = unix
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
        self.sent: list[Sent] = []
        self.customers: dict[int, SandboxCustomer] = {}
        self.listing: Listing = Listing()
        self.watches: list[Watch] = []
        self._called: dict[tuple[int, str], int] = {}
        self.next_customer: int = 1
        self.next_hook: int = 1
        self.next_message: int = 1
        self.launch: Callable[[Launch], None] = self.introduce
        self._people = People(seed)
        self._last_said = 0.0
        now = self.unix(0.0)
        self.restore(self._make_up(number, round(now - silence(number), 6)) for number in range(1, customers + 1))
        self.next_customer = customers + 1

    # Customers

    def add_customer(
        self,
        name: str | None = None,
        *,
        channel_id: int | None = None,
        place: int | None = None,
        at: float = 0.0,
        **details: Any,
    ) -> SandboxCustomer:
        """Add a customer who has just written. What is not given is made up, from the seed.

        They stand where their `last_message` puts them, which is the front of the listing, or at `place` (0 is the
        front), whatever their last message.
        """
        if channel_id is not None and channel_id not in self.channels:
            raise ValueError(f"channel_id must be one of {', '.join(map(str, self.channels))}, not {channel_id!r}")
        wrote = self._moment(at)
        customer = self._make_up(self.next_customer, wrote, name=name, channel_id=channel_id, **details)
        return self._enter(customer, place)

    def visitor(self, channel_id: int, token: str, *, at: float) -> SandboxCustomer:
        """Return the customer with this token on the channel, creating one if there is none."""
        customer = self.customers.get(self._called.get((channel_id, token), 0))
        if customer is None:
            customer = SandboxCustomer(self.next_customer, channel_id, None, token=token, registered=self.unix(at))
            self._enter(customer, None)
        return customer

    def restore(self, customers: Iterable[SandboxCustomer]) -> None:
        """Hold these customers and no others, in the order of their `recency`. No watch is told."""
        self.customers = {customer.id: customer for customer in customers}
        for customer in self.customers.values():
            self._index(customer)
        self.listing.load(self.customers.values())
        self._last_said = max((each.last_message or 0.0 for each in self.customers.values()), default=0.0)

    def _make_up(self, number: int, wrote: float, **given: Any) -> SandboxCustomer:
        """Return a customer who last wrote at `wrote` (Unix seconds), with made-up details where `given` has none."""
        channel_id = given.pop("channel_id", None) or (8 if number % 2 else 9)
        made_up = self._people.made_up(number, wrote)
        if given.get("name") is None:
            given.pop("name", None)
        if self.channels[channel_id].type == "apichat":
            made_up["token"] = f"customer-{number}"
        return SandboxCustomer(number, channel_id, **{**made_up, **given})

    def _enter(self, customer: SandboxCustomer, place: int | None) -> SandboxCustomer:
        self.next_customer = customer.id + 1
        self.customers[customer.id] = customer
        self._index(customer)
        self.listing.add(customer, place)
        self.changed(customer)
        return customer

    def _index(self, customer: SandboxCustomer) -> None:
        if customer.token is not None:
            self._called[customer.channel_id, customer.token] = customer.id

    def customer(self, customer_id: int) -> SandboxCustomer:
        """The customer, or a 404."""
        try:
            return self.customers[customer_id]
        except KeyError:
            raise RefusedError(404, customer="Not found") from None

    def list_customers(
        self, *, search: str | None = None, search_by: str = "name", **equal: object
    ) -> list[SandboxCustomer]:
        """The customers that match, in the order of the listing. `equal` compares attributes; None is not compared."""
        wanted = {name: value for name, value in equal.items() if value is not None}
        found: Iterable[SandboxCustomer] = self.listing
        for name, value in wanted.items():
            found = _those_with(found, name, value)
        if search is not None:
            text = search.casefold()
            found = (each for each in found if text in str(getattr(each, search_by) or "").casefold())
        return list(found)

    def delete_customer(self, customer_id: int) -> None:
        """Delete the customer for good, with the conversation."""
        customer = self.customer(customer_id)
        self.listing.remove(customer)
        del self.customers[customer_id]
        for watch in self.watches:
            watch.customer_gone(customer)

    def changed(self, customer: SandboxCustomer) -> None:
        """Tell whoever watches that a customer is not what they were."""
        for watch in self.watches:
            watch.customer_changed(customer)

    # States

    def mark(self, customer_id: int, **marks: bool) -> None:
        """Set `archived` or `blocked`."""
        customer = self.customer(customer_id)
        for name, value in marks.items():
            setattr(customer, name, value)
        self.changed(customer)

    def assign(self, customer_id: int, agent_id: int | None, *, by_name: bool = False, at: float = 0.0) -> None:
        """Hand the customer to an agent (None: to nobody); a 412 where another has them, unless it is done by name."""
        customer = self.customer(customer_id)
        if not by_name and customer.agent_id not in (None, OWN_AGENT):
            raise RefusedError(412, agent="Another agent has this chat")
        before, customer.agent_id = customer.agent_id, agent_id
        if agent_id is not None:
            # The bot begins anew when the customer is left.
            customer.bot_node = None
        if before != agent_id:
            action, whose = ("unassign", before) if agent_id is None else ("assign", agent_id)
            self.say(customer, SYSTEM, "event", "", at=at, data={"action": action, "agent_id": whose})

    def opt_out(self, customer_id: int) -> None:
        """Remove the opt-in; a 412 where there is none."""
        customer = self.customer(customer_id)
        if not customer.opt_in:
            raise RefusedError(412, customer="The customer has not opted in")
        customer.opt_in = False
        self.changed(customer)

    def assign_bot(
        self, customer_id: int, bot_id: int, *, launch: bool = True, node: str | None = None, at: float
    ) -> None:
        """Hand the customer to a bot, whose first words reach them if it is launched, unless WhatsApp forbids it."""
        customer = self._reachable(customer_id)
        customer.bot_id, customer.agent_id, customer.bot_node = bot_id, None, node
        self.changed(customer)
        if launch and self.window_open(customer, at):
            self.launch(Launch(customer, bot_id, node, at))

    def introduce(self, launch: Launch) -> None:
        """Let a bot that has nothing to say give its name."""
        name = f"bot {launch.bot_id}"
        bot = Sender("bot", launch.bot_id, name)
        self.reach(launch.customer, bot, "text", name, at=launch.at, data={"body": name})

    # Messages

    def send(self, customer_id: int, kind: str, text: str, *, at: float, **data: Any) -> None:
        """Send something to the customer as the token's own agent; a 412 where WhatsApp takes only templates."""
        customer = self._reachable(customer_id)
        if not self.window_open(customer, at):
            raise RefusedError(412, customer="The customer last wrote more than 24 hours ago: send a template")
        self.reach(customer, self.agent, kind, text, at=at, data=data)

    def send_template(self, customer_id: int, template_id: int, language: str, params: list[str], *, at: float) -> None:
        """Send a template with the gaps in its body filled."""
        customer = self._reachable(customer_id)
        if not customer.opt_in:
            raise RefusedError(412, customer="The customer has not opted in")
        template = next((each for each in self.templates if each.id == template_id), None)
        if template is None:
            raise RefusedError(422, template_id="There is no such template.")
        if language not in template.languages:
            raise RefusedError(422, template_language="The template has no such language.")
        if len(params) != template.params_number:
            raise RefusedError(422, template_params=f"The body takes {template.params_number} parameters.")
        text = template.text
        for number, param in enumerate(params, 1):
            text = text.replace(f"{{{{{number}}}}}", param)
        self.reach(customer, self.agent, "template", text, at=at, data={"body": text})

    @property
    def agent(self) -> Sender:
        """The agent whose token it is."""
        return Sender("agent", OWN_AGENT, "Sandbox agent")

    def reach(
        self, customer: SandboxCustomer, sender: Sender, kind: str, text: str, *, at: float, data: Mapping[str, Any]
    ) -> None:
        """Say something to the customer that reaches them."""
        self.sent.append(Sent(customer.id, "bot" if sender.type == "bot" else kind, text, at))
        customer.last_send = self.unix(at)
        if sender.type == "agent":
            customer.unread = False
        self.say(customer, sender, kind, text, at=at, data=data)

    def hear(self, customer_id: int, kind: str, text: str, *, at: float, data: Mapping[str, Any]) -> SandboxMessage:
        """Take what the customer says, unless the workspace does not hear them."""
        customer = self.customer(customer_id)
        if customer.blocked:
            raise RefusedError(403, customer="The customer is blocked")
        if not self.channel(customer.channel_id).active:
            raise RefusedError(412, channel="The channel is inactive")
        return self.receive(customer, kind, text, at=at, data=data)

    def receive(
        self, customer: SandboxCustomer, kind: str, text: str, *, at: float, data: Mapping[str, Any]
    ) -> SandboxMessage:
        """Take what the customer says."""
        customer.unread, customer.last_receive = True, self.unix(at)
        sender = Sender("customer", customer.id, customer.name or f"Visitor #{customer.id}")
        return self.say(customer, sender, kind, text, at=at, data=data)

    def say(
        self, customer: SandboxCustomer, sender: Sender, kind: str, text: str, *, at: float, data: Mapping[str, Any]
    ) -> SandboxMessage:
        """Add to the customer's conversation, and tell whoever watches."""
        moment = self._moment(at)
        if customer.messages:
            # Later than the one before: APIchat's receivers have no more than the time to put them in order.
            moment = max(moment, round(customer.messages[-1].at + 1e-6, 6))
        message = SandboxMessage(self.next_message, customer.id, kind, text, sender, moment, data)
        self.next_message += 1
        customer.messages.append(message)
        if sender is not SYSTEM:
            # An event is no activity: `GET /customers/` stands by who wrote or was written to last.
            customer.last_message = self._last_said = message.at
            self.listing.move_to_front(customer)
        for watch in self.watches:
            watch.said(customer, message, at)
        self.changed(customer)
        return message

    def _moment(self, at: float) -> float:
        """Return Unix seconds in microseconds, no earlier than anything that was said: the listing stands by them."""
        return max(round(self.unix(at), 6), self._last_said)

    def window_open(self, customer: SandboxCustomer, at: float) -> bool:
        """Whether free text may reach the customer: always, but on WhatsApp for 24 hours after they wrote."""
        if self.channel(customer.channel_id).type != "whatsapp":
            return True
        return customer.last_receive is not None and self.unix(at) - customer.last_receive <= WINDOW

    # Channels and hooks

    def add_channel(self, name: str, type: str, url: str | None = None) -> SandboxChannel:
        """A new channel."""
        number = max(self.channels) + 1
        channel = SandboxChannel(number, name, type, f"{type[0].upper()}-{number}-SANDBOX", url=url)
        self.channels[number] = channel
        self.furnished()
        return channel

    def channel(self, channel_id: int) -> SandboxChannel:
        """The channel, or a 404."""
        try:
            return self.channels[channel_id]
        except KeyError:
            raise RefusedError(404, channel="Not found") from None

    def list_channels(self, *, type: str | None = None, active: bool | None = None) -> list[SandboxChannel]:
        """The channels that match."""
        return [
            channel
            for channel in self.channels.values()
            if (type is None or channel.type == type) and (active is None or channel.active == active)
        ]

    def list_hooks(self, channel_id: int) -> list[SandboxHook]:
        """The hooks of a channel, or a 404."""
        self.channel(channel_id)
        return self.hooks_of(channel_id)

    def hooks_of(self, channel_id: int) -> list[SandboxHook]:
        """The hooks of a channel."""
        return [hook for hook in self.hooks.values() if hook.channel_id == channel_id]

    def add_hook(self, channel_id: int, url: str, token: str | None, name: str | None, *, at: float) -> SandboxHook:
        """A new hook."""
        self.channel(channel_id)
        hook = SandboxHook(self.next_hook, channel_id, url, token, name, self.unix(at))
        self.hooks[hook.id] = hook
        self.next_hook += 1
        self.furnished()
        return hook

    def hook(self, channel_id: int, hook_id: int) -> SandboxHook:
        """A hook of a channel, or a 404."""
        hook = self.hooks.get(hook_id)
        if hook is None or hook.channel_id != channel_id:
            raise RefusedError(404, hook="Not found")
        return hook

    def delete_hook(self, channel_id: int, hook_id: int) -> None:
        """Delete a hook of a channel."""
        del self.hooks[self.hook(channel_id, hook_id).id]
        self.furnished()

    def furnished(self) -> None:
        """Tell whoever watches that a channel or a hook is not what it was."""
        for watch in self.watches:
            watch.furnished()

    # Fields

    def write_field(
        self, customer_id: int, name: str, kind: str, value: Any, *, create: bool, extra: Json | None = None
    ) -> Json:
        """Give the customer a field, or change one; a 404 where there is none to change."""
        customer = self.customer(customer_id)
        if not create:
            customer.field_json(name)
        customer.fields[name], customer.field_types[name] = value, kind
        if extra is not None:
            customer.field_extras[name] = extra
        self.changed(customer)
        return customer.field_json(name)

    def delete_field(self, customer_id: int, name: str) -> None:
        """Take a field away; a 404 where there is none."""
        customer = self.customer(customer_id)
        customer.field_json(name)
        for kept in (customer.fields, customer.field_types, customer.field_extras):
            kept.pop(name, None)
        self.changed(customer)

    def _reachable(self, customer_id: int) -> SandboxCustomer:
        customer = self.customer(customer_id)
        if customer.blocked:
            raise RefusedError(412, customer="The customer is blocked")
        if customer.agent_id not in (None, OWN_AGENT):
            raise RefusedError(412, agent="Another agent has this chat")
        if not self.channel(customer.channel_id).active:
            raise RefusedError(412, channel="The channel is inactive")
        return customer


def _those_with(found: Iterable[SandboxCustomer], name: str, value: object) -> Iterable[SandboxCustomer]:
    return (each for each in found if getattr(each, name) == value)


def page(items: list[Any], key: str, offset: int, limit: int) -> Json:
    """A page of a listing in Landbot's envelope."""
    return envelope(items[offset : offset + limit], key, len(items))


def envelope(shown: list[Any], key: str, total: int) -> Json:
    """A page that is already cut out, in Landbot's envelope."""
    return {"success": True, "total": total, key: [item.json() for item in shown]}
