"""A journal in memory, transcripts that are written by hand, and a clock."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import anyio

from landbot_async import TranscriptMessage
from landbot_async.outbox import Outgoing, Reconciled
from landbot_async.outbox.journal import statements as sql
from landbot_async.outbox.journal.journal import Asked
from landbot_async.outbox.journal.store import Store
from landbot_async.outbox.reconcile import Reconciler
from landbot_async.webhooks import Message

from .machine import InMemory

T = TypeVar("T")


BEGINNING = datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()


TIMEOUT, AFTER = 60.0, 300.0


class World:
    """A journal in memory, transcripts that are written by hand, and a clock."""

    def __init__(self) -> None:
        self.now = BEGINNING
        self.zone = timedelta(hours=2)
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for statement in sql.tables(sql.SQLITE):
            self.connection.execute(statement)
        self.store = self.outbox("default")
        self.shown: dict[int, list[TranscriptMessage]] = {}
        self.errors: dict[int, Exception] = {}
        self.read: list[int] = []
        landbot: Any = SimpleNamespace(customers=SimpleNamespace(messages=self.messages))
        self.landbot = landbot
        self.reconciler = self.reconciler_of(InMemory(self.store))
        self.at_reading: Callable[[], object] = lambda: None  # called when a transcript has been asked for

    def reconciler_of(self, journal: Asked) -> Reconciler:
        return Reconciler(journal, self.landbot, send_timeout=TIMEOUT, reconcile_after=AFTER, clock=lambda: self.now)

    def outbox(self, name: str) -> Store:
        return Store(self.connection, sql.SQLITE, name, lambda: self.now)

    async def messages(self, customer: int) -> list[TranscriptMessage]:
        await anyio.lowlevel.checkpoint()
        self.read.append(customer)
        self.at_reading()
        if customer in self.errors:
            raise self.errors[customer]
        return self.shown.get(customer, [])

    def show(self, customer: int, message: Any, *, type: str = "text", after: float = 0.3, **extra: Any) -> None:
        """Have a transcript show something that came `after` seconds from now."""
        at = datetime.fromtimestamp(int(self.now + after), UTC).replace(tzinfo=None) + self.zone
        url = extra.pop("url", None)
        entry = TranscriptMessage(
            type=type, message=message, message_datetime=str(at), sender="Anybody", url=url, extra=extra
        )
        self.shown.setdefault(customer, []).append(entry)

    def sent(self, message: Outgoing, text: str | None = None, **shown: Any) -> None:
        """Send a message; the transcript shows it if `text` is given."""
        self.attempt(message)
        if text is not None:
            self.show(message.customer_id, text, **shown)
        self.now += 1
        assert self.store.sent(self.taken) is not None

    def unknown(self, message: Outgoing) -> None:
        """Begin to send a message, and lose the response."""
        self.attempt(message)
        self.now += 1
        assert self.store.lost(self.taken, "cut", None) is not None

    def unknown_bot(self, message: Outgoing) -> None:
        """Send a message, begin to assign its bot, and lose the response to that."""
        self.attempt(message)
        following = self.store.next_step(self.taken)
        assert following is not None
        assert self.store.mark(following)
        self.store.lost(following, "cut", None)

    def attempt(self, message: Outgoing) -> None:
        self.store.add([message])
        taken = self.store.claim()
        assert taken is not None
        assert taken.key == message.key
        assert self.store.mark(taken)
        self.taken = taken

    def reconcile(self, *, later: float = AFTER) -> Reconciled:
        self.now += later
        return anyio.run(self.reconciler.reconcile)

    def hook(
        self,
        customer: int,
        text: str,
        *,
        type: str = "text",
        sender: str = "agent",
        at: float | None = None,
        **data: Any,
    ) -> None:
        message = message_of(customer, text, self.now if at is None else at, type=type, sender=sender, **data)
        anyio.run(self.reconciler.witness, message)

    def status(self, key: str) -> str:
        receipt = self.store.receipt(key)
        assert receipt is not None
        return receipt.status

    def evidence(self, key: str) -> str | None:
        receipt = self.store.receipt(key)
        assert receipt is not None
        return receipt.evidence


def message_of(
    customer: int, text: str, at: float, *, type: str = "text", sender: str = "agent", **data: Any
) -> Message:
    """Return a message of our own hook."""
    redelivered = data.pop("redelivered", False)
    message = SimpleNamespace(
        type=type,
        timestamp=at,
        customer=SimpleNamespace(id=customer),
        sender=SimpleNamespace(type=sender),
        data={"body": text, **data},
        raw={"message": text},
        redelivered=redelivered,
    )
    return cast("Message", message)


def text(key: str, customer: int = 1, message: str = "Hi", **options: Any) -> Outgoing:
    return Outgoing.text(customer, message, key=key, **options)


def template(key: str, customer: int = 1, *body: str, id: int = 5) -> Outgoing:
    return Outgoing.template(customer, id, "en", body=body, key=key)
