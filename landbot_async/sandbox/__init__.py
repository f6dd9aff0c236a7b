"""A Landbot on your own machine: in process, without a socket, and nobody real is ever written to.

    async with Sandbox(customers=250) as sandbox:
        async with sandbox.client() as landbot:
            await landbot.customers.send_text(1, "Hello")
        assert sandbox.sent[0].text == "Hello"

It runs on the event loop's clock, so tests in virtual time wait for nothing.
"""

from __future__ import annotations

from .apis.base import Answered, Asked, Broken
from .deliveries.delivery import DeliveryAttempt
from .feed import Feed, Happening
from .network.faults import Fault, FaultName
from .network.windows import WindowName
from .sandbox import Sandbox
from .workspace.records import SandboxChannel, SandboxCustomer, SandboxMessage, Sent

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
    "SandboxMessage",
    "Sent",
    "WindowName",
]
