"""The Outbox: many sends, each accounted for."""

from landbot_async._core.errors import (
    JournalFullError,
    JournalInUseError,
    JournalMismatchError,
    KeyConflictError,
    OutboxError,
    OutboxStoppedError,
)

from .outbox import Outbox
from .outgoing import AssignBot, Outgoing, QueueOptions, SetFields
from .reader import OutboxReader, Receipts
from .receipts import Added, Receipt, Reconciled
from .run import Run

__all__ = [
    "Added",
    "AssignBot",
    "JournalFullError",
    "JournalInUseError",
    "JournalMismatchError",
    "KeyConflictError",
    "Outbox",
    "OutboxError",
    "OutboxReader",
    "OutboxStoppedError",
    "Outgoing",
    "QueueOptions",
    "Receipt",
    "Receipts",
    "Reconciled",
    "Run",
    "SetFields",
]
