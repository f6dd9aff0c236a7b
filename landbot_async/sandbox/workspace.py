"""The state of a workspace and its rules. It knows nothing of HTTP, sockets or waiting.

Source: dev.landbot.io, Platform API, "Objects" and "Errors".
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from attrs import define, field, frozen

Json: TypeAlias = dict[str, Any]

# Unix seconds. A fixed past, so that two runs with the same seed are alike to the letter.
BEGINNING = 1_767_225_600.0
_FIRST_NAMES = ("Ava", "Bruno", "Chloé", "Dmitri", "Elif", "Farid", "Günter", "Hana", "Íñigo", "Jia", "Kofi", "Łucja")
_LAST_NAMES = ("Almeida", "Bianchi", "Chen", "Dubois", "Eriksson", "Fernández", "García", "Haddad", "Ito", "Jansen")
_CITIES = ("València", "Lisboa", "Kraków", "Lyon", "Osaka", "Accra", "Montréal", "Tbilisi")
_PLANS = ("free", "gold", "silver")


class RefusedError(Exception):
    """A rule of the workspace forbids it. `errors` says what, by field."""

    def __init__(self, status: int, **errors: str) -> None:
        super().__init__(status, errors)
        self.status = status
        self.errors: dict[str, list[str]] = {name: [message] for name, message in errors.items()}


@frozen
class Sent:
    """Something that reached a customer. `at` is in seconds of the sandbox's clock."""

    customer_id: int
    type: str
    text: str
    at: float


@define
class SandboxChannel:
    """A channel, as the sandbox holds it."""

    id: int
    name: str
    type: str
    token: str = field(repr=False)
    active: bool = True

    def json(self) -> Json:
        """As Landbot shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "active": self.active,
            "created_at": BEGINNING + 0.878516,
            "token": self.token,
        }


@define
class SandboxCustomer:
    """A customer, as the sandbox holds them; a test may change one at any time."""

    id: int
    channel_id: int
    name: str | None
    phone: str | None = None
    email: str | None = None
    agent_id: int | None = None
    bot_id: int | None = None
    archived: bool = False
    blocked: bool = False
    opt_in: bool = True
    last_message: float | None = None
    fields: dict[str, Any] = field(factory=dict)

    def json(self) -> Json:
        """As Landbot shows it: every custom field twice."""
        return {
            "id": self.id,
            "name": self.name,
            "channel_id": self.channel_id,
            "agent_id": self.agent_id,
            "archived": self.archived,
            "unread": False,
            "email": self.email,
            "phone": self.phone,
            "opt_in": self.opt_in,
            "blocked": self.blocked,
            "last_message": self.last_message,
            "register_date": int(BEGINNING) + self.id,
            "avatar": None,
            "meta_data": {},
            "custom_fields": {
                name: {"name": name, "type": "string", "value": value} for name, value in self.fields.items()
            },
            **self.fields,
        }


class Workspace:
    """Channels, customers and what reached them."""

    def __init__(self, *, customers: int, seed: int) -> None:
        self.channels: dict[int, SandboxChannel] = {
            8: SandboxChannel(8, "Web chat", "webchat", "H-8-SANDBOX"),
            9: SandboxChannel(9, "WhatsApp", "whatsapp", "W-9-SANDBOX"),
        }
        self.sent: list[Sent] = []
        self.customers: dict[int, SandboxCustomer] = {}
        self._order: list[SandboxCustomer] = []
        self._next_id = 1
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret
        for _ in range(customers):
            self.add_customer()

    def add_customer(
        self, name: str | None = None, *, channel_id: int | None = None, place: int | None = None, **details: Any
    ) -> SandboxCustomer:
        """A new customer, at `place` of the listing or at its end. What is not said is made up, from the seed."""
        if channel_id is not None and channel_id not in self.channels:
            raise ValueError(f"channel_id must be one of {', '.join(map(str, self.channels))}, not {channel_id!r}")
        pick, number = self._random.choice, self._next_id
        made_up: dict[str, Any] = {
            "name": name or f"{pick(_FIRST_NAMES)} {pick(_LAST_NAMES)}",
            "phone": f"346{number:08d}",
            "email": f"customer{number}@example.org",
            "opt_in": number % 10 != 0,
            "last_message": BEGINNING + number * 60 + 0.25,
            "fields": {"city": pick(_CITIES), "plan": pick(_PLANS)},
        }
        customer = SandboxCustomer(number, channel_id or (8 if number % 2 else 9), **{**made_up, **details})
        self._next_id += 1
        self.customers[number] = customer
        self._order.insert(len(self._order) if place is None else place, customer)
        return customer

    def customer(self, customer_id: int) -> SandboxCustomer:
        """The customer, or a 404."""
        try:
            return self.customers[customer_id]
        except KeyError:
            raise RefusedError(404, customer="Not found") from None

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

    def list_customers(
        self,
        *,
        search: str | None = None,
        search_by: str = "name",
        **equal: object,
    ) -> list[SandboxCustomer]:
        """The customers that match, in the order of the listing. `equal` compares attributes; None is not compared."""
        wanted = {name: value for name, value in equal.items() if value is not None}
        found: Iterable[SandboxCustomer] = self._order
        if search is not None:
            text = search.casefold()
            found = (each for each in found if text in str(getattr(each, search_by) or "").casefold())
        if wanted:
            found = (each for each in found if all(getattr(each, name) == value for name, value in wanted.items()))
        return found if isinstance(found, list) else list(found)

    def delete_customer(self, customer_id: int) -> None:
        """Delete the customer for good."""
        self._order.remove(self.customer(customer_id))
        del self.customers[customer_id]

    def archive(self, customer_id: int) -> None:
        """Archive the customer."""
        self.customer(customer_id).archived = True

    def opt_out(self, customer_id: int) -> None:
        """Remove the opt-in; a 412 where there is none."""
        customer = self.customer(customer_id)
        if not customer.opt_in:
            raise RefusedError(412, customer="The customer has not opted in")
        customer.opt_in = False

    def assign_bot(self, customer_id: int, bot_id: int, *, launch: bool, at: float) -> None:
        """Hand the customer to a bot, whose first words reach them if it is launched."""
        customer = self._reachable(customer_id)
        customer.bot_id, customer.agent_id = bot_id, None
        if launch:
            self.sent.append(Sent(customer_id, "bot", f"bot {bot_id}", at))

    def send_text(self, customer_id: int, message: str, *, at: float) -> None:
        """Say something to the customer."""
        self._reachable(customer_id)
        self.sent.append(Sent(customer_id, "text", message, at))

    def _reachable(self, customer_id: int) -> SandboxCustomer:
        customer = self.customer(customer_id)
        if customer.blocked:
            raise RefusedError(412, customer="The customer is blocked")
        if not self.channel(customer.channel_id).active:
            raise RefusedError(412, channel="The channel is inactive")
        return customer


def page(items: list[Any], key: str, offset: int, limit: int) -> Json:
    """A page of a listing in Landbot's envelope."""
    shown: list[Mapping[str, Any]] = [item.json() for item in items[offset : offset + limit]]
    return {"success": True, "total": len(items), key: shown}
