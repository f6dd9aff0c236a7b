"""Records of what Landbot sends: frozen, slotted attrs classes.

The schema comes from public documents and was never checked with a live account, so only ids are required. Any other
value that is missing or null reads as None. A value of an unexpected type does too, and `.extra` has it as it came,
with every unknown key. Unix seconds become aware `datetime`s in UTC.

Source: dev.landbot.io, Platform API, "Objects".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
from attrs import evolve, field, frozen

from .record import Record
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


def _extra() -> Any:
    return field(factory=dict, repr=masked_repr, hash=False)


def _absent() -> Any:
    # Names of the known keys that were missing, as opposed to null.
    return field(default=frozenset(), repr=False, eq=False, alias="_absent")


def _shown_field(name: str, one: Any) -> Any:
    """Return the JSON of a custom field, with its value masked if its name says that it is a token."""
    shown = masked(one, too_deep="…")
    if secret_name(name) and isinstance(one, dict) and one.get("value") is not None:
        shown["value"] = MASK
    return shown


# Returns the JSON of a record as it came. `converter` sets it, which knows how each record is written.
_json_of: Callable[[Any], dict[str, Any]]


class Model(Record):
    """The base of the records that Landbot returns."""

    __slots__ = ()

    def to_dict(self, *, flat: bool = False) -> dict[str, Any]:
        """Return the record as a dictionary, with tokens masked as in its `repr`.

        Args:
            flat: False returns the JSON as it came. True returns one row for a table: times are datetimes, every
                attribute is a column, and so is every custom field. A custom field whose name is taken becomes
                `field_<name>`.
        """
        raw = _json_of(self)  # noqa: F821  # declared above, and set by `converter`
        shown: dict[str, Any] = masked(raw, too_deep="…")
        if isinstance(raw.get("custom_fields"), dict):
            shown["custom_fields"] = {name: _shown_field(name, one) for name, one in raw["custom_fields"].items()}
        if not flat:
            return shown
        kind: Any = type(self)
        hidden = ("custom_fields", "extra", "_absent")
        names = [each.name for each in attrs.fields(kind) if each.name not in hidden]
        values = {name: getattr(self, name) for name in names}
        row = {
            name: value if value is None or isinstance(value, datetime) else shown.get(name)
            for name, value in values.items()
        }
        custom: Mapping[str, CustomField] = getattr(self, "custom_fields", {})
        row |= {name: value for name, value in shown.items() if name not in (*row, *custom, "custom_fields")}
        for name, one in custom.items():
            column = name
            while column in row:
                column = f"field_{column}"
            row[column] = MASK if one.value is not None and secret_name(name) else masked(one.value, too_deep="…")
        return row


@frozen(eq=False, repr=False)
class Agent(Model):
    """A teammate. Landbot's published description does not have agents; four programs list them."""

    id: int
    email: str | None = None
    name: str | None = None
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()


@frozen(eq=False, repr=False)
class Channel(Model):
    """A channel, which connects a bot to one medium. Its `token` is as secret as the agent's."""

    id: int
    name: str | None = None
    type: ChannelType | None = None
    active: bool | None = None
    created_at: datetime | None = None
    token: str | None = field(default=None, repr=token_repr)
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()


@frozen(eq=False, repr=False)
class ChatCustomer(Model):
    """The customer of an APIchat channel, as a send returns it. The Platform API knows the customer by `id`.

    `token` is the customer token that you chose.
    """

    id: int
    token: str | None = field(default=None, repr=token_repr)
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()


@frozen(eq=False, repr=False)
class CustomField(Model):
    """A custom field as part of a customer."""

    name: str | None = None
    type: FieldType | None = None
    value: Any = field(default=None, repr=masked_repr, hash=False)
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()

    def __repr__(self) -> str:
        return Record.__repr__(_veiled(self, self.name))


@frozen(eq=False, repr=False)
class Customer(Model):
    """A person on one channel. The same person has another id on each channel.

    `last_message` is a time despite its name. Use `custom_fields` for custom fields: Landbot repeats each of them among
    the other keys, which end up in `extra`.
    """

    id: int
    name: str | None = None
    channel_id: int | None = None
    agent_id: int | None = None
    archived: bool | None = None
    unread: bool | None = None
    email: str | None = None
    phone: str | None = None
    opt_in: bool | None = None
    blocked: bool | None = None
    last_message: datetime | None = None
    register_date: datetime | None = None
    custom_fields: Mapping[str, CustomField] = field(factory=dict, repr=_fields_repr, hash=False)
    avatar: str | None = None
    uuid: str | None = None
    brand_id: int | None = None
    last_message_content: str | None = None
    last_send_date: datetime | None = None
    last_receive_date: datetime | None = None
    meta_data: Any = field(default=None, repr=masked_repr, hash=False)
    paused_until: Any = field(default=None, repr=masked_repr, hash=False)
    ticket_id: Any = field(default=None, repr=masked_repr, hash=False)
    visitor_id: Any = field(default=None, repr=masked_repr, hash=False)
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()

    @property
    def fields(self) -> Mapping[str, Any]:
        """The plain values of the custom fields, by name. It is a copy; `landbot.fields` changes fields."""
        return {name: custom.value for name, custom in self.custom_fields.items()}


@frozen(eq=False, repr=False)
class Field(Model):
    """A custom field of one customer, as the endpoints of fields return it."""

    name: str | None = None
    type: FieldType | None = None
    value: Any = field(default=None, repr=masked_repr, hash=False)
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()

    def __repr__(self) -> str:
        return Record.__repr__(_veiled(self, self.name))


@frozen(eq=False, repr=False)
class MessageHook(Model):
    """A message hook: a URL to which Landbot posts the messages of a channel. Each delivery carries its `token`."""

    id: int
    url: str | None = None
    token: str | None = field(default=None, repr=token_repr)
    name: str | None = None
    channel_id: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()


@frozen(eq=False, repr=False)
class Template(Model):
    """A WhatsApp template. The key of its language is not documented, so look for it in `extra`."""

    id: int
    params_number: int | None = None
    text: str | None = None
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()


@frozen(eq=False, repr=False)
class TranscriptMessage(Model):
    """A message of a conversation. Its type decides which of the later attributes it has.

    `message` is a text; for an `event` it is a number, the agent's id. `message_datetime` is as it came, without a
    zone; `at` is the same as a naive `datetime`, or None if it cannot be read.
    """

    type: MessageType | None = None
    message: Any = field(default=None, repr=masked_repr, hash=False)
    message_datetime: str | None = None
    sender: str | None = None
    title: str | None = None
    buttons: Any = field(default=None, repr=masked_repr, hash=False)
    payloads: Any = field(default=None, repr=masked_repr, hash=False)
    urls: Any = field(default=None, repr=masked_repr, hash=False)
    attachments: Any = field(default=None, repr=masked_repr, hash=False)
    payload: Any = field(default=None, repr=masked_repr, hash=False)
    url: str | None = None
    action: str | None = None
    agent_id: int | None = None
    rich_text: Any = field(default=None, repr=masked_repr, hash=False)
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()

    @property
    def at(self) -> datetime | None:
        """The time, naive: Landbot does not document the time zone."""
        try:
            at = datetime.fromisoformat(self.message_datetime or "")
        except ValueError:
            return None
        return at if at.tzinfo is None else None
