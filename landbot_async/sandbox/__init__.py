"""A Landbot on your own machine: in process, without a socket, and nobody real is ever written to.

    async with Sandbox(customers=250) as sandbox:
        async with sandbox.client() as landbot:
            await landbot.customers.send_text(1, "Hello")
        assert sandbox.sent[0].text == "Hello"

It runs on the event loop's clock, so tests in virtual time wait for nothing.
"""

from __future__ import annotations

from .api import Answered, Asked, Broken
from .deliveries import DeliveryAttempt
from .faults import Fault, FaultName
from .feed import Feed, Happening
from .records import SandboxChannel, SandboxCustomer, SandboxMessage, Sent
from .sandbox import Sandbox
from .windows import WindowName

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
