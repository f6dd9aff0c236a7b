"""What the tests of the journal's transactions have in common."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

from landbot_async.outbox import Outgoing
from landbot_async.outbox.journal.rows import Claimed
from landbot_async.outbox.journal.store import Store

BEGINNING = datetime(2026, 5, 1, tzinfo=UTC).timestamp()


class Clock:
    def __init__(self) -> None:
        self.now = BEGINNING

    def __call__(self) -> float:
        return self.now

    def at(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(BEGINNING + seconds, UTC)


Make: TypeAlias = Callable[..., Store]


def text(key: str, customer: int = 1, message: str = "Hi", **options: Any) -> Outgoing:
    return Outgoing.text(customer, message, key=key, **options)


def claimed(store: Store) -> Claimed:
    found = store.claim()
    assert found is not None
    return found


def sending(store: Store) -> Claimed:
    found = claimed(store)
    assert store.mark(found)
    return found


def status(store: Store, key: str) -> str:
    receipt = store.receipt(key)
    assert receipt is not None
    return receipt.status


def claims(store: Store, per_day: int | None = None) -> list[str]:
    return [each.key for each in iter(partial(store.claim, per_day), None)]


def column(store: Store, name: str, key: str) -> Any:
    return store._run(f"SELECT {name} FROM landbot_message WHERE key = ?", key).fetchone()[0]
