"""The state of a workspace and its rules, without HTTP, sockets or waiting.

`at` is a time on the sandbox's clock, in seconds; times that are shown are Unix seconds.

Source: dev.landbot.io, Platform API, "Objects" and "Errors".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from .directory import OWN_AGENT, Directory
from .fake_customers import FakeCustomers, silence
from .listing import Listing
from .records import (
    BEGINNING,
    Json,
    RefusedError,
    SandboxCustomer,
    SandboxMessage,
    Sender,
    Sent,
    trim,
)

SYSTEM: Final = Sender("sys", 0, "Landbot")
# Seconds since a customer's last message in which WhatsApp takes free text.
REPLY_TIME: Final = 24 * 3600.0
# What is kept at least: the newest of all messages sent, and of each conversation.
SENT_KEPT: Final = 250_000
MESSAGES_KEPT: Final = 10_000


class Launch(NamedTuple):
    """A bot that is to start, at a node or at its beginning."""

    customer: SandboxCustomer
    bot_id: int
    node: str | None
    at: float


class Workspace(Directory):
    """A directory, its customers and their conversations.

    Attributes:
        unix: returns the Unix seconds of a time on the sandbox's clock.
        sent: the messages that reached customers, in order; the newest `SENT_KEPT` at least.
        listing: the customers in the order of `GET /customers/`, the latest activity first.
        launch: called when a bot is to start.
    """

    def __init__(self, *, customers: int, seed: int, unix: Callable[[float], float] = BEGINNING.__add__) -> None:
        super().__init__()
        self.unix = unix
        self.sent: list[Sent] = []
        self.customers: dict[int, SandboxCustomer] = {}
        self.listing: Listing = Listing()
        self._by_token: dict[tuple[int, str], int] = {}
        self.next_message: int = 1
        self.launch: Callable[[Launch], None] = self.introduce
        self._fakes = FakeCustomers(seed)
        self._last_said = 0.0
        now = self.unix(0.0)
        self.restore(self._make_up(number, round(now - silence(number), 6)) for number in range(1, customers + 1))
        self.next_customer: int = customers + 1

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
        customer = self.customers.get(self._by_token.get((channel_id, token), 0))
        return customer or self._newcomer(channel_id, at, token=token)

    def opt_in(self, channel_id: int, phone: str, *, at: float) -> SandboxCustomer:
        """Opt the customer with this phone on the channel in, creating one if there is none."""
        theirs = (each for each in self.listing if each.channel_id == channel_id and each.phone == phone)
        customer = next(theirs, None) or self._newcomer(channel_id, at, phone=phone)
        customer.opt_in = True
        self.changed(customer)
        return customer

    def restore(self, customers: Iterable[SandboxCustomer]) -> None:
        """Hold these customers and no others, in the order of their `recency`. No observer is told."""
        self.customers = {customer.id: customer for customer in customers}
        for customer in self.customers.values():
            self._index(customer)
        self.listing.load(self.customers.values())
        self._last_said = max((each.last_message or 0.0 for each in self.customers.values()), default=0.0)

    def customer(self, customer_id: int) -> SandboxCustomer:
        """Return the customer, or raise a 404."""
        try:
            return self.customers[customer_id]
        except KeyError:
            raise RefusedError(404, customer="Not found") from None

    def list_customers(
        self, *, search: str | None = None, search_by: str = "name", **equal: object
    ) -> list[SandboxCustomer]:
        """Return the customers that match, in the order of the listing.

        `equal` has values of attributes; None matches any.
        """
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
        for observer in self.observers:
            observer.customer_deleted(customer)

    def changed(self, customer: SandboxCustomer) -> None:
        """Tell the observers that a customer has changed."""
        for observer in self.observers:
            observer.customer_changed(customer)

    def _make_up(self, number: int, wrote: float, **given: Any) -> SandboxCustomer:
        """Return a customer who last wrote at `wrote` (Unix seconds), with made-up details where `given` has none."""
        channel_id = given.pop("channel_id", None) or (8 if number % 2 else 9)
        made_up = self._fakes.details(number, wrote)
        if given.get("name") is None:
            given.pop("name", None)
        if self.channels[channel_id].type == "apichat":
            made_up["token"] = f"customer-{number}"
        customer = SandboxCustomer(number, channel_id, **{**made_up, **given})
        customer.wrote_before = customer.last_message
        return customer

    def _newcomer(self, channel_id: int, at: float, **details: Any) -> SandboxCustomer:
        """Add a customer of whom nothing is known but this."""
        registered = self._moment(at)
        customer = SandboxCustomer(self.next_customer, channel_id, None, registered=registered, **details)
        return self._enter(customer, None)

    def _enter(self, customer: SandboxCustomer, place: int | None) -> SandboxCustomer:
        self.next_customer = customer.id + 1
        self.customers[customer.id] = customer
        self._index(customer)
        self.listing.add(customer, place)
        self.changed(customer)
        return customer

    def _index(self, customer: SandboxCustomer) -> None:
        if customer.token is not None:
            self._by_token[customer.channel_id, customer.token] = customer.id

    # States

    def mark(self, customer_id: int, **marks: bool) -> None:
        """Set `archived` or `blocked`."""
        customer = self.customer(customer_id)
        for name, value in marks.items():
            setattr(customer, name, value)
        self.changed(customer)

    def assign(self, customer_id: int, agent_id: int | None, *, by_id: bool = False, at: float = 0.0) -> None:
        """Assign the customer to an agent (None: to nobody). Raise a 412 if another has them, unless it is by id."""
        customer = self.customer(customer_id)
        if not by_id and customer.agent_id not in (None, OWN_AGENT):
            raise RefusedError(412, agent="Another agent has this chat")
        before, customer.agent_id = customer.agent_id, agent_id
        if agent_id is not None:
            # The bot starts over once the agent leaves the chat.
            customer.bot_node = None
        if before != agent_id:
            action, whose = ("unassign", before) if agent_id is None else ("assign", agent_id)
            self.say(customer, SYSTEM, "event", "", at=at, data={"action": action, "agent_id": whose})

    def opt_out(self, customer_id: int) -> None:
        """Remove the opt-in, or raise a 412 if there is none."""
        customer = self.customer(customer_id)
        if not customer.opt_in:
            raise RefusedError(412, customer="The customer has not opted in")
        customer.opt_in = False
        self.changed(customer)

    def assign_bot(
        self, customer_id: int, bot_id: int, *, launch: bool = True, node: str | None = None, at: float
    ) -> None:
        """Assign the customer to a bot. If it is launched, it speaks at once, unless WhatsApp forbids it."""
        customer = self._reachable(customer_id)
        if bot_id not in self.bots:
            raise RefusedError(404, bot="Not found")
        customer.bot_id, customer.agent_id, customer.bot_node = bot_id, None, node
        self.changed(customer)
        if launch and self.takes_free_text(customer, at):
            self.launch(Launch(customer, bot_id, node, at))

    def introduce(self, launch: Launch) -> None:
        """Let a bot that has nothing else to say give its name."""
        name = f"bot {launch.bot_id}"
        bot = Sender("bot", launch.bot_id, name)
        self.reach(launch.customer, bot, "text", name, at=launch.at, data={"body": name})

    # Messages

    def send(self, customer_id: int, kind: str, text: str, *, at: float, **data: Any) -> None:
        """Send a message to the customer from the token's own agent. Raise a 412 if only a template may be sent."""
        customer = self._reachable(customer_id)
        if not self.takes_free_text(customer, at):
            raise RefusedError(412, customer="The customer last wrote more than 24 hours ago: send a template")
        self.reach(customer, self.agent, kind, text, at=at, data=data)

    def send_template(self, customer_id: int, template_id: int, language: str, params: list[str], *, at: float) -> None:
        """Send a template with the gaps in its body filled."""
        customer = self._reachable(customer_id)
        text = self.template(template_id, language, params)
        if self.channel(customer.channel_id).type != "whatsapp":
            raise RefusedError(412, customer="Templates can only be sent to customers on WhatsApp")
        if not customer.opt_in:
            raise RefusedError(412, customer="The customer has not opted in")
        self.reach(customer, self.agent, "template", text, at=at, data={"body": text})

    @property
    def agent(self) -> Sender:
        """The agent whose token it is."""
        return Sender("agent", OWN_AGENT, self.agents[0].name)

    def reach(
        self, customer: SandboxCustomer, sender: Sender, kind: str, text: str, *, at: float, data: Mapping[str, Any]
    ) -> None:
        """Add a message that reaches the customer."""
        self.sent.append(Sent(customer.id, "bot" if sender.type == "bot" else kind, text, at))
        trim(self.sent, SENT_KEPT)
        self.say(customer, sender, kind, text, at=at, data=data)

    def hear(self, customer_id: int, kind: str, text: str, *, at: float, data: Mapping[str, Any]) -> SandboxMessage:
        """Add a message of the customer, unless they are blocked or their channel is inactive."""
        customer = self.customer(customer_id)
        if customer.blocked:
            raise RefusedError(403, customer="The customer is blocked")
        if not self.channel(customer.channel_id).active:
            raise RefusedError(412, channel="The channel is inactive")
        return self.say(customer, customer.sender, kind, text, at=at, data=data)

    def say(
        self, customer: SandboxCustomer, sender: Sender, kind: str, text: str, *, at: float, data: Mapping[str, Any]
    ) -> SandboxMessage:
        """Add a message or an event to the customer's conversation, and tell the observers."""
        moment = self._moment(at)
        if customer.messages:
            # Later than the one before: receivers of APIchat have only the time to put them in order.
            moment = max(moment, round(customer.messages[-1].at + 1e-6, 6))
        message = SandboxMessage(self.next_message, customer.id, kind, text, sender, moment, data)
        self.next_message += 1
        customer.messages.append(message)
        trim(customer.messages, MESSAGES_KEPT)
        if sender.type == "customer":
            customer.unread, customer.last_receive = True, moment
        elif sender.type != "sys":
            customer.unread, customer.last_send = customer.unread and sender.type == "bot", moment
        if sender.type != "sys":
            # An event is no activity: `GET /customers/` stands by who last wrote or was written to.
            customer.last_message = self._last_said = moment
            self.listing.move_to_front(customer)
        for observer in self.observers:
            observer.message_added(customer, message, at)
        self.changed(customer)
        return message

    def takes_free_text(self, customer: SandboxCustomer, at: float) -> bool:
        """Return True if free text may reach the customer: always, but on WhatsApp for 24 hours after they wrote."""
        if self.channel(customer.channel_id).type != "whatsapp":
            return True
        return customer.last_receive is not None and self.unix(at) - customer.last_receive <= REPLY_TIME

    def _moment(self, at: float) -> float:
        """Return Unix seconds in microseconds, no earlier than any message before: the listing stands by them."""
        return max(round(self.unix(at), 6), self._last_said)

    # Fields

    def write_field(
        self, customer_id: int, name: str, kind: str, value: Any, *, create: bool, extra: Json | None = None
    ) -> Json:
        """Give the customer a field or change one, and return it. Raise a 404 if there is none to change."""
        customer = self.customer(customer_id)
        if not create:
            customer.field_json(name)
        customer.fields[name], customer.field_types[name] = value, kind
        if extra is not None:
            customer.field_extras[name] = extra
        self.changed(customer)
        return customer.field_json(name)

    def delete_field(self, customer_id: int, name: str) -> None:
        """Delete a field, or raise a 404 if there is none."""
        customer = self.customer(customer_id)
        customer.field_json(name)
        for kept in (customer.fields, customer.field_types, customer.field_extras):
            kept.pop(name, None)
        self.changed(customer)

    def _reachable(self, customer_id: int) -> SandboxCustomer:
        """Return a customer who can be written to, or raise a 404 or 412."""
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
