"""What a customer can say: from the words of whoever writes as one to what a message hook shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .records import Json

# What each type needs besides; any other type takes anything.
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("body",),
    "button": ("body",),
    "image": ("url",),
    "audio": ("url",),
    "video": ("url",),
    "document": ("url",),
    "location": ("latitude", "longitude"),
}


def spoken(kind: str, text: str | None, data: Mapping[str, Any]) -> tuple[str, Json]:
    """What there is to read of a message, and its data.

    Raises:
        ValueError: it lacks what its type needs.
    """
    needs = NEEDS.get(kind, ())
    shown: Json = dict(data)
    if "url" in needs:
        shown.setdefault("caption", text)
    elif text is not None and kind != "location":
        shown["body"] = text
    missing = [name for name in needs if shown.get(name) in (None, "")]
    if missing:
        named = "text" if missing[0] == "body" else missing[0]
        raise ValueError(f"{named} is missing: a message of type {kind!r} needs it")
    if text is None and kind == "location":
        text = f"{shown['latitude']},{shown['longitude']}"
    return text or "", shown
