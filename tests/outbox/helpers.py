"""What the tests of the Outbox against the sandbox have in common."""

from pathlib import Path
from typing import Any

from landbot_async import AsyncLandbot, RetryPolicy
from landbot_async.outbox import Outbox, Outgoing, Receipt
from landbot_async.outbox.journal.postgres import PostgresJournal
from landbot_async.outbox.journal.rows import Claimed
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox

QUICK = RetryPolicy(base=0.001, cap=0.002, attempts=2)


def said(sandbox: Sandbox, customer: int = 1) -> list[str]:
    return [each.text for each in sandbox.sent if each.customer_id == customer]


def texts(*customers: int, message: str = "Hi") -> list[Outgoing]:
    return [Outgoing.text(customer, message, key=f"k{customer}") for customer in customers]


async def receipts(outbox: Outbox, **options: Any) -> list[Receipt]:
    return [receipt async for receipt in outbox.run(**options)]


async def keys(outbox: Outbox, **options: Any) -> list[str]:
    return sorted(receipt.key for receipt in await receipts(outbox, **options))


def read(path: Path) -> bytes:
    return path.read_bytes()


def copy_of(path: Path, copy: Path) -> None:
    copy.write_bytes(path.read_bytes())


async def counts(outbox: Outbox) -> dict[str, int]:
    return {status: count for status, count in (await outbox.counts()).items() if count}


def journal_of(outbox: Outbox) -> PostgresJournal:
    journal = outbox._open.journal
    assert isinstance(journal, PostgresJournal)
    return journal


async def claimed(journal: PostgresJournal) -> Claimed:
    found = await journal.do(Store.claim)
    assert found is not None
    return found


async def open_once(place: str, landbot: AsyncLandbot) -> None:
    async with Outbox(place, landbot):
        pass
