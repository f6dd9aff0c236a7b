"""The records of a workspace, and how Landbot shows each of them. Times are Unix seconds unless noted.

Source: dev.landbot.io, Platform API, "Objects".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from attrs import define, field, frozen

from .fake_customers import words

Json: TypeAlias = dict[str, Any]
SenderType: TypeAlias = Literal["customer", "bot", "agent", "sys"]
"""The types of senders."""

# Unix seconds. A fixed past, so that two runs with the same seed are identical.
BEGINNING: Final = 1_767_225_600.0
_TYPES = {bool: "boolean", int: "integer", float: "float", str: "string", dict: "object"}


class RefusedError(Exception):
    """A rule of the workspace forbids a request. `errors` has the reasons, by field."""

    def __init__(self, status: int, /, **errors: str) -> None:
        super().__init__(status, errors)
        self.status = status
        self.errors: dict[str, list[str]] = {name: [message] for name, message in errors.items()}

    def __str__(self) -> str:
        return "; ".join(messages[0] for messages in self.errors.values())


@frozen
class Sent:
    """A message that reached a customer. `at` is in seconds on the sandbox's clock."""

    customer_id: int
    """The customer whom it reached."""
    type: str
    """The type, such as `"text"`, `"template"` or `"bot"`."""
    text: str
    """The text, caption or title."""
    at: float
    """The time, in Unix seconds of the sandbox."""


class Sender(NamedTuple):
    """The sender of a message."""

    type: SenderType
    """`"customer"`, `"bot"`, `"agent"` or `"sys"`."""
    id: int
    """The id of the customer, bot or agent."""
    name: str
    """The name."""


@frozen
class SandboxMessage:
    """A message or an event in a conversation."""

    id: int
    """The number of the message in the workspace, from 1; a made-up one has 0."""
    customer_id: int
    """The customer of the conversation."""
    type: str
    """The type, such as `"text"`."""
    text: str
    """The text, caption or title."""
    sender: Sender
    """Its sender."""
    at: float
    """The time when it was written, in Unix seconds."""
    data: Mapping[str, Any] = field(factory=dict)
    """The rest, as message hooks show it."""

    def json(self) -> Json:
        """Return it as a transcript shows it."""
        time = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        message = self.data["agent_id"] if self.type == "event" else self.text
        rest = {name: value for name, value in self.data.items() if name not in ("body", "caption")}
        shown = {"type": self.type, "message": message, "message_datetime": time, "sender": self.sender.name}
        return {**rest, **shown}

    def story(self) -> Json:
        """Return it as the feed tells it."""
        return {
            "id": self.id,
            "customer_id": self.customer_id,
            "type": self.type,
            "text": self.text,
            "sender": self.sender._asdict(),
            "data": dict(self.data),
        }


@frozen
class SandboxAgent:
    """An agent, as the sandbox holds one."""

    id: int
    name: str
    email: str

    def json(self) -> Json:
        """Return it as Landbot shows it, as far as is known."""
        return {"id": self.id, "name": self.name, "email": self.email}


@define
class SandboxChannel:
    """A channel, as the sandbox holds it. Messages of an APIchat channel are posted to its `url`."""

    id: int
    """The channel's id."""
    name: str
    """The name."""
    type: str
    """The medium, such as `"webchat"`."""
    token: str = field(repr=False)
    """The channel's token, in clear."""
    active: bool = True
    """False refuses sends to its customers with 412."""
    url: str | None = None
    """The URL to which an APIchat channel posts."""

    def json(self) -> Json:
        """Return it as Landbot shows it: with its token in clear."""
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
    """The hook's id."""
    channel_id: int
    """The channel whose messages it delivers."""
    url: str
    """The URL to which they are posted."""
    token: str | None = field(default=None, repr=False)
    """The secret that each delivery carries."""
    name: str | None = None
    """The name, if it has one."""
    created_at: float = BEGINNING
    """The time of its creation, in Unix seconds."""

    def json(self) -> Json:
        """Return it as Landbot shows it: with its token in clear."""
        return {
            "id": self.id,
            "url": self.url,
            "token": self.token,
            "name": self.name,
            "channel_id": self.channel_id,
            "created_at": round(self.created_at, 6),
            "updated_at": round(self.created_at, 6),
        }


@define
class SandboxTemplate:
    """A WhatsApp template, as the sandbox holds it."""

    id: int
    channel_id: int
    text: str
    params_number: int
    languages: Sequence[str] = ("en", "es_MX")

    def json(self) -> Json:
        """Return it as Landbot shows it, as far as is known."""
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
    """The customer's id."""
    channel_id: int
    """The channel they write on."""
    name: str | None
    """The name."""
    phone: str | None = None
    """The phone number, in digits."""
    email: str | None = None
    """The e-mail address."""
    token: str | None = None
    """The name that an APIchat channel's owner gives them."""
    agent_id: int | None = None
    """The agent who has the chat, if any."""
    bot_id: int | None = None
    """The bot that has the chat, if any."""
    bot_node: str | None = None
    """The node at which the bot that has them continues."""
    archived: bool = False
    """True if the chat is archived."""
    blocked: bool = False
    """True refuses sends with 412, and the customer is not heard."""
    opt_in: bool = True
    """True if they have opted in to WhatsApp templates."""
    unread: bool = False
    """True if the chat has unread messages."""
    registered: float = BEGINNING
    """The time when they were registered, in Unix seconds."""
    last_message: float | None = None
    """The time of the latest message to or from them, events aside."""
    last_send: float | None = None
    """The time of the latest message to them."""
    last_receive: float | None = None
    """The time of the latest message from them. WhatsApp takes free text for 24 hours from then."""
    wrote_before: float | None = None
    """The time of the made-up message from them with which their transcript begins."""
    fields: dict[str, Any] = field(factory=dict)
    """The values of the custom fields, by name."""
    field_types: dict[str, str] = field(factory=dict)
    """The types of the custom fields, by name."""
    field_extras: dict[str, Json] = field(factory=dict)
    """The `extra` of the custom fields, by name."""
    recency: float = field(default=0.0, eq=False, repr=False)
    """The place in the listing, which sets it: the greater, the nearer to the front."""
    messages: list[SandboxMessage] = field(factory=list, repr=False)
    """The conversation in the sandbox, in time order."""

    @property
    def sender(self) -> Sender:
        """The customer as the sender of a message."""
        return Sender("customer", self.id, self.name or f"Visitor #{self.id}")

    @property
    def conversation(self) -> list[SandboxMessage]:
        """The whole conversation in the order of time: a made-up message first, if there is one."""
        if self.wrote_before is None:
            return list(self.messages)
        text, at = words(self.id), self.wrote_before
        return [SandboxMessage(0, self.id, "text", text, self.sender, at, {"body": text}), *self.messages]

    @property
    def last_text(self) -> str | None:
        """The text of the last message, events aside."""
        for message in reversed(self.messages) if self.messages else ():
            if message.sender.type != "sys":
                return message.text
        return None if self.wrote_before is None else words(self.id)

    def json(self) -> Json:
        """Return it as Landbot shows it: every custom field twice, where it may shadow another key, but not the id."""
        # A test may have set them by hand, and Landbot shows six decimals at most. This is round(…, 6), but quicker.
        last_message, last_send, last_receive = self.last_message, self.last_send, self.last_receive
        fields = self._custom_fields()
        shown = {
            "id": self.id,
            "name": self.name,
            "channel_id": self.channel_id,
            "agent_id": self.agent_id,
            "archived": self.archived,
            "unread": self.unread,
            "email": self.email,
            "phone": self.phone,
            "opt_in": self.opt_in,
            "blocked": self.blocked,
            "last_message": last_message and round(last_message * 1e6) / 1e6,
            "last_message_content": self.last_text,
            "last_send_date": last_send and round(last_send * 1e6) / 1e6,
            "last_receive_date": last_receive and round(last_receive * 1e6) / 1e6,
            "register_date": round(self.registered * 1e6) / 1e6,
            "avatar": None,
            "meta_data": {},
            "custom_fields": fields,
            **self.fields,
        }
        shown["id"], shown["custom_fields"] = self.id, fields
        return shown

    def transcript(self) -> list[Json]:
        """Return the conversation as Landbot shows it: whole and unordered; here the newest second comes first."""
        return [message.json() for message in sorted(self.conversation, key=lambda message: -int(message.at))]

    def row(self, channel: SandboxChannel) -> Json:
        """Return it as the page's list of customers shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "channel_id": self.channel_id,
            "channel_type": channel.type,
            "phone": self.phone,
            "email": self.email,
            "agent_id": self.agent_id,
            "bot_id": self.bot_id,
            "archived": self.archived,
            "blocked": self.blocked,
            "opt_in": self.opt_in,
            "last_message": self.last_message,
            "last_receive": self.last_receive,
            "last_text": self.last_text,
        }

    def field_json(self, name: str) -> Json:
        """Return a custom field as Landbot shows it, or raise a 404."""
        try:
            return self._custom_fields()[name]
        except KeyError:
            raise RefusedError(404, field="Not found") from None

    def _custom_fields(self) -> dict[str, Json]:
        types = self.field_types
        shown: dict[str, Json] = {
            name: {"name": name, "type": types.get(name) or _TYPES.get(type(value), "string"), "value": value}
            for name, value in self.fields.items()
        }
        for name, extra in self.field_extras.items():
            if extra and name in shown:
                shown[name]["extra"] = extra
        return shown


def trim(items: list[Any], most: int) -> None:
    """Drop the oldest items of a log. It keeps the newest `most` at least, and an eighth more at most.

    So dropping is rare, and costs next to nothing for each item.
    """
    if len(items) > most + most // 8:
        del items[:-most]
