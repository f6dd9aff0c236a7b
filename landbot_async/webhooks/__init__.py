"""Receiving what Landbot posts: message hooks of the Platform API, and APIchat.

`parse`, `parse_apichat` and their siblings read a delivery without any I/O; `Inbox` takes deliveries and calls
handlers.
"""

from .claims import Claim, Claims, MemoryClaims
from .delivery import Headers
from .handlers import OnError
from .inbox import Inbox, Registration
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
    MultipleImagesMessage,
    SenderType,
    Source,
    TextMessage,
    UnknownMessage,
    VideoMessage,
)
from .parsing import parse, parse_all, parse_all_apichat, parse_apichat

__all__ = [
    "AudioMessage",
    "ButtonMessage",
    "CardTemplateMessage",
    "Claim",
    "Claims",
    "DialogMessage",
    "DocumentMessage",
    "EventMessage",
    "Headers",
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
    "MultipleImagesMessage",
    "OnError",
    "Registration",
    "SenderType",
    "Source",
    "TextMessage",
    "UnknownMessage",
    "VideoMessage",
    "parse",
    "parse_all",
    "parse_all_apichat",
    "parse_apichat",
]
