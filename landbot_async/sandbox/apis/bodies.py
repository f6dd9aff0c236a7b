"""Bodies of requests, in JSON or as forms, and the checks of single values in them.

A value in a form is always a text, so a number or a flag in one is read from its text. In JSON it must be of its type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from landbot_async.sandbox.workspace.records import Json, RefusedError

from .base import SandboxRequest

# Fields that a form may have.
_MOST_FIELDS: Final = 1000
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,30})?")
_FLAGS: Final = {
    "true": True,
    "1": True,
    "on": True,
    "yes": True,
    "false": False,
    "0": False,
    "off": False,
    "no": False,
}
_PORT: Final = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}"
# In the words of the OpenAPI descriptions, so the escapes are those that all regular expressions share.
URL: Final = (
    r"^https?://([^\u0000-\u0020/?#@]*@)?([^\u0000-\u0020/?#@:\[\]]+|\[::1\])"
    rf"(:({_PORT}))?([/?#][^\u0000-\u0020]*)?$"
)


class Form(dict[str, Any]):
    """A body that came as a form: each value is a text."""


def parse_json(body: bytes) -> Any:
    """Return the JSON value in a body; an empty body is an empty object.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        value = json.loads(body or b"{}")
        # A value that cannot be written again (nan, half of a character) is not JSON either.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("too deep") from None
    return value


def body_of(request: SandboxRequest) -> Json:
    """Return the object or the form that the request carries.

    An object in braces is JSON even if it is declared a form: curl and urllib declare whatever they are given a form.

    Raises:
        RefusedError: it can be read as neither (400).
    """
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded" and not request.body.startswith(b"{"):
            text = request.body.decode("utf-8")
            return Form(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))
        if kind == "multipart/form-data":
            return Form(_parts(request.content_type or "", request.body))
    except Exception:  # noqa: BLE001  # the parser of multipart forms has mistakes of its own, such as an IndexError
        raise RefusedError(400, body="Form parse error") from None
    try:
        value = parse_json(request.body)
    except ValueError:
        raise RefusedError(400, body="JSON parse error") from None
    if not isinstance(value, dict):
        raise RefusedError(400, body="Expected an object")
    return value


def _parts(content_type: str, body: bytes) -> Mapping[str, str]:
    """Return the fields of a multipart form."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    form = BytesParser(policy=HTTP).parsebytes(head + body)
    if not form.is_multipart():
        raise ValueError("The form has no parts")
    parts: list[Message] = form.get_payload()  # type: ignore[assignment]  # a multipart message has messages
    fields: dict[str, str] = {}
    for part in parts[:_MOST_FIELDS]:
        content: Any = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content.decode("utf-8")
    return fields


def filled(body: Mapping[str, Any], name: str) -> str:
    """Return a text that is not blank, or raise a 422 that names it."""
    text = body.get(name)
    if not isinstance(text, str) or not text.strip():
        raise RefusedError(422, **{name: "This field may not be blank."})
    return text


def optional(body: Mapping[str, Any], name: str) -> str | None:
    """Return a text that is not blank, or None if there is none. A form has no other way to say so than a blank."""
    value = body.get(name)
    return None if value is None or (isinstance(body, Form) and not value.strip()) else filled(body, name)


def url(body: Mapping[str, Any], name: str) -> str:
    """Return an http(s) URL, or raise a 422 that names it."""
    text = filled(body, name)
    if not is_url(text):
        raise RefusedError(422, **{name: "Enter a valid URL."})
    return text


def whole(body: Mapping[str, Any], name: str) -> int:
    """Return a whole number, or raise a 422 that names it."""
    value = body.get(name)
    if isinstance(body, Form) and _DIGITS.fullmatch(str(value)):
        value = int(str(value))
    if not isinstance(value, int) or isinstance(value, bool):
        raise RefusedError(422, **{name: "A valid integer is required."})
    return value


def degrees(body: Mapping[str, Any], name: str, most: int, *, digits: bool = False) -> float:
    """Return a number from `-most` to `most`, or raise a 422 that names it. With `digits` it may be a text of them."""
    value = body.get(name)
    if isinstance(value, str) and (digits or isinstance(body, Form)) and _NUMBER.fullmatch(value):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or not -most <= value <= most:
        raise RefusedError(422, **{name: "A valid number in range is required."})
    return value


def flag(body: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """Return a flag, or `default` if there is none, or raise a 422 that names it."""
    value = body.get(name, default)
    if isinstance(body, Form):
        value = _FLAGS.get(str(value).lower())
    if not isinstance(value, bool):
        raise RefusedError(422, **{name: "Must be a valid boolean."})
    return value


def member(body: Mapping[str, Any], name: str) -> Any:
    """Return any value. In a form it is the JSON that its text holds, or else the text."""
    value = body.get(name)
    if isinstance(body, Form) and isinstance(value, str):
        try:
            return parse_json(value.encode())
        except ValueError:
            return value
    return value


def is_url(text: str) -> bool:
    """Return True if a text is an http(s) URL, as far as can be seen."""
    try:
        return re.fullmatch(URL, text) is not None and urlsplit(text).hostname is not None
    except ValueError:  # "[bad]" is not a host
        return False
