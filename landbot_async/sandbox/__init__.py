"""A Landbot on your own machine: in process, without a socket, and nobody real is ever written to.

    async with Sandbox(customers=250) as sandbox:
        async with sandbox.client() as landbot:
            await landbot.customers.send_text(1, "Hello")
        assert sandbox.sent[0].text == "Hello"

It runs on the event loop's clock, so tests in virtual time take no time.
"""

from __future__ import annotations

from .apis.base import SandboxDisconnect, SandboxRequest, SandboxResponse
from .deliveries.delivery import DeliveryAttempt
from .feed import EventKind, Feed, SandboxEvent, Stream
from .network.faults import Fault, FaultConnection, FaultKind, FaultName
from .network.windows import WindowName
from .sandbox import ClientOptions, PlatformOptions, Sandbox
from .workspace.records import (
    SandboxChannel,
    SandboxCustomer,
    SandboxHook,
    SandboxMessage,
    Sender,
    SenderType,
    Sent,
)

Asked = SandboxRequest
"""The former name of `SandboxRequest`."""
Answered = SandboxResponse
"""The former name of `SandboxResponse`."""
Broken = SandboxDisconnect
"""The former name of `SandboxDisconnect`."""
Happening = SandboxEvent
"""The former name of `SandboxEvent`."""

__all__ = [
    "Answered",
    "Asked",
    "Broken",
    "ClientOptions",
    "DeliveryAttempt",
    "EventKind",
    "Fault",
    "FaultConnection",
    "FaultKind",
    "FaultName",
    "Feed",
    "Happening",
    "PlatformOptions",
    "Sandbox",
    "SandboxChannel",
    "SandboxCustomer",
    "SandboxDisconnect",
    "SandboxEvent",
    "SandboxHook",
    "SandboxMessage",
    "SandboxRequest",
    "SandboxResponse",
    "Sender",
    "SenderType",
    "Sent",
    "Stream",
    "WindowName",
]
