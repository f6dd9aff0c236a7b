"""Pure functions from the bytes of a response to the result of a call, or to what is wrong with them.

Anything in front of the API may send HTML or plain text with any status, so no body is trusted to be JSON, to be an
object, or to be of a sensible size or depth.

Source: dev.landbot.io, "Responses" and "Errors".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from .decoding import DecodeError, Decoding, kind_of
from .http import Response
from .routes import Route

T = TypeVar("T")

# Bytes of an error's body that are parsed. Landbot's have some hundred; parsing 20 MB would stop the event loop for a
# second.
MOST_PARSED: Final = 1_000_000
# Bytes that an error keeps of a body that is larger than that.
MOST_KEPT: Final = 64 * 1024
# Levels of nesting. pickle, copy and json meet Python's recursion limit somewhat beyond that.
DEEPEST: Final = 200
_NESTING: Final = (dict, list)
_BRACKETS: Final = ((b"[", b"{"), (b"]", b"}"))
# Bytes in which brackets are counted together.
_STRETCH: Final = 4096
# Messages that an error lists by field.
_MOST_MESSAGES: Final = 1000
# Characters of Landbot's text that an error repeats, and of the text that they are looked for in.
_DETAIL: Final = 500
_LOOKED_AT: Final = 10_000


Reader: TypeAlias = Callable[[Response, Route, Decoding], T]
"""Turns a response into the result of the call, or raises `DecodeError`."""


def accepted(response: Response, _route: Route, _decoding: Decoding) -> None:
    """Read the response to a state change, a send or a delete.

    It is an empty 2xx, or a JSON object that does not say `"success": false`.
    """
    if response.body.strip():
        envelope(response)


def anything(response: Response, _route: Route, _decoding: Decoding) -> Any:
    """Return the JSON of a response to `request()`, or None for an empty body."""
    if not response.body.strip():
        return None
    value = _json(response.body)
    return _successful(value) if isinstance(value, dict) else value


def complaint(response: Response) -> tuple[dict[str, tuple[str, ...]], str, Any]:
    """Return the content of an error response: messages by field, the text for people, and the body.

    Landbot's shapes are `{"errors": {field: [message]}}`, `{"detail": message}` and (APIchat) `{"error": message}`. The
    text is whole, so that secrets can be masked in it; `one_line` makes it fit for an error. The body is decoded JSON.
    If it cannot be decoded, has more than 1 MB, or is nested more than 200 levels deep, it is text.
    """
    if len(response.body) > MOST_PARSED:
        return _quoted(response.body[:MOST_KEPT])
    try:
        body = _json(response.body)
    except DecodeError:
        return _quoted(response.body)
    if isinstance(body, dict):
        return _messages_of(body)
    return {}, body if isinstance(body, str) else "", body


def body_of(response: Response) -> Any:
    """Return the body for an error to keep: decoded JSON, otherwise text, otherwise None."""
    return complaint(response)[2]


def envelope(response: Response) -> dict[str, Any]:
    """Return the JSON object that every response of Landbot is.

    Raises:
        DecodeError: it is no JSON object, or says that the request failed.
    """
    value = _json(response.body)
    if not isinstance(value, dict):
        raise DecodeError("$", f"is {kind_of(value)} instead of an object")
    return _successful(value)


def one_line(text: str) -> str:
    """Return the beginning of a text as one line: at most 500 characters, all of them printable."""
    printable = "".join(char if char.isprintable() else " " for char in text[:_LOOKED_AT])
    line = " ".join(printable.split())
    return line if len(line) <= _DETAIL else line[:_DETAIL] + "…"


def _successful(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("success") is False:
        raise DecodeError("$.success", f"is false: {_messages_of(value)[1].strip() or 'Landbot does not say why'}")
    return value


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        text = body[:200].decode("utf-8", "replace")
        if not text.strip():
            what = "is empty"
        elif _is_html(text):
            what = "is an HTML page instead of JSON"
        else:
            what = "is not JSON"
    else:
        if (
            len(body) <= 2 * DEEPEST  # in brackets alone
            or not _may_be_deeper_than(DEEPEST, body)
            or not _deeper_than(DEEPEST, value)
        ):
            return value
        what = f"is nested more than {DEEPEST} levels deep"
    raise DecodeError("$", what)


def _may_be_deeper_than(levels: int, body: bytes) -> bool:
    """Return False if brackets are nested no more than `levels` deep, by counting them in each stretch of the body.

    It takes a hundredth of the time of the exact answer. Only a string with many closing brackets, which no body of
    Landbot's has, could make it wrong.
    """
    depth = 0
    for start in range(0, len(body), _STRETCH):
        opened, closed = (sum(body.count(each, start, start + _STRETCH) for each in pair) for pair in _BRACKETS)
        if depth + opened > levels or depth < 0:
            return True
        depth += opened - closed
    return False


def _deeper_than(levels: int, value: object) -> bool:
    """Return True if lists and objects are nested more than `levels` deep, without recursion."""
    layer: list[Any] = [value] if isinstance(value, _NESTING) else []
    for _ in range(levels):
        # Exact types, because that takes a third of the time and json makes no others.
        layer = [
            child
            for each in layer
            for child in (each.values() if type(each) is dict else each)
            if type(child) is dict or type(child) is list
        ]
        if not layer:
            return False
    return bool(layer)


def _quoted(data: bytes) -> tuple[dict[str, tuple[str, ...]], str, str | None]:
    """Return the content of an error response that is no JSON, or is not parsed."""
    text = data.decode("utf-8", "replace")
    # A page says little in a line. What begins as JSON does may hold tokens of channels in clear.
    quotable = not text.lstrip().startswith(("<", "{", "["))
    return {}, text if quotable else "", text or None


def _messages_of(body: dict[str, Any]) -> tuple[dict[str, tuple[str, ...]], str, Any]:
    errors: dict[str, tuple[str, ...]] = {}
    left = _MOST_MESSAGES
    for field, value in _fields(body.get("errors")).items():
        if left <= 0:
            break
        errors[str(field)] = messages = _messages(value, left)
        left -= max(1, len(messages))
    said = [f"{field}: {' '.join(messages)}" for field, messages in errors.items()]
    said += [text for key in ("detail", "error", "message") for text in _messages(body.get(key), _MOST_MESSAGES)]
    return errors, "; ".join(said), body


def _fields(errors: object) -> Mapping[object, object]:
    if isinstance(errors, Mapping):
        return errors
    return {} if errors is None else {"errors": errors}


def _messages(value: object, most: int) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(_text(item) for item in items[:most] if item is not None)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        # The caller's own stack is nearly full.
        return "…"


def _is_html(text: str) -> bool:
    return text.lstrip().startswith("<")
