"""The known types of messages: the class of each, and what its content must hold.

Source: dev.landbot.io, "Message hooks" and "APIchat".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

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
    MultipleImagesMessage,
    Source,
    TextMessage,
    UnknownMessage,
    VideoMessage,
    find,
    is_list,
    is_number,
    is_string,
    words,
)


class _Kind(NamedTuple):
    """A type of message: its class, and what its content must hold to be that: values by name, or words."""

    cls: type[Message]
    needs: tuple[tuple[str, Callable[[object], bool]], ...] = ()
    needs_words: bool = False


_URL: Final = (("url", is_string),)
_PLACE: Final = (("latitude", is_number), ("longitude", is_number))
_URLS: Final = (("urls", is_list),)
PLATFORM: Final[Mapping[str, _Kind]] = {
    "text": _Kind(TextMessage, needs_words=True),
    "button": _Kind(ButtonMessage, needs_words=True),
    "image": _Kind(ImageMessage, _URL),
    "audio": _Kind(AudioMessage, _URL),
    "video": _Kind(VideoMessage, _URL),
    "document": _Kind(DocumentMessage, _URL),
    "location": _Kind(LocationMessage, _PLACE),
    "dialog": _Kind(DialogMessage),
    "iframe": _Kind(IframeMessage, _URL),
    "event": _Kind(EventMessage),
}
APICHAT: Final[Mapping[str, _Kind]] = {
    "text": _Kind(TextMessage, needs_words=True),
    "image": _Kind(ImageMessage, _URL),
    "multiple_images": _Kind(MultipleImagesMessage, _URLS),
    "audio": _Kind(AudioMessage, _URL),
    "video": _Kind(VideoMessage, _URL),
    "document": _Kind(DocumentMessage, _URL),
    "location": _Kind(LocationMessage, _PLACE),
    "dialog": _Kind(DialogMessage),
    "media_dialog": _Kind(MediaDialogMessage),
}
# Recognized by its content, because its type is not known: nothing else has a body and buttons that are objects.
_CARD: Final = _Kind(CardTemplateMessage, (("body", is_string),))
_UNKNOWN: Final = _Kind(UnknownMessage)


def class_of(source: Source, type_: str, data: dict[str, Any], raw: dict[str, Any]) -> type[Message]:
    """Return the class of a message of this type with this content."""
    kind = (PLATFORM if source == "platform" else APICHAT).get(type_)
    if kind is None:
        kind = _CARD if source == "platform" and _is_card(data) else _UNKNOWN
    if kind.needs_words and words(source, data, raw) is None:
        return UnknownMessage
    for name, fits in kind.needs:
        if find(data, raw, name, fits) is None:
            return UnknownMessage
    return kind.cls


def _is_card(content: dict[str, Any]) -> bool:
    buttons = content.get("buttons")
    if type(buttons) is not list or not (buttons or "footer" in content):
        return False
    return all(type(button) is dict for button in buttons)
