"""Messages that a test or the page writes as a customer: their text and data, as message hooks show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .records import Json

# What each type requires; any other type takes anything.
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("body",),
    "button": ("body",),
    "image": ("url",),
    "audio": ("url",),
    "video": ("url",),
    "document": ("url",),
    "location": ("latitude", "longitude"),
}


def message_content(kind: str, text: str | None, data: Mapping[str, Any]) -> tuple[str, Json]:
    """Return the text of a message, and its data.

    Raises:
        ValueError: the message lacks what its type requires.
    """
    required = REQUIRED.get(kind, ())
    shown: Json = dict(data)
    if "url" in required:
        shown.setdefault("caption", text)
    elif text is not None and kind != "location":
        shown["body"] = text
    missing = [name for name in required if shown.get(name) in (None, "")]
    if missing:
        named = "text" if missing[0] == "body" else missing[0]
        raise ValueError(f"{named} is missing: a message of type {kind!r} needs it")
    if text is None and kind == "location":
        text = f"{shown['latitude']},{shown['longitude']}"
    return text or "", shown
