"""What a delivery brings: a class for each known type of message, `UnknownMessage` for all others.

Nothing is lost: `.data` is a message's content as it came, `.raw` Landbot's own record of it, `.envelope` the whole
body. A message whose content is not what is known of its type is an `UnknownMessage` too, so `TextMessage.text` is
always a string.

Source: dev.landbot.io, "Message hooks" and "APIchat".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import attrs
from attrs import field, frozen

from landbot_async._core.record import Record
from landbot_async._core.secret import masked_repr, token_repr

Source: TypeAlias = Literal["platform", "apichat"]
"""Which API made the delivery."""
SenderType: TypeAlias = Literal["customer", "agent", "bot", "sys", "human"] | str
"""Who may have written: Landbot's own words (APIchat calls an agent `human`), and any other."""


def _extra() -> Any:
    return field(factory=dict, repr=masked_repr, hash=False)


def _absent() -> Any:
    return field(default=frozenset(), repr=False, eq=False, alias="_absent")


@frozen(eq=False, repr=False)
class MessageCustomer(Record):
    """The customer of the conversation, as the delivery shows them.

    `is_external` is a string (`"True"`), as Landbot sends it. `token` is there on APIchat: what you chose for them.
    """

    id: int
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    token: str | None = field(default=None, repr=token_repr)
    agent_id: int | None = None
    archived: bool | None = None
    country: str | None = None
    is_external: str | None = None
    url: str | None = None
    webchat_type: str | None = None
    register_date: datetime | None = None
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()

    @property
    def fields(self) -> dict[str, Any]:
        """The custom fields, by name: every key that is not Landbot's own. Landbot may have made strings of them."""
        return {name: value for name, value in self.extra.items() if name not in _CUSTOMER_KEYS}


_CUSTOMER_KEYS = frozenset(each.name for each in attrs.fields(MessageCustomer)) - {"extra", "_absent"}


@frozen(eq=False, repr=False)
class MessageChannel(Record):
    """The channel of the conversation. APIchat does not tell its type."""

    id: int
    name: str | None = None
    type: str | None = None
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()


@frozen(eq=False, repr=False)
class MessageSender(Record):
    """Who wrote the message: for APIchat its `agent`, which is a `bot` or a `human`."""

    id: int | None = None
    type: SenderType | None = None
    name: str | None = None
    email: str | None = None
    extra: Mapping[str, Any] = _extra()
    _absent: frozenset[str] = _absent()


@frozen(eq=False, repr=False)
class Message(Record):
    """A message of a conversation.

    Attributes:
        id: Landbot's uuid of the message; where it shows none (APIchat), the delivery's id; None if it has neither.
        type: Landbot's word for the kind of message.
        at: when it was written, UTC.
        timestamp: the same in Unix seconds, as it came.
        customer: whose conversation it is.
        channel: on which channel.
        sender: who wrote it.
        data: its content, as it came; for APIchat the message itself.
        raw: Landbot's own record of it (`_raw`), empty if there is none.
        envelope: the whole body of the delivery, decoded.
        delivery_id: what the `sentry-trace` header says: one for each message, the same when delivered again.
        source: `"platform"` or `"apichat"`.
        late: whether the inbox had handled a later message of this customer before.
        redelivered: whether it comes from a durable inbox that was stopped, and may have been handled before.
    """

    id: str | None
    type: str
    at: datetime
    timestamp: int | float
    customer: MessageCustomer
    channel: MessageChannel
    sender: MessageSender
    data: dict[str, Any] = field(repr=masked_repr, hash=False)
    raw: dict[str, Any] = field(repr=masked_repr, hash=False)
    envelope: dict[str, Any] = field(repr=False, eq=False)
    delivery_id: str | None
    source: Source
    late: bool = False
    redelivered: bool = False

    @property
    def seq(self) -> int | None:
        """What breaks ties between messages of the same time, if Landbot says it."""
        return _whole(self.raw.get("seq"))


class UnknownMessage(Message):
    """A message of a type, or with a content, that is not known: see `.type`, `.data` and `.raw`."""

    __slots__ = ()


class TextMessage(Message):
    """A text."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """What it says."""
        return _words(self)


class ButtonMessage(Message):
    """A button that the customer pressed."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The button's label."""
        return _words(self)

    @property
    def payload(self) -> str | None:
        """Where the button leads, such as `$0`."""
        return _text(self.data.get("payload"))


class MediaMessage(Message):
    """An image, a sound, a video or a document."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """Where the file is."""
        url: str = self.data["url"]
        return url

    @property
    def caption(self) -> str | None:
        """The text below it."""
        return _text(self.data.get("caption" if self.source == "platform" else "message"))


class ImageMessage(MediaMessage):
    """An image."""

    __slots__ = ()


class AudioMessage(MediaMessage):
    """A sound."""

    __slots__ = ()


class VideoMessage(MediaMessage):
    """A video."""

    __slots__ = ()


class DocumentMessage(MediaMessage):
    """A document."""

    __slots__ = ()


class LocationMessage(Message):
    """A place."""

    __slots__ = ()

    @property
    def latitude(self) -> float:
        """Degrees north."""
        degrees: float = self.data["latitude"]
        return degrees

    @property
    def longitude(self) -> float:
        """Degrees east."""
        degrees: float = self.data["longitude"]
        return degrees

    @property
    def address(self) -> str | None:
        """What is there, in words."""
        return _text(self.data.get("address")) or _text(self.raw.get("address"))


class DialogMessage(Message):
    """A question with buttons: `buttons[i]` leads to `payloads[i]`."""

    __slots__ = ()

    @property
    def title(self) -> str | None:
        """The question."""
        return _text(self.data.get("title")) or _text(self.data.get("message"))

    @property
    def buttons(self) -> list[Any]:
        """The buttons' labels."""
        return _list(self.data.get("buttons"))

    @property
    def payloads(self) -> list[Any]:
        """Where the buttons lead, such as `$0`."""
        return _list(self.data.get("payloads"))

    @property
    def urls(self) -> list[Any]:
        """The addresses that buttons open; None for those that open none."""
        return _list(self.data.get("urls"))

    @property
    def attachments(self) -> list[Any]:
        """What comes with it."""
        return _list(self.data.get("attachments"))


class MediaDialogMessage(DialogMessage):
    """A question with buttons below a medium (APIchat)."""

    __slots__ = ()

    @property
    def url(self) -> str | None:
        """Where the medium is."""
        return _text(self.data.get("url"))


class CardTemplateMessage(Message):
    """A WhatsApp template that was sent. Its type is not known for sure, so it is told by its content."""

    __slots__ = ()

    @property
    def title(self) -> str | None:
        """What stands above it."""
        return _text(self.data.get("title"))

    @property
    def text(self) -> str:
        """Its body."""
        return _words(self)

    @property
    def footer(self) -> str | None:
        """What stands below it."""
        return _text(self.data.get("footer"))

    @property
    def image(self) -> str | None:
        """Where its picture is."""
        return _text(self.data.get("image"))

    @property
    def buttons(self) -> list[Any]:
        """Its buttons, as they came: objects."""
        return _list(self.data.get("buttons"))


class IframeMessage(Message):
    """A page that is shown in the conversation."""

    __slots__ = ()

    @property
    def url(self) -> str:
        """The page's address."""
        url: str = self.data["url"]
        return url


class EventMessage(Message):
    """Something that happened to the conversation, such as `assign`; its sender is `sys`."""

    __slots__ = ()

    @property
    def action(self) -> str | None:
        """What happened: `assign`, `unassign` and perhaps more."""
        return _text(self.data.get("action")) or _text(self.raw.get("action"))

    @property
    def agent_id(self) -> int | None:
        """Which agent it was about."""
        own = _whole(self.data.get("agent_id"))
        return _whole(self.raw.get("agent_id")) if own is None else own


def _words(message: Message) -> str:
    words: str = message.data["body" if message.source == "platform" else "message"]
    return words


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
