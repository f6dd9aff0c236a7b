"""Reads a delivery: pure functions from a body and its headers to messages.

What can be understood is read. Required are a customer (an id; on APIchat a token is enough) and a message; everything
else is read as far as it is as known, and `.envelope` has all of it as it came. If a key occurs twice in an object, the
last one counts, as with every JSON reader.

The two envelopes are told apart by what the first message holds (a message hook's has `customer`, `sender`, `data` or
`_raw`) and by what is beside it (APIchat's `customer` or `agent`). If both or neither is there, the caller's choice
decides.

Source: dev.landbot.io, "Message hooks" and "APIchat".

Reasons: docs/decisions.md, "Required parts" and "Two envelopes".
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import attrs

from landbot_async._core.converter import read_model
from landbot_async._core.decoding import LENIENT, DecodeError, kind_of
from landbot_async._core.errors import WebhookAuthenticationError, WebhookPayloadError
from landbot_async._core.log import log

from .authentication import Tokens
from .body import decode
from .delivery import Delivery, Headers, customer_key, read_headers
from .message_types import class_of
from .messages import (
    Message,
    MessageChannel,
    MessageCustomer,
    MessageSender,
    Source,
    find,
    is_string,
    whole_number,
)

M = TypeVar("M")

_Content = dict[str, Any]


# Messages in one body, at most. Landbot's own documents have five.
MOST_MESSAGES: Final = 100
# Landbot's own word for a customer in `_raw.author_type`.
_SPEAKERS: Final[Mapping[str, str]] = {"user": "customer"}
_REFUSED: Final = "The delivery does not carry the hook's token. Answer 401, and check the token that the hook has."
_NAMES: Final[Mapping[Source, str]] = {"platform": "a message hook", "apichat": "APIchat"}
_READERS: Final[Mapping[Source, tuple[str, str]]] = {
    "platform": ("parse", "parse_all"),
    "apichat": ("parse_apichat", "parse_all_apichat"),
}


# What users call


def parse(body: bytes | bytearray, headers: Headers, *, token: str | Collection[str] | None) -> Message:
    """Read what a message hook of the Platform API posted.

    Args:
        body: the request's body, as it came.
        headers: the request's headers; the case of their names does not matter.
        token: the hook's token, or several while it is changed; None for a hook without one, which must be said.

    Returns:
        The message, of the class of its type.

    Raises:
        WebhookAuthenticationError: the token is missing or wrong. Answer 401, and nothing else.
        WebhookPayloadError: the body has no message or no customer in it, or several messages (see `parse_all`).
            Answer 400.
        ConfigurationError: the token passed in cannot be right.
        TypeError: `headers` is not a mapping.

    Source: dev.landbot.io, "Message hooks".
    """
    try:
        delivery_id = _authenticated(headers, token)
    finally:
        headers, token = {}, None  # no frame of a traceback shows them
    return _only(read_all("platform", body, delivery_id, time.time()))


def parse_all(body: bytes | bytearray, headers: Headers, *, token: str | Collection[str] | None) -> list[Message]:
    """Read what a message hook of the Platform API posted, if a body may hold several messages.

    Landbot documents exactly one in each body. A message that cannot be read among others is left out, with a line in
    the log.

    Args:
        body: the request's body, as it came.
        headers: the request's headers; the case of their names does not matter.
        token: the hook's token, or several while it is changed; None for a hook without one, which must be said.

    Returns:
        The messages in their order, at least one.

    Raises:
        WebhookAuthenticationError: the token is missing or wrong. Answer 401, and nothing else.
        WebhookPayloadError: there is no message that can be read. Answer 400.
        ConfigurationError: the token passed in cannot be right.
        TypeError: `headers` is not a mapping.

    Source: dev.landbot.io, "Message hooks".
    """
    try:
        delivery_id = _authenticated(headers, token)
    finally:
        headers, token = {}, None  # no frame of a traceback shows them
    return read_all("platform", body, delivery_id, time.time())


def parse_apichat(body: bytes | bytearray, headers: Headers) -> Message:
    """Read what APIchat posted: what a bot or an agent says to a customer of a channel of type APIchat.

    Nothing proves who posted it: APIchat sends no token, so nobody must be able to guess the URL.

    Args:
        body: the request's body, as it came.
        headers: the request's headers; the case of their names does not matter.

    Returns:
        The message, of the class of its type.

    Raises:
        WebhookPayloadError: the body has no message or no customer in it, or several messages (see
            `parse_all_apichat`). Answer 200 all the same: APIchat delivers again after any other status.
        TypeError: `headers` is not a mapping.

    Source: dev.landbot.io, "APIchat".
    """
    try:
        _, delivery_id = read_headers(headers)
    finally:
        headers = {}  # no frame of a traceback shows them
    return _only(read_all("apichat", body, delivery_id, time.time()))


def parse_all_apichat(body: bytes | bytearray, headers: Headers) -> list[Message]:
    """Read what APIchat posted, if a body may hold several messages.

    A message that cannot be read among others is left out, with a line in the log.

    Args:
        body: the request's body, as it came.
        headers: the request's headers; the case of their names does not matter.

    Returns:
        The messages in their order, at least one.

    Raises:
        WebhookPayloadError: there is no message that can be read. Answer 200 all the same: APIchat delivers again after
            any other status.
        TypeError: `headers` is not a mapping.

    Source: dev.landbot.io, "APIchat".
    """
    try:
        _, delivery_id = read_headers(headers)
    finally:
        headers = {}  # no frame of a traceback shows them
    return read_all("apichat", body, delivery_id, time.time())


def _authenticated(headers: Headers, token: str | Collection[str] | None) -> str | None:
    try:
        (authorization, delivery_id), tokens = read_headers(headers), None if token is None else Tokens(token)
    finally:
        headers, token = {}, None
    if tokens is not None and not tokens.match(authorization):
        raise WebhookAuthenticationError(_REFUSED)
    return delivery_id


def _only(messages: list[Message]) -> Message:
    if len(messages) == 1:
        return messages[0]
    one, several = _READERS[messages[0].source]
    types = ", ".join(each.type if each.type.isidentifier() and len(each.type) < _LONG else "?" for each in messages)
    raise WebhookPayloadError(
        f"The delivery holds {len(messages)} messages ({types}), and {one} reads one: call {several}."
    )


# Reading messages


def read_all(source: Source, body: bytes | bytearray, delivery_id: str | None, arrived_at: float) -> list[Message]:
    """Read a body whose sender is known to be right.

    Raises:
        WebhookPayloadError: there is no message of this source in it that can be read.
    """
    try:
        return _read_all(source, decode(body), delivery_id, arrived_at)
    except DecodeError as unreadable:
        raise _payload_error(source, unreadable) from None


def _payload_error(source: Source, unreadable: DecodeError) -> WebhookPayloadError:
    return WebhookPayloadError(f"The delivery is no message of {_NAMES[source]}: {unreadable}.")


def _read_all(source: Source, body: _Content, delivery_id: str | None, arrived_at: float) -> list[Message]:
    found = _messages(body)
    _check_envelope(source, body, found)
    read = _read_platform if source == "platform" else _read_apichat
    messages, faults = list[Message](), list[DecodeError]()
    for position in range(len(found)):
        try:
            messages.append(read(body, position, delivery_id, arrived_at))
        except DecodeError as unreadable:
            faults.append(unreadable)
    if not messages:
        raise faults[0]
    for fault in faults:
        log.warning("a message among %d in a delivery is left out: %s", len(found), fault)
    return messages


def _messages(body: _Content) -> list[Any]:
    messages = body.get("messages")
    if type(messages) is not list:
        raise DecodeError("$.messages", f"is {_received(body, 'messages')} instead of an array")
    if not 1 <= len(messages) <= MOST_MESSAGES:
        raise DecodeError("$.messages", f"holds {len(messages)} messages instead of one (or {MOST_MESSAGES} at most)")
    return messages


def _check_envelope(source: Source, body: _Content, messages: list[Any]) -> None:
    """Raise `DecodeError` if it is the other source's envelope and cannot be this one's."""
    of_apichat = not _APICHAT_KEYS.isdisjoint(body)
    if of_apichat == (source == "apichat"):
        return
    of_hook = any(type(each) is dict and not _HOOK.isdisjoint(each) for each in messages)
    if of_apichat and not of_hook:
        raise DecodeError("", "is the envelope of APIchat, which parse_apichat reads")
    if of_hook and not of_apichat:
        raise DecodeError("", "is the envelope of a message hook, which parse reads")


_HOOK: Final = frozenset(("customer", "sender", "data", "_raw"))
_APICHAT_KEYS: Final = frozenset(("customer", "agent"))


def _read_platform(body: _Content, position: int, delivery_id: str | None, arrived_at: float) -> Message:
    message, where = _message(body, position)
    data, raw = _object(message, "data"), _object(message, "_raw")
    customer = _customer(message, f"{where}.customer", token_is_enough=False)
    uuid, delivery_id = raw.get("uuid"), _numbered(delivery_id, position)
    timestamp, at = _time((message, raw), arrived_at)
    type_ = find(message, raw, "type", is_string) or ""
    return class_of("platform", type_, data, raw)(
        uuid if type(uuid) is str and uuid else delivery_id,
        type_,
        at,
        timestamp,
        customer,
        _channel(message, raw),
        _sender(message, raw),
        data,
        raw,
        body,
        delivery_id,
        "platform",
        position=position,
    )


def _read_apichat(body: _Content, position: int, delivery_id: str | None, arrived_at: float) -> Message:
    message, _ = _message(body, position)
    customer = _customer(body, "$.customer", token_is_enough=True)
    delivery_id = _numbered(delivery_id, position)
    timestamp, at = _time((message,), arrived_at)
    type_ = find(message, {}, "type", is_string) or ""
    return class_of("apichat", type_, message, {})(
        delivery_id,
        type_,
        at,
        timestamp,
        customer,
        _part(body, "channel", MessageChannel),
        _part(body, "agent", MessageSender),
        message,
        {},
        body,
        delivery_id,
        "apichat",
        position=position,
    )


def _message(body: _Content, position: int) -> tuple[_Content, str]:
    message, where = body["messages"][position], f"$.messages[{position}]"
    if type(message) is not dict:
        raise DecodeError(where, f"is {kind_of(message)} instead of an object")
    return message, where


def _customer(holder: _Content, where: str, *, token_is_enough: bool) -> MessageCustomer:
    value = holder.get("customer")
    if type(value) is not dict:
        raise DecodeError(where, f"is {_received(holder, 'customer')} instead of an object")
    customer = _part(holder, "customer", MessageCustomer)
    if customer.id is None and not (token_is_enough and customer.token):
        raise DecodeError(f"{where}.id", f"is {_received(value, 'id')} instead of a whole number")
    return customer


def _channel(message: _Content, raw: _Content) -> MessageChannel:
    channel = _part(message, "channel", MessageChannel)
    return attrs.evolve(channel, id=whole_number(raw.get("channel"))) if channel.id is None else channel


def _sender(message: _Content, raw: _Content) -> MessageSender:
    sender = _part(message, "sender", MessageSender)
    if sender.type and sender.type not in _SPEAKERS:
        return sender
    spoken = sender.type or find({}, raw, "author_type", is_string)
    speaker = _SPEAKERS.get(spoken, spoken)
    return attrs.evolve(sender, type=speaker)


def _part(holder: _Content, name: str, model: type[M]) -> M:
    """Read a part as far as it goes. An id may have been made a string."""
    value = holder.get(name)
    if type(value) is not dict:
        return model()
    for key in ("id", "agent_id"):
        id_ = value.get(key)
        if id_ is not None and type(id_) is not int and (whole := whole_number(id_)) is not None:
            value = {**value, key: whole}
    return read_model(value, model, LENIENT)


def _numbered(delivery_id: str | None, position: int) -> str | None:
    return f"{delivery_id}#{position}" if delivery_id is not None and position else delivery_id


def _time(places: tuple[_Content, ...], arrived_at: float) -> tuple[int | float, datetime]:
    """Return the first time that there is, in Unix seconds and in UTC; else the time of arrival."""
    for place in places:
        timestamp = place.get("timestamp")
        if type(timestamp) is str and len(timestamp) < _LONG and _SECONDS.fullmatch(timestamp):
            timestamp = float(timestamp) if "." in timestamp else int(timestamp)
        if type(timestamp) is float or type(timestamp) is int:
            try:
                return timestamp, datetime.fromtimestamp(timestamp, UTC)
            except (ValueError, OverflowError, OSError):
                continue
    return arrived_at, datetime.fromtimestamp(arrived_at, UTC)


_SECONDS: Final = re.compile(r"\s*[0-9]+(\.[0-9]+)?\s*")
_LONG: Final = 40


def _object(message: _Content, name: str) -> _Content:
    value = message.get(name)
    return value if type(value) is dict else {}


def _received(holder: _Content, name: str) -> str:
    return kind_of(holder[name]) if name in holder else "missing"


# Reading only what has to be known before a message's turn comes


def read_deliveries(
    source: Source, body: bytes | bytearray, delivery_id: str | None, arrived_at: float
) -> list[Delivery]:
    """Return a delivery for each message in a body whose sender is known to be right.

    Raises:
        WebhookPayloadError: `read_all` would raise it.
    """
    try:
        decoded = decode(body)
        usual = _usual(decoded, body, delivery_id) if source == "platform" else None
        if usual is not None:
            return [usual]
        messages = _read_all(source, decoded, delivery_id, arrived_at)
    except DecodeError as unreadable:
        raise _payload_error(source, unreadable) from None
    if len(decoded["messages"]) == 1:
        return [_delivery(messages[0], bytes(body))]
    return [_delivery(each, _alone(each)) for each in messages]


def read_delivery(source: Source, delivery: Delivery) -> Message:
    """Read the message of a delivery that `read_deliveries` has returned.

    Raises:
        WebhookPayloadError: it cannot be read.
    """
    try:
        body = decode(delivery.body)
        _messages(body)
        read = _read_platform if source == "platform" else _read_apichat
        return read(body, 0, delivery.id, delivery.timestamp)
    except DecodeError as unreadable:
        raise _payload_error(source, unreadable) from None


def _delivery(message: Message, body: bytes) -> Delivery:
    uuid = message.raw.get("uuid")
    return Delivery(
        body,
        message.delivery_id,
        uuid if type(uuid) is str else None,
        message.sender.type,
        customer_key(message.customer.id, message.customer.token),
        message.timestamp,
        message.seq or 0,
    )


def _alone(message: Message) -> bytes:
    """Return the body of one message among several, as if it had come alone."""
    own = message.envelope["messages"][message.position]
    return json.dumps({**message.envelope, "messages": [own]}).encode()


def _usual(body: _Content, as_it_came: bytes | bytearray, delivery_id: str | None) -> Delivery | None:
    """Return the delivery of a hook in the documented shape. Any other shape needs a full reading: None."""
    messages = body.get("messages")
    if type(messages) is not list or len(messages) != 1 or type(messages[0]) is not dict or "customer" in body:
        return None
    get = messages[0].get
    sender: Any = get("sender")
    customer: Any = get("customer")
    raw: Any = get("_raw")
    timestamp: Any = get("timestamp")
    if not type(sender) is type(customer) is type(raw) is dict or type(customer.get("id")) is not int:
        return None
    if (type(timestamp) is not float and type(timestamp) is not int) or not 0 <= timestamp < _YEAR_5138:
        return None
    speaker: Any = sender.get("type")
    if type(speaker) is not str or speaker in _SPEAKERS:
        return None
    uuid: Any = raw.get("uuid")
    seq: Any = raw.get("seq")
    return Delivery(
        bytes(as_it_came),
        delivery_id,
        uuid if type(uuid) is str else None,
        speaker,
        customer["id"],
        timestamp,
        seq if type(seq) is int else 0,
    )


_YEAR_5138: Final = 100_000_000_000
