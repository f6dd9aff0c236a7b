"""Reading an answer: pure functions from its bytes to what the call returns, or to what it says went wrong.

Source: dev.landbot.io, "Responses" and "Errors". Anything in front of the API may answer HTML or plain text with
any status, so nothing here trusts a body to be JSON, let alone an object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from .decoding import DecodeError, Decoding, kind_of
from .http import Response
from .routes import Route

T = TypeVar("T")

# The longest text of Landbot's that an error repeats, and how much is looked at for it: a body may have 64 MB.
_DETAIL = 500
_LOOK = 20 * _DETAIL


Reader: TypeAlias = Callable[[Response, Route, Decoding], T]
"""Makes of an answer what the call returns, or raises `DecodeError`."""


def accepted(answer: Response, _route: Route, _way: Decoding) -> None:
    """For state changes, sends and deletes: an empty 2xx, or an object that does not say `"success": false`."""
    if answer.body.strip():
        envelope(answer)


def anything(answer: Response, _route: Route, _way: Decoding) -> Any:
    """For `request()`: whatever JSON it is, None for an empty body."""
    if not answer.body.strip():
        return None
    value = _json(answer)
    return _successful(answer, value) if isinstance(value, dict) else value


def complaint(answer: Response) -> tuple[dict[str, tuple[str, ...]], str, Any]:
    """Return the content of an error response: messages by field, one line of text, and the body as far as readable.

    Landbot's shapes are `{"errors": {field: [message]}}`, `{"detail": message}` and (APIchat) `{"error": message}`.
    """
    try:
        body = _json(answer)
    except DecodeError:
        body = answer.body.decode("utf-8", "replace") or None
    if not isinstance(body, dict):
        return {}, _line(body) if isinstance(body, str) and not _looks_like_html(body) else "", body
    errors = {str(field): _messages(value) for field, value in _fields(body.get("errors")).items()}
    said = [f"{field}: {' '.join(messages)}" for field, messages in errors.items()]
    said += [text for key in ("detail", "error", "message") for text in _messages(body.get(key))]
    return errors, _line("; ".join(said)), body


def body_of(answer: Response) -> Any:
    """Return the body for an error to carry: decoded JSON, otherwise text, otherwise None."""
    return complaint(answer)[2]


def envelope(answer: Response) -> dict[str, Any]:
    """Return the JSON object that every response of Landbot is."""
    value = _json(answer)
    if not isinstance(value, dict):
        raise DecodeError("$", f"is {kind_of(value)} instead of an object")
    return _successful(answer, value)


def _successful(answer: Response, value: dict[str, Any]) -> dict[str, Any]:
    if value.get("success") is False:
        raise DecodeError("$.success", f"is false: {complaint(answer)[1] or 'Landbot does not say why'}")
    return value


def _json(answer: Response) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        text = answer.body[:200].decode("utf-8", "replace")
        if not text.strip():
            what = "is empty"
        elif _looks_like_html(text):
            what = "is an HTML page instead of JSON"
        else:
            what = "is not JSON"
        raise DecodeError("$", what) from None


def _fields(errors: object) -> Mapping[object, object]:
    if isinstance(errors, Mapping):
        return errors
    return {} if errors is None else {"errors": errors}


def _messages(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(_text(item) for item in (value if isinstance(value, list) else [value]) if item is not None)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        # It could be read, but nested as deeply as that it says nothing to anybody.
        return "…"


def _line(text: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in text[:_LOOK])
    line = " ".join(printable.split())
    return line if len(line) <= _DETAIL else line[:_DETAIL] + "…"


def _looks_like_html(text: str) -> bool:
    return text.lstrip().startswith("<")
