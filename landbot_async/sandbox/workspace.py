"""The state of a workspace and its rules. It knows nothing of HTTP, sockets or waiting.

Source: dev.landbot.io, Platform API, "Objects" and "Errors".
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from attrs import define, field, frozen

Json: TypeAlias = dict[str, Any]

# Unix seconds. A fixed past, so that two runs with the same seed are alike to the letter.
BEGINNING = 1_767_225_600.0
_FIRST_NAMES = ("Ava", "Bruno", "Chloé", "Dmitri", "Elif", "Farid", "Günter", "Hana", "Íñigo", "Jia", "Kofi", "Łucja")
_LAST_NAMES = ("Almeida", "Bianchi", "Chen", "Dubois", "Eriksson", "Fernández", "García", "Haddad", "Ito", "Jansen")
_CITIES = ("València", "Lisboa", "Kraków", "Lyon", "Osaka", "Accra", "Montréal", "Tbilisi")
_TYPES = {bool: "boolean", int: "integer", float: "float", str: "string", dict: "object"}
# The agent whose token it is.
OWN_AGENT = 1
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
class SandboxHook:
    """A message hook, as the sandbox holds it."""

    id: int
    channel_id: int
    url: str
    token: str | None = field(default=None, repr=False)
    name: str | None = None
    created_at: float = BEGINNING

    def json(self) -> Json:
        """As Landbot shows it: with its token in clear."""
        return {
            "id": self.id,
            "url": self.url,
            "token": self.token,
            "name": self.name,
            "channel_id": self.channel_id,
            "created_at": self.created_at,
            "updated_at": self.created_at,
        }


@define
class SandboxTemplate:
    """A WhatsApp template, as the sandbox holds it."""

    id: int
    channel_id: int
    text: str
    params_number: int
    languages: tuple[str, ...] = ("en", "es_MX")

    def json(self) -> Json:
        """As Landbot shows it, as far as is known."""
        return {
            "id": self.id,
            "text": self.text,
            "params_number": self.params_number,
            "languages": list(self.languages),
            "channel_id": self.channel_id,
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
    field_types: dict[str, str] = field(factory=dict)
    messages: list[Json] = field(factory=list, repr=False)

    def json(self) -> Json:
        """As Landbot shows it: every custom field twice, where it may hide what has its name, but no id."""
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
            "custom_fields": {name: self.field_json(name) for name in self.fields},
            **{name: value for name, value in self.fields.items() if name not in ("id", "custom_fields")},
        }

    def field_json(self, name: str) -> Json:
        """A custom field as Landbot shows it, or a 404."""
        if name not in self.fields:
            raise RefusedError(404, field="Not found")
        value = self.fields[name]
        return {"name": name, "type": self.field_types.get(name) or _TYPES.get(type(value), "string"), "value": value}


class Workspace:
    """Channels, customers and what reached them."""

    def __init__(self, *, customers: int, seed: int) -> None:
        self.channels: dict[int, SandboxChannel] = {
            8: SandboxChannel(8, "Web chat", "webchat", "H-8-SANDBOX"),
            9: SandboxChannel(9, "WhatsApp", "whatsapp", "W-9-SANDBOX"),
        }
        self.templates: list[SandboxTemplate] = [
            SandboxTemplate(5, 9, "Hello {{1}}, we have news for you.", 1),
            SandboxTemplate(6, 9, "Your order is on its way.", 0),
        ]
        self.hooks: dict[int, SandboxHook] = {}
        self.sent: list[Sent] = []
        self.customers: dict[int, SandboxCustomer] = {}
        self._order: list[SandboxCustomer] = []
        self._next_id = 1
        self._next_hook = 1
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

    def mark(self, customer_id: int, **marks: bool) -> None:
        """Set `archived` or `blocked`."""
        customer = self.customer(customer_id)
        for name, value in marks.items():
            setattr(customer, name, value)

    def assign(self, customer_id: int, agent_id: int | None) -> None:
        """Hand the customer to an agent (None: to nobody); a 412 where the own agent would take another's chat."""
        customer = self.customer(customer_id)
        if agent_id in (None, OWN_AGENT) and customer.agent_id not in (None, OWN_AGENT):
            raise RefusedError(412, agent="Another agent has this chat")
        customer.agent_id = agent_id

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
            self._reach(customer, "bot", f"bot {bot_id}", at)

    def send(self, customer_id: int, kind: str, text: str, *, at: float, **details: Any) -> None:
        """Send something to the customer."""
        self._reach(self._reachable(customer_id), kind, text, at, **details)

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
        self._reach(customer, "template", text, at)

    def list_hooks(self, channel_id: int) -> list[SandboxHook]:
        """The hooks of a channel, or a 404."""
        self.channel(channel_id)
        return [hook for hook in self.hooks.values() if hook.channel_id == channel_id]

    def add_hook(self, channel_id: int, url: str, token: str | None, name: str | None, *, at: float) -> SandboxHook:
        """A new hook."""
        self.channel(channel_id)
        hook = SandboxHook(self._next_hook, channel_id, url, token, name, BEGINNING + at)
        self.hooks[hook.id] = hook
        self._next_hook += 1
        return hook

    def hook(self, channel_id: int, hook_id: int) -> SandboxHook:
        """A hook of a channel, or a 404."""
        hook = self.hooks.get(hook_id)
        if hook is None or hook.channel_id != channel_id:
            raise RefusedError(404, hook="Not found")
        return hook

    def write_field(self, customer_id: int, name: str, kind: str, value: Any, *, create: bool) -> Json:
        """Give the customer a field, or change one; a 404 where there is none to change."""
        customer = self.customer(customer_id)
        if not create:
            customer.field_json(name)
        customer.fields[name], customer.field_types[name] = value, kind
        return customer.field_json(name)

    def delete_field(self, customer_id: int, name: str) -> None:
        """Take a field away; a 404 where there is none."""
        customer = self.customer(customer_id)
        customer.field_json(name)
        del customer.fields[name]
        customer.field_types.pop(name, None)

    def _reach(self, customer: SandboxCustomer, kind: str, text: str, at: float, **details: Any) -> None:
        self.sent.append(Sent(customer.id, kind, text, at))
        time = datetime.fromtimestamp(BEGINNING + at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        # Landbot's transcripts have no order: the newest first is as good as any.
        said = {"type": kind, "message": text, "message_datetime": time, "sender": "Sandbox agent", **details}
        customer.messages.insert(0, said)

    def _reachable(self, customer_id: int) -> SandboxCustomer:
        customer = self.customer(customer_id)
        if customer.blocked:
            raise RefusedError(412, customer="The customer is blocked")
        if customer.agent_id not in (None, OWN_AGENT):
            raise RefusedError(412, agent="Another agent has this chat")
        if not self.channel(customer.channel_id).active:
            raise RefusedError(412, channel="The channel is inactive")
        return customer


def page(items: list[Any], key: str, offset: int, limit: int) -> Json:
    """A page of a listing in Landbot's envelope."""
    shown: list[Mapping[str, Any]] = [item.json() for item in items[offset : offset + limit]]
    return {"success": True, "total": len(items), key: shown}
