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
from .feed import Feed, SandboxEvent
from .network.faults import Fault, FaultName
from .network.windows import WindowName
from .sandbox import Sandbox
from .workspace.records import SandboxChannel, SandboxCustomer, SandboxHook, SandboxMessage, Sent

# Former names.
Asked = SandboxRequest
Answered = SandboxResponse
Broken = SandboxDisconnect
Happening = SandboxEvent

__all__ = [
    "Answered",
    "Asked",
    "Broken",
    "DeliveryAttempt",
    "Fault",
    "FaultName",
    "Feed",
    "Happening",
    "Sandbox",
    "SandboxChannel",
    "SandboxCustomer",
    "SandboxDisconnect",
    "SandboxEvent",
    "SandboxHook",
    "SandboxMessage",
    "SandboxRequest",
    "SandboxResponse",
    "Sent",
    "WindowName",
]
