"""The Outbox: many sends, each accounted for."""

from .outbox import Outbox
from .outgoing import AssignBot, Outgoing, QueueOptions, SetFields
from .reader import OutboxReader, Receipts
from .receipts import Added, Receipt, Reconciled
from .run import Run

__all__ = [
    "Added",
    "AssignBot",
    "Outbox",
    "OutboxReader",
    "Outgoing",
    "QueueOptions",
    "Receipt",
    "Receipts",
    "Reconciled",
    "Run",
    "SetFields",
]
