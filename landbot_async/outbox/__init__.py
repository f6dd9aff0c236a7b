"""The Outbox: many sends, each accounted for.

Names are imported when they are first used: looking into a journal needs no client (docs/decisions.md, "Lazy imports").
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from landbot_async._core.errors import (
    JournalFullError,
    JournalInUseError,
    JournalMismatchError,
    KeyConflictError,
    OutboxError,
    OutboxStoppedError,
)

__all__ = [
    "Added",
    "AssignBot",
    "Evidence",
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
    "Status",
    "Then",
]

if TYPE_CHECKING:
    from .outbox import Outbox
    from .outgoing import AssignBot, Outgoing, QueueOptions, SetFields, Then
    from .reader import OutboxReader, Receipts
    from .receipts import Added, Receipt, Reconciled
    from .run import Run
    from .states import Evidence, Status
else:
    _NAMES = {
        "outbox": ("Outbox",),
        "outgoing": ("AssignBot", "Outgoing", "QueueOptions", "SetFields", "Then"),
        "reader": ("OutboxReader", "Receipts"),
        "receipts": ("Added", "Receipt", "Reconciled"),
        "run": ("Run",),
        "states": ("Evidence", "Status"),
    }
    _MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
