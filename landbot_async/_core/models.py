"""Records of what Landbot sends: frozen, slotted attrs classes.

The schema comes from public documents and was never checked with a live account, so only ids are required. Any other
value that is missing or null reads as None. A value of an unexpected type does too, and `.extra` has it as it came,
with every unknown key. Unix seconds become aware `datetime`s in UTC.

Source: dev.landbot.io, Platform API, "Objects".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
from attrs import evolve, field, frozen

from .converter import json_of, register
from .record import JSONRecord, Record, extra_field
from .secret import MASK, masked, masked_repr, secret_name, token_repr

ChannelType: TypeAlias = Literal["webchat", "landbot", "whatsapp", "whatsapi", "facebook", "apichat"] | str
"""The kinds of channel seen so far, and any other."""
FieldType: TypeAlias = Literal["string", "integer", "float", "boolean", "date", "datetime", "object"] | str
"""The kinds of custom field known, and any other."""
MessageType: TypeAlias = (
    Literal["text", "button", "dialog", "image", "event", "multi_question", "structured_data"] | str
)
"""The kinds of transcript message seen so far, and any other."""


F = TypeVar("F", "CustomField", "Field")


def _veiled(one: F, name: str | None) -> F:
    """Return the field for a `repr`, with its value masked if its name says that it is a token."""
    return one if one.value is None or not secret_name(name) else evolve(one, value=MASK)


def _fields_repr(fields: Mapping[str, CustomField]) -> str:
    return repr({name: _veiled(one, name) for name, one in fields.items()})


_PREFIXES = re.compile(r"^(field_)+")


def _shown_field(name: str, one: Any) -> Any:
    """Return the JSON of a custom field, with its value masked if its name says that it is a token."""
    shown = masked(one, too_deep="…")
    if secret_name(name) and isinstance(one, dict) and one.get("value") is not None:
        shown["value"] = MASK
    return shown


class Model(JSONRecord):
    """The base of the records that Landbot returns."""

    __slots__ = ()

    def to_dict(self, *, flat: bool = False) -> dict[str, Any]:
        """Return the record as a dictionary, with tokens masked as in its `repr`.

        Args:
            flat: False returns the JSON as it came. True returns one row for a table: every attribute is a column,
                times are datetimes, and a value of an unexpected type is None. Every custom field and every key in
                `extra` is a column too; a custom field with the name of an attribute becomes `field_<name>`.
        """
        raw = json_of(self)
        shown: dict[str, Any] = masked(raw, too_deep="…")
        if isinstance(raw.get("custom_fields"), dict):
            shown["custom_fields"] = {name: _shown_field(name, one) for name, one in raw["custom_fields"].items()}
        return self._row(shown) if flat else shown

    def _row(self, shown: dict[str, Any]) -> dict[str, Any]:
        """Return one row for a table; `shown` is the JSON with tokens masked."""
        kind: Any = type(self)
        row: dict[str, Any] = {}
        for attribute in attrs.fields(kind):
            if (name := attribute.name) not in ("custom_fields", "extra", "_absent"):
                value = getattr(self, name)
                row[name] = value if value is None or isinstance(value, datetime) else shown.get(name)
        names = frozenset(row)
        custom: Mapping[str, CustomField] = getattr(self, "custom_fields", {})
        for name in custom:
            # By its name only, so that a field is in the same column in all rows.
            taken = _PREFIXES.sub("", name) in names
            row[f"field_{name}" if taken else name] = shown["custom_fields"][name].get("value")
        row |= {name: value for name, value in shown.items() if name not in row and name != "custom_fields"}
        return row

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Tell pydantic, and so FastAPI, how to read and write the record."""
        from .pydantic_schema import schema_of  # noqa: PLC0415  # a plain install has no pydantic

        return schema_of(cls, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """Tell pydantic, and so FastAPI's OpenAPI document, what the record's JSON looks like."""
        from .pydantic_schema import json_schema_of  # noqa: PLC0415  # as above

        return json_schema_of(cls, schema, handler)


@frozen(eq=False, repr=False)
class Agent(Model):
    """A teammate. Landbot's published description does not have agents; four programs list them."""

    id: int
    """The agent's id, as `customers.assign` takes it."""
    email: str | None = None
    """The e-mail address."""
    name: str | None = None
    """The name."""
    extra: Mapping[str, Any] = extra_field()
    """Every key that has no attribute, and the raw value of each whose type was unexpected."""


@frozen(eq=False, repr=False)
class Channel(Model):
    """A channel, which connects a bot to one medium. Its `token` is as secret as the agent's."""

    id: int
    """The channel's id."""
    name: str | None = None
    """Its name in Landbot."""
    type: ChannelType | None = None
    """The medium, such as `"webchat"` or `"whatsapp"`."""
    active: bool | None = None
    """False if it is switched off: Landbot then refuses sends to its customers with 412."""
    created_at: datetime | None = None
    """The time of its creation, in UTC."""
    token: str | None = field(default=None, repr=token_repr)
    """The channel's own token, in clear. `repr` and `to_dict` mask it."""
    extra: Mapping[str, Any] = extra_field()
    """Every key that has no attribute, and the raw value of each whose type was unexpected."""


@frozen(eq=False, repr=False)
class ChatCustomer(Model):
    """The customer of an APIchat channel, as a send returns it. The Platform API knows the customer by `id`."""

    id: int
    """The customer's id in the Platform API."""
    token: str | None = field(default=None, repr=token_repr)
    """The customer token that you chose. `repr` and `to_dict` mask it."""
    name: str | None = None
    """The name, if one was sent."""
    phone: str | None = None
    """The phone number, if one was sent."""
    email: str | None = None
    """The e-mail address, if one was sent."""
    extra: Mapping[str, Any] = extra_field()
    """Every key that has no attribute, and the raw value of each whose type was unexpected."""


@frozen(eq=False, repr=False)
class CustomField(Model):
    """A custom field as part of a customer."""

    name: str | None = None
    """The field's name: lower-case letters, digits and underscores."""
    type: FieldType | None = None
    """The type of its value, such as `"string"` or `"date"`."""
    value: Any = field(default=None, repr=masked_repr, hash=False)
    """The value as JSON: dates are ISO 8601 texts. `repr` and `to_dict` mask it if the name says that it is a token."""
    extra: Mapping[str, Any] = extra_field()
    """Every key that has no attribute, and the raw value of each whose type was unexpected."""

    def __repr__(self) -> str:
        return Record.__repr__(_veiled(self, self.name))


@frozen(eq=False, repr=False)
class Customer(Model):
    """A person on one channel. The same person has another id on each channel.

    Use `custom_fields` or `fields` for custom fields: Landbot repeats each of them among the other keys, which
    end up in `extra`. Landbot publishes names and types, and hardly what they mean: the texts below read the names.
    """

    id: int
    """The customer's id. It differs on each channel."""
    name: str | None = None
    """The name that Landbot shows."""
    channel_id: int | None = None
    """The id of the channel that the customer writes on."""
    agent_id: int | None = None
    """The id of the agent who has the chat; None if no agent has it."""
    archived: bool | None = None
    """True if the chat is archived."""
    unread: bool | None = None
    """True if the chat has unread messages."""
    email: str | None = None
    """The e-mail address."""
    phone: str | None = None
    """The phone number, as Landbot writes it."""
    opt_in: bool | None = None
    """True if the customer has opted in to WhatsApp templates."""
    blocked: bool | None = None
    """True if the customer is blocked: Landbot then refuses sends with 412."""
    last_message: datetime | None = None
    """The time of the latest message, in UTC. Landbot's name does not say that it is a time."""
    register_date: datetime | None = None
    """The time when the customer was registered, in UTC."""
    custom_fields: Mapping[str, CustomField] = field(factory=dict, repr=_fields_repr, hash=False)
    """The custom fields by name. `fields` has their plain values."""
    avatar: str | None = None
    """The URL of a picture."""
    uuid: str | None = None
    """A UUID of the customer."""
    brand_id: int | None = None
    """An id whose meaning is not documented."""
    last_message_content: str | None = None
    """The text of the latest message."""
    last_send_date: datetime | None = None
    """The time of the latest message to the customer, in UTC."""
    last_receive_date: datetime | None = None
    """The time of the latest message from the customer, in UTC."""
    meta_data: Any = field(default=None, repr=masked_repr, hash=False)
    """JSON as it came, such as `{"api_payload": ""}`."""
    paused_until: Any = field(default=None, repr=masked_repr, hash=False)
    """JSON as it came; its form is not documented."""
    ticket_id: Any = field(default=None, repr=masked_repr, hash=False)
    """JSON as it came; its form is not documented."""
    visitor_id: Any = field(default=None, repr=masked_repr, hash=False)
    """JSON as it came; its form is not documented."""
    extra: Mapping[str, Any] = extra_field()
    """Every key that has no attribute, and the raw value of each whose type was unexpected."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """The plain values of the custom fields, by name. It is a copy; `landbot.fields` changes fields."""
        return {name: custom.value for name, custom in self.custom_fields.items()}


@frozen(eq=False, repr=False)
class Field(Model):
    """A custom field of one customer, as the endpoints of fields return it."""

    name: str | None = None
    """The field's name: lower-case letters, digits and underscores."""
    type: FieldType | None = None
    """The type of its value, such as `"string"` or `"date"`."""
    value: Any = field(default=None, repr=masked_repr, hash=False)
    """The value as JSON: dates are ISO 8601 texts. `repr` and `to_dict` mask it if the name says that it is a token."""
    extra: Mapping[str, Any] = extra_field()
    """Every key that has no attribute, and the raw value of each whose type was unexpected."""

    def __repr__(self) -> str:
        return Record.__repr__(_veiled(self, self.name))


@frozen(eq=False, repr=False)
class MessageHook(Model):
    """A message hook: a URL to which Landbot posts the messages of a channel. Each delivery carries its `token`."""

    id: int
    """The hook's id."""
    url: str | None = None
    """The URL to which Landbot posts."""
    token: str | None = field(default=None, repr=token_repr)
    """The secret that each delivery carries, in clear. `repr` and `to_dict` mask it."""
    name: str | None = None
    """Its name, if it has one."""
    channel_id: int | None = None
    """The id of the channel whose messages it delivers."""
    created_at: datetime | None = None
    """The time of its creation, in UTC."""
    updated_at: datetime | None = None
    """The time of its latest change, in UTC."""
    extra: Mapping[str, Any] = extra_field()
    """Every key that has no attribute, and the raw value of each whose type was unexpected."""


@frozen(eq=False, repr=False)
class Template(Model):
    """A WhatsApp template. The key of its language is not documented, so look for it in `extra`."""

    id: int
    """The template's id, as `customers.send_template` takes it."""
    params_number: int | None = None
    """The number of parameters in its texts."""
    text: str | None = None
    """Its body, with gaps for the parameters."""
    extra: Mapping[str, Any] = extra_field()
    """Every key that has no attribute, and the raw value of each whose type was unexpected."""


@frozen(eq=False, repr=False)
class TranscriptMessage(Model):
    """A message of a conversation. Its type decides which of the attributes from `title` on it has."""

    type: MessageType | None = None
    """The kind of message, such as `"text"` or `"event"`."""
    message: Any = field(default=None, repr=masked_repr, hash=False)
    """The text; for an `"event"` the agent's id."""
    message_datetime: str | None = None
    """The time as it came, `YYYY-MM-DD HH:MM:SS` without a zone."""
    sender: str | None = None
    """The name that Landbot shows for the sender. Nothing says if it is a customer, a bot or an agent."""
    title: str | None = None
    """The question of a dialog."""
    buttons: Any = field(default=None, repr=masked_repr, hash=False)
    """The labels of a dialog's buttons."""
    payloads: Any = field(default=None, repr=masked_repr, hash=False)
    """The payloads of a dialog's buttons, in their order."""
    urls: Any = field(default=None, repr=masked_repr, hash=False)
    """The URLs of a dialog's buttons, with nulls for buttons without one."""
    attachments: Any = field(default=None, repr=masked_repr, hash=False)
    """The attachments, as JSON that came."""
    payload: Any = field(default=None, repr=masked_repr, hash=False)
    """The payload of the button that the customer chose."""
    url: str | None = None
    """The URL of an image, audio, video or document."""
    action: str | None = None
    """The action of an event, such as `"assign"`."""
    agent_id: int | None = None
    """The id of the agent that an event is about."""
    rich_text: Any = field(default=None, repr=masked_repr, hash=False)
    """The text with its formatting, as JSON that came."""
    extra: Mapping[str, Any] = extra_field()
    """Every key that has no attribute, and the raw value of each whose type was unexpected."""

    @property
    def at(self) -> datetime | None:
        """`message_datetime` as a naive `datetime`, because its zone is not documented; None if it cannot be read."""
        try:
            at = datetime.fromisoformat(self.message_datetime or "")
        except ValueError:
            return None
        return at if at.tzinfo is None else None

    def _row(self, shown: dict[str, Any]) -> dict[str, Any]:
        return super()._row(shown) | {"message_datetime": self.at}


for _cls in (Agent, Channel, ChatCustomer, Customer, CustomField, Field, MessageHook, Template, TranscriptMessage):
    register(_cls)
