"""What Landbot posts to you: message hooks of the Platform API, and APIchat.

`parse` and `parse_apichat` read a delivery without any I/O; `Inbox` takes deliveries and calls handlers.
"""

from .claims import Claim, Claims, MemoryClaims
from .inbox import Inbox
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
    MediaMessage,
    Message,
    MessageChannel,
    MessageCustomer,
    MessageSender,
    TextMessage,
    UnknownMessage,
    VideoMessage,
)
from .parsing import parse, parse_apichat

__all__ = [
    "AudioMessage",
    "ButtonMessage",
    "CardTemplateMessage",
    "Claim",
    "Claims",
    "DialogMessage",
    "DocumentMessage",
    "EventMessage",
    "IframeMessage",
    "ImageMessage",
    "Inbox",
    "LocationMessage",
    "MediaDialogMessage",
    "MediaMessage",
    "MemoryClaims",
    "Message",
    "MessageChannel",
    "MessageCustomer",
    "MessageSender",
    "TextMessage",
    "UnknownMessage",
    "VideoMessage",
    "parse",
    "parse_apichat",
]
