"""Reading a delivery: pure functions from a body and its headers to a message.

What is required is the envelope: one message with a type and a time, whose it is, on which channel and, on the
Platform, who wrote it. Everything else is read as far as it is as known, and is in `.envelope` as it came. A key that
stands twice in one object counts the last time, as with every reader of JSON.

The two envelopes are told apart by where the customer is and by the channel's type, which APIchat leaves out.

Source: dev.landbot.io, "Message hooks" and "APIchat".
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from landbot_async._core.converter import read_model
from landbot_async._core.decoding import LENIENT, DecodeError, kind_of
from landbot_async._core.errors import WebhookAuthenticationError, WebhookPayloadError

from .authentication import Tokens, digest
from .messages import (
    AudioMessage,
    ButtonMessage,
    CardTemplateMessage,
    DialogMessage,
    DocumentMessage,
    EventMessage,
    IframeMessage,
    ImageMessage,
    LocationMessage,
    MediaDialogMessage,
    Message,
    MessageChannel,
    MessageCustomer,
    MessageSender,
    Source,
    TextMessage,
    UnknownMessage,
    VideoMessage,
)

M = TypeVar("M")

_NUMBER: Final = (int, float)
_STRING: Final = (str,)


class _Kind(NamedTuple):
    """A type of message: its class, and what its content must hold to be that."""

    cls: type[Message]
    needs: tuple[tuple[str, tuple[type, ...]], ...] = ()


_URL: Final = (("url", _STRING),)
_PLATFORM: Final[Mapping[str, _Kind]] = {
    "text": _Kind(TextMessage, (("body", _STRING),)),
    "button": _Kind(ButtonMessage, (("body", _STRING),)),
    "image": _Kind(ImageMessage, _URL),
    "audio": _Kind(AudioMessage, _URL),
    "video": _Kind(VideoMessage, _URL),
    "document": _Kind(DocumentMessage, _URL),
    "location": _Kind(LocationMessage, (("latitude", _NUMBER), ("longitude", _NUMBER))),
    "dialog": _Kind(DialogMessage),
    "iframe": _Kind(IframeMessage, _URL),
    "event": _Kind(EventMessage),
}
_APICHAT: Final[Mapping[str, _Kind]] = {
    "text": _Kind(TextMessage, (("message", _STRING),)),
    "image": _Kind(ImageMessage, _URL),
    "dialog": _Kind(DialogMessage),
    "media_dialog": _Kind(MediaDialogMessage),
}
# Told by its content, because its type is not known: nothing else has a body and buttons that are objects.
_CARD: Final = _Kind(CardTemplateMessage, (("body", _STRING),))
_UNKNOWN: Final = _Kind(UnknownMessage)


Headers: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes]
"""Those of a request, as any framework has them."""


class Delivered:
    """What the headers of a delivery say. Its authorization is a digest, so that nothing can show a token."""

    __slots__ = ("authorization", "delivery_id")

    def __init__(self, authorization: bytes | None, delivery_id: str | None) -> None:
        self.authorization: bytes = digest(authorization or b"")
        self.delivery_id: str | None = delivery_id


def parse(body: bytes | bytearray, headers: Headers, *, token: str | Collection[str] | None) -> Message:
    """Read what a message hook of the Platform API posted.

    Args:
        body: the request's body, as it came.
        headers: the request's headers; the case of their names does not matter.
        token: the hook's token, or several while it is changed; None for a hook that has none, which must be said.

    Returns:
        The message, of the class of its type.

    Raises:
        WebhookAuthenticationError: the token is not there or not the one: answer 401, and nothing else.
        WebhookPayloadError: the body is no delivery of a message hook: answer 400.
        ConfigurationError: the token given cannot be one.
        TypeError: `headers` is no mapping.

    Source: dev.landbot.io, "Message hooks".
    """
    try:
        delivered, tokens = delivered_by(headers), None if token is None else Tokens(token)
    finally:
        # No frame of a traceback shows them.
        headers, token = {}, None
    if tokens is not None and not tokens.match(delivered.authorization):
        raise WebhookAuthenticationError(_REFUSED)
    return read("platform", body, delivered.delivery_id)


def parse_apichat(body: bytes | bytearray, headers: Headers) -> Message:
    """Read what APIchat posted: what a bot or an agent says to a customer of a channel of type APIchat.

    Nothing proves who posted it: APIchat sends no token, so the URL has to be one that nobody guesses.

    Args:
        body: the request's body, as it came.
        headers: the request's headers; the case of their names does not matter.

    Returns:
        The message, of the class of its type.

    Raises:
        WebhookPayloadError: the body is no delivery of APIchat's. Answer 200 all the same: it delivers again whatever
            gets another status.
        TypeError: `headers` is no mapping.

    Source: dev.landbot.io, "APIchat".
    """
    try:
        delivered = delivered_by(headers)
    finally:
        headers = {}
    return read("apichat", body, delivered.delivery_id)


_REFUSED: Final = "The delivery does not carry the hook's token. Answer 401, and check the token that the hook has."


def delivered_by(headers: Headers) -> Delivered:
    """What the headers say. One that comes twice says nothing."""
    kind, items = type(headers).__name__, getattr(headers, "items", None)
    headers = {}
    if items is None:
        raise TypeError(f"headers must be a mapping of names to values, not {kind}")
    found: dict[str, str] = {}
    for name, value in items():
        known = _text(name).lower()
        if known in _TELLING:
            found[known] = "" if known in found else _text(value)
    return Delivered(_wire(found.get("authorization", "")), found.get("sentry-trace") or None)


_TELLING: Final = frozenset(("authorization", "sentry-trace"))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else ""


def _wire(value: str) -> bytes:
    """A header's value as it was on the wire, which most frameworks decode as Latin-1, and aiohttp as UTF-8."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def read(source: Source, body: bytes | bytearray, delivery_id: str | None) -> Message:
    """Read a body whose sender is known to be right.

    Raises:
        WebhookPayloadError: it is no delivery of this source.
    """
    try:
        return _READERS[source](_decoded(body), delivery_id)
    except DecodeError as unreadable:
        raise WebhookPayloadError(f"The delivery is no message of {_NAMES[source]}: {unreadable}.") from None


class Sealed(NamedTuple):
    """A delivery that can be read, and what has to be known before its message's turn comes.

    What waits is this and not the message: it is a fifth of the size, and nothing that the garbage collector follows.
    """

    body: bytes
    delivery_id: str | None
    uuid: str | None
    sender: str | None
    customer: int
    timestamp: int | float
    seq: int


def look(source: Source, body: bytes | bytearray, delivery_id: str | None) -> Sealed:
    """Look into a body whose sender is known to be right, without making a message of it.

    Raises:
        WebhookPayloadError: `read` would raise it.
    """
    try:
        decoded = _decoded(body)
        seen = _usual(decoded) if source == "platform" else None
        if seen is None:
            message = _READERS[source](decoded, delivery_id)
            uuid = message.raw.get("uuid")
            seen = (
                uuid if type(uuid) is str else None,
                message.sender.type,
                message.customer.id,
                message.timestamp,
                message.seq or 0,
            )
    except DecodeError as unreadable:
        raise WebhookPayloadError(f"The delivery is no message of {_NAMES[source]}: {unreadable}.") from None
    return Sealed(bytes(body), delivery_id, *seen)


def _usual(body: dict[str, Any]) -> tuple[str | None, str | None, int, int | float, int] | None:
    """What a hook's delivery as documented shows at once; None where it takes a reading to tell."""
    messages = body.get("messages")
    if type(messages) is not list or len(messages) != 1 or type(messages[0]) is not dict or "customer" in body:
        return None
    get = messages[0].get
    sender: Any = get("sender")
    channel: Any = get("channel")
    customer: Any = get("customer")
    raw: Any = get("_raw")
    timestamp: Any = get("timestamp")
    if not type(sender) is type(channel) is type(customer) is type(raw) is type(get("data")) is dict:
        return None
    if not type(get("type")) is type(sender.get("type")) is type(channel.get("type")) is str:
        return None
    if not type(channel.get("id")) is type(customer.get("id")) is int:
        return None
    if type(timestamp) not in _NUMBER or not 0 <= timestamp < _YEAR_5138:
        return None
    uuid: Any = raw.get("uuid")
    seq: Any = raw.get("seq")
    known, place = uuid if type(uuid) is str else None, seq if type(seq) is int else 0
    return known, sender["type"], customer["id"], timestamp, place


_YEAR_5138: Final = 100_000_000_000


def _decoded(body: bytes | bytearray) -> dict[str, Any]:
    if not isinstance(body, bytes | bytearray):
        raise DecodeError("", f"is a Python {type(body).__name__} instead of bytes: pass the body as it came")
    try:
        value = json.loads(body.decode())
    except UnicodeDecodeError:
        raise DecodeError("", "is not UTF-8") from None
    except json.JSONDecodeError:
        raise DecodeError("", "is not JSON" if body.strip() else "is empty") from None
    except ValueError:
        raise DecodeError("", "has a number of more digits than Python reads") from None
    except RecursionError:
        raise DecodeError("", "is nested too deep to be read") from None
    if type(value) is not dict:
        raise DecodeError("", f"is {kind_of(value)} instead of an object")
    return value


def _read_platform(body: dict[str, Any], delivery_id: str | None) -> Message:
    message = _message(body)
    if "customer" in body and "customer" not in message:
        raise DecodeError("", "is the envelope of APIchat, which parse_apichat reads")
    sender = _part(message, "sender", MessageSender, _WHERE)
    if sender.type is None:
        raise DecodeError(f"{_WHERE}.sender.type", f"is {_received(message['sender'], 'type')} instead of a string")
    channel = _part(message, "channel", MessageChannel, _WHERE)
    if channel.type is None:
        raise DecodeError(f"{_WHERE}.channel.type", f"is {_received(message['channel'], 'type')} instead of a string")
    raw = _object(message, "_raw")
    data = _object(message, "data")
    uuid = raw.get("uuid")
    return _class(_PLATFORM, message["type"], data)(
        uuid if type(uuid) is str and uuid else delivery_id,
        message["type"],
        _time(message),
        message["timestamp"],
        _part(message, "customer", MessageCustomer, _WHERE),
        channel,
        sender,
        data,
        raw,
        body,
        delivery_id,
        "platform",
    )


def _read_apichat(body: dict[str, Any], delivery_id: str | None) -> Message:
    message = _message(body)
    if type(message.get("customer")) is dict:
        raise DecodeError("", "is the envelope of a message hook, which parse reads")
    channel = _part(body, "channel", MessageChannel, "$")
    if body["channel"].get("type") is not None:
        raise DecodeError("$.channel.type", "is there, which only message hooks have")
    return _class(_APICHAT, message["type"], message)(
        delivery_id,
        message["type"],
        _time(message),
        message["timestamp"],
        _part(body, "customer", MessageCustomer, "$"),
        channel,
        MessageSender() if body.get("agent") is None else _part(body, "agent", MessageSender, "$"),
        message,
        {},
        body,
        delivery_id,
        "apichat",
    )


_READERS: Final[Mapping[Source, Callable[[dict[str, Any], str | None], Message]]] = {
    "platform": _read_platform,
    "apichat": _read_apichat,
}
_NAMES: Final[Mapping[Source, str]] = {"platform": "a message hook", "apichat": "APIchat"}
_WHERE: Final = "$.messages[0]"


def _message(body: dict[str, Any]) -> dict[str, Any]:
    """The one message that a delivery holds."""
    messages = body.get("messages")
    if type(messages) is not list:
        raise DecodeError("$.messages", f"is {_received(body, 'messages')} instead of an array")
    if len(messages) != 1:
        raise DecodeError("$.messages", f"holds {len(messages)} messages instead of one")
    message = messages[0]
    if type(message) is not dict:
        raise DecodeError(_WHERE, f"is {kind_of(message)} instead of an object")
    if type(message.get("type")) is not str:
        raise DecodeError(f"{_WHERE}.type", f"is {_received(message, 'type')} instead of a string")
    return message


def _time(message: dict[str, Any]) -> datetime:
    timestamp: Any = message.get("timestamp")
    if type(timestamp) not in _NUMBER:
        raise DecodeError(f"{_WHERE}.timestamp", f"is {_received(message, 'timestamp')} instead of Unix seconds")
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        raise DecodeError(f"{_WHERE}.timestamp", "is no time that there is in Unix seconds") from None


def _part(holder: dict[str, Any], name: str, model: type[M], where: str) -> M:
    if name not in holder:
        raise DecodeError(f"{where}.{name}", "is missing instead of an object")
    try:
        return read_model(holder[name], model, LENIENT)
    except DecodeError as unreadable:
        raise unreadable.under(f"{where}.{name}") from None


def _object(message: dict[str, Any], name: str) -> dict[str, Any]:
    value = message.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        raise DecodeError(f"{_WHERE}.{name}", f"is {kind_of(value)} instead of an object")
    return value


def _received(holder: dict[str, Any], name: str) -> str:
    return kind_of(holder[name]) if name in holder else "missing"


def _class(known: Mapping[str, _Kind], type_: str, content: dict[str, Any]) -> type[Message]:
    kind = known.get(type_)
    if kind is None:
        kind = _CARD if known is _PLATFORM and _is_card(content) else _UNKNOWN
    for name, types in kind.needs:
        value = content.get(name)
        if type(value) not in types or (type(value) is float and not math.isfinite(value)):
            return UnknownMessage
    return kind.cls


def _is_card(content: dict[str, Any]) -> bool:
    buttons = content.get("buttons")
    if type(buttons) is not list or not (buttons or "footer" in content):
        return False
    return all(type(button) is dict for button in buttons)
