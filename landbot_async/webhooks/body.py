"""The body of a delivery, as JSON.

Reasons: docs/decisions.md, "Encodings" and "Odd JSON".
"""

from __future__ import annotations

import json
from typing import Any, Final

from landbot_async._core.decoding import DecodeError, kind_of


def decode(body: bytes | bytearray) -> dict[str, Any]:
    """Return the JSON object that a body holds.

    Raises:
        DecodeError: it holds none.
    """
    if not isinstance(body, bytes | bytearray):
        raise DecodeError("", f"is a Python {type(body).__name__} instead of bytes: pass the body as it came")
    try:
        value = _read_json(_text(body))
    except json.JSONDecodeError:
        raise DecodeError("", "is not JSON" if body.strip() else "is empty") from None
    except ValueError:
        raise DecodeError("", "has a number of more digits than Python reads") from None
    except RecursionError:
        raise DecodeError("", "is nested too deep to be read") from None
    if type(value) is not dict:
        raise DecodeError("", f"is {kind_of(value)} instead of an object")
    return value


def _read_json(text: str) -> Any:
    """Do what `json.loads` does, sooner for JSON with no white space around it."""
    if text[:1] == "{" and text[-1:] == "}":
        value, end = _JSON.raw_decode(text)
        if end == len(text):
            return value
    return json.loads(text)


_JSON: Final = json.JSONDecoder()


def _text(body: bytes | bytearray) -> str:
    """Decode a body. It may begin with a byte order mark; bytes that are not UTF-8 become U+FFFD."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        pass
    else:
        if not text.startswith("\ufeff") and "\0" not in text[:4]:
            return text
    return body.decode(json.detect_encoding(body), "replace")
