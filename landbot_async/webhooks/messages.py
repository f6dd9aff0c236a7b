"""The messages that deliveries bring: a class for each known type, and `UnknownMessage` for all others.

Nothing is lost: `.data` is a message's content as it came, `.raw` Landbot's own record of it, `.envelope` the whole
body. A message without the content that its type needs is an `UnknownMessage` too, so `TextMessage.text` is always a
string.

A content's parts are looked for in `data`, and on the Platform in `_raw` after that: which of the two has them has
changed over the years.

Source: dev.landbot.io, "Message hooks" and "APIchat".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, TypeGuard

import attrs
from attrs import field, frozen

from landbot_async._core.record import JSONRecord, Record, extra_field
from landbot_async._core.secret import masked_repr, token_repr

Source: TypeAlias = Literal["platform", "apichat"]
"""The API that made the delivery."""
SenderType: TypeAlias = Literal["customer", "agent", "bot", "sys", "human"] | str
"""Landbot's words for those who write (APIchat calls an agent `human`), and any other word."""


@frozen(eq=False, repr=False)
class MessageCustomer(JSONRecord):
    """The customer of the conversation, as the delivery shows them."""

    id: int | Any = None
    """The customer's id; None only if a delivery of APIchat shows nothing but the token. Its annotation lets you
    pass it on without a check."""
    name: str | None = None
    """The name."""
    phone: str | None = None
    """The phone number, on WhatsApp and APIchat."""
    email: str | None = None
    """The e-mail address, on APIchat."""
    token: str | None = field(default=None, repr=token_repr)
    """The customer token that you chose, on APIchat. `repr` masks it."""
    agent_id: int | None = None
    """The id of the agent who has the chat, if any."""
    archived: bool | None = None
    """True if the chat is archived."""
    country: str | None = None
    """The country, on web chat."""
    is_external: str | None = None
    """`"True"` or `"False"`, a string as Landbot sends it."""
    url: str | None = None
    """The page on which the web chat is open."""
    webchat_type: str | None = None
    """The kind of web chat, such as `"Native"`."""
    register_date: datetime | None = None
    """The time when the customer was registered, in UTC."""
    extra: Mapping[str, Any] = extra_field()
    """Every other key as it came, custom fields included."""

    @property
    def fields(self) -> dict[str, Any]:
        """The custom fields by name: every key that is not Landbot's own. Landbot may have turned them into strings."""
        return {name: value for name, value in self.extra.items() if name not in _CUSTOMER_KEYS}


_CUSTOMER_KEYS: Final = frozenset(each.name for each in attrs.fields(MessageCustomer)) - {"extra", "_absent"}


@frozen(eq=False, repr=False)
class MessageChannel(JSONRecord):
    """The channel of the conversation."""

    id: int | None = None
    """The channel's id."""
    name: str | None = None
    """The name."""
    type: str | None = None
    """The medium, such as `"landbot"` (web chat) or `"whatsapp"`; None on APIchat."""
    extra: Mapping[str, Any] = extra_field()
    """Every other key as it came."""


@frozen(eq=False, repr=False)
class MessageSender(JSONRecord):
    """The sender of the message: on APIchat its `agent`, which is a `bot` or a `human`.

    If a delivery of the Platform does not tell the type, it is read from `_raw.author_type`. `user`, in either place,
    is a `customer`.
    """

    id: int | None = None
    """The id of the customer, bot or agent."""
    type: SenderType | None = None
    """`"customer"`, `"bot"`, `"agent"` or `"sys"`; on APIchat `"bot"` or `"human"`."""
    name: str | None = None
    """The name."""
    email: str | None = None
    """The e-mail address of an agent, on APIchat."""
    extra: Mapping[str, Any] = extra_field()
    """Every other key as it came."""


@frozen(eq=False, repr=False)
class Message(Record):
    """A message of a conversation."""

    id: str | None
    """Landbot's uuid of the message; if it has none (APIchat), the delivery's id; None if it has neither."""
    type: str
    """Landbot's word for the kind of message; empty if the delivery has none."""
    at: datetime
    """The time when it was written, in UTC; if the delivery has none, the time when it arrived."""
    timestamp: int | float
    """The time `at` in Unix seconds."""
    customer: MessageCustomer
    """The customer whose conversation it is."""
    channel: MessageChannel
    """The channel of the conversation."""
    sender: MessageSender
    """Its sender."""
    data: dict[str, Any] = field(repr=masked_repr, hash=False)
    """Its content, as it came; for APIchat the message itself."""
    raw: dict[str, Any] = field(repr=masked_repr, hash=False)
    """Landbot's own record of it (`_raw`), empty if there is none."""
    envelope: dict[str, Any] = field(repr=False, eq=False)
    """The whole body of the delivery, decoded. An `Inbox` divides a body with several messages, so that each message
    has an envelope of its own."""
    delivery_id: str | None
    """The `sentry-trace` header: one for each message, the same when delivered again. In a body with several messages,
    `#1`, `#2` … is added to that of the second, the third and so on."""
    source: Source
    """`"platform"` or `"apichat"`."""
    late: bool = False
    """True if the inbox had handled a later message of this customer before."""
    redelivered: bool = False
    """True if it comes from a durable inbox that was stopped, and may have been handled before."""
    position: int = field(default=0, repr=False)
    """Its index in `envelope["messages"]`."""

    @property
    def seq(self) -> int | None:
        """The order of messages with the same time, if Landbot tells it."""
        seq = self.raw.get("seq")
        return seq if type(seq) is int else None


class UnknownMessage(Message):
    """A message of an unknown type, or without the content that its type needs: see `.type`, `.data` and `.raw`."""

    __slots__ = ()


class TextMessage(Message):
    """A text."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The text."""
        return words(self.source, self.data, self.raw) or ""


class ButtonMessage(Message):
    """A button that the customer pressed."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The button's label."""
        return words(self.source, self.data, self.raw) or ""

    @property
    def payload(self) -> str | None:
        """The button's target, such as `$0`."""
        return _string(self, "payload")


class MediaMessage(Message):
    """An image, an audio, a video or a document."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """The address of the file."""
        return _string(self, "url") or ""

    @property
    def caption(self) -> str | None:
        """The text below it."""
        return _string(self, "caption" if self.source == "platform" else "message")


class ImageMessage(MediaMessage):
    """An image."""

    __slots__ = ()


class AudioMessage(MediaMessage):
    """An audio."""

    __slots__ = ()


class VideoMessage(MediaMessage):
    """A video."""

    __slots__ = ()


class DocumentMessage(MediaMessage):
    """A document."""

    __slots__ = ()


class MultipleImagesMessage(Message):
    """Several images in one message (APIchat)."""

    __slots__ = ()

    @property
    def urls(self) -> list[Any]:
        """The addresses of the images."""
        return _list(self, "urls")

    @property
    def caption(self) -> str | None:
        """The text below them."""
        return _string(self, "message")


class LocationMessage(Message):
    """A place."""

    __slots__ = ()

    @property
    def latitude(self) -> float:
        """Degrees north."""
        degrees: float = find(self.data, self.raw, "latitude", is_number)
        return degrees

    @property
    def longitude(self) -> float:
        """Degrees east."""
        degrees: float = find(self.data, self.raw, "longitude", is_number)
        return degrees

    @property
    def address(self) -> str | None:
        """The place in words."""
        address = _string(self, "address")
        return _string(self, "message") if address is None and self.source == "apichat" else address


class DialogMessage(Message):
    """A question with buttons: `buttons[i]` leads to `payloads[i]`."""

    __slots__ = ()

    @property
    def title(self) -> str | None:
        """The question."""
        return _string(self, "title") or _string(self, "message")

    @property
    def buttons(self) -> list[Any]:
        """The buttons' labels."""
        return _list(self, "buttons")

    @property
    def payloads(self) -> list[Any]:
        """The buttons' targets, such as `$0`."""
        return _list(self, "payloads")

    @property
    def urls(self) -> list[Any]:
        """The addresses that buttons open; None for those that open none."""
        return _list(self, "urls")

    @property
    def attachments(self) -> list[Any]:
        """The attachments."""
        return _list(self, "attachments")


class MediaDialogMessage(DialogMessage):
    """A question with buttons below an image or another medium (APIchat)."""

    __slots__ = ()

    @property
    def url(self) -> str | None:
        """The address of the medium."""
        return _string(self, "url")


class CardTemplateMessage(Message):
    """A WhatsApp template that was sent. Its type is not known for sure, so it is recognized by its content."""

    __slots__ = ()

    @property
    def title(self) -> str | None:
        """The text above it."""
        return _string(self, "title")

    @property
    def text(self) -> str:
        """Its body."""
        return _string(self, "body") or ""

    @property
    def footer(self) -> str | None:
        """The text below it."""
        return _string(self, "footer")

    @property
    def image(self) -> str | None:
        """The address of its picture."""
        return _string(self, "image")

    @property
    def buttons(self) -> list[Any]:
        """Its buttons, as they came: objects."""
        return _list(self, "buttons")


class IframeMessage(Message):
    """A page that is shown in the conversation."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """The page's address."""
        return _string(self, "url") or ""


class EventMessage(Message):
    """Something that happened to the conversation, such as `assign`; its sender is `sys`.

    Programs have found its parts on the message itself, in `data`, in `_raw`, and in or as `_raw.message`: they are
    looked for in this order.
    """

    __slots__ = ()

    @property
    def action(self) -> str | None:
        """The action: `assign`, `unassign` and perhaps others."""
        return next((each for place in self._places() if type(each := place.get("action")) is str), None)

    @property
    def agent_id(self) -> int | None:
        """The agent it was about."""
        found = [whole_number(place.get("agent_id")) for place in self._places()]
        return next((each for each in (*found, whole_number(self.raw.get("message"))) if each is not None), None)

    def _places(self) -> list[dict[str, Any]]:
        places = [self.envelope["messages"][self.position], self.data, self.raw, self.raw.get("message")]
        return [each for each in places if type(each) is dict]


# Reading a content


def words(source: Source, data: dict[str, Any], raw: dict[str, Any]) -> str | None:
    """Return the words of a text or a button: the `body`, else Landbot's own record of them (APIchat: `message`)."""
    if source == "apichat":
        said: str | None = find(data, raw, "message", is_string)
        return said
    body: str | None = find(data, raw, "body", is_string)
    recorded: object = raw.get("message")
    return recorded if body is None and is_string(recorded) else body


def find(data: dict[str, Any], raw: dict[str, Any], name: str, fits: Callable[[object], bool]) -> Any:
    """Return the first value of this name that fits: in `data`, else in `_raw`, else None."""
    value = data.get(name)
    if fits(value):
        return value
    value = raw.get(name)
    return value if fits(value) else None


def is_string(value: object) -> TypeGuard[str]:
    """Return True for a string."""
    return type(value) is str


def is_number(value: object) -> TypeGuard[int | float]:
    """Return True for a number that is finite."""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return True for a list."""
    return type(value) is list


def whole_number(value: object) -> int | None:
    """Return an id: a whole number, also one that was made a string or a float; None for anything else."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if type(value) is str and len(value) < _LONG and _DIGITS.fullmatch(value):
        return int(value)
    return None


_DIGITS: Final = re.compile(r"\s*-?[0-9]+\s*")
_LONG: Final = 30
_EXACT: Final = 2**53


def _string(message: Message, name: str) -> str | None:
    found: str | None = find(message.data, message.raw, name, is_string)
    return found


def _list(message: Message, name: str) -> list[Any]:
    found: list[Any] | None = find(message.data, message.raw, name, is_list)
    return [] if found is None else found
