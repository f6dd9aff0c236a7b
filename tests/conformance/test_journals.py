"""Every journal of an inbox keeps these promises; add a row to `JOURNALS` for another one."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

import anyio
import pytest

from landbot_async import ConfigurationError
from landbot_async.webhooks.journal import Entry, Outcome, open_journal
from tests.helpers import breath

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


class InboxJournal(Protocol):
    """The properties that an inbox needs of its journal."""

    async def add(
        self, keys: Sequence[str], delivery_id: str | None, body: bytes | bytearray, on_done: Callable[[Outcome], None]
    ) -> Outcome: ...

    def finish(self, number: int) -> None: ...


Opened: TypeAlias = tuple[InboxJournal, list[Entry]]
Open: TypeAlias = Callable[[], AbstractAsyncContextManager[Opened]]


def on_sqlite(folder: Path) -> Open:
    @contextlib.asynccontextmanager
    async def opened() -> AsyncGenerator[Opened]:
        journal, entries = await open_journal(folder / "inbox.db", "platform", window=3600)
        try:
            async with breath(), anyio.create_task_group() as group:
                group.start_soon(journal.run)
                yield journal, entries
                group.cancel_scope.cancel()
        finally:
            await journal.aclose()

    return opened


JOURNALS = {"sqlite": on_sqlite}


@pytest.fixture(params=sorted(JOURNALS))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return JOURNALS[request.param](tmp_path)


def ignore(_: Outcome) -> None:
    pass


async def add(journal: InboxJournal, body: bytes, *keys: str) -> int:
    outcome = await journal.add(keys, None, body, ignore)
    assert isinstance(outcome, int)
    return outcome


async def test_what_is_added_is_there_again_in_order_until_it_is_finished(opened: Open) -> None:
    async with opened() as (journal, entries):
        assert entries == []
        numbers = [await add(journal, str(number).encode(), f"d:{number}") for number in range(5)]
        assert numbers == sorted(set(numbers))
        journal.finish(numbers[0])
        journal.finish(numbers[3])
    async with opened() as (journal, entries):
        assert [(each.number, each.body) for each in entries] == [
            (numbers[1], b"1"),
            (numbers[2], b"2"),
            (numbers[4], b"4"),
        ]
        later = await add(journal, b"later")
        for each in (*numbers, later):
            journal.finish(each)
        assert later > numbers[4]
    async with opened() as (_, entries):
        assert entries == []


@pytest.mark.parametrize("id_", [None, "", "d1", "é\N{BALLOON}", "half \udce4 a character"])
async def test_a_message_keeps_its_delivery_and_its_bytes(opened: Open, id_: str | None) -> None:
    body = bytes(range(256))
    async with opened() as (journal, _):
        assert isinstance(await journal.add([], id_, bytearray(body), ignore), int)
    async with opened() as (_, [entry]):
        assert (entry.delivery_id, entry.body) == (id_, body)


async def test_any_key_makes_a_duplicate_handled_or_not_opened_anew_or_not(opened: Open) -> None:
    async with opened() as (journal, _):
        first = await add(journal, b"one", "d:1", "m:1")
        for keys in (["d:1"], ["m:1"], ["d:2", "m:1"]):
            assert await journal.add(keys, None, b"again", ignore) is None
        journal.finish(first)
        assert await journal.add(["d:1", "m:9"], None, b"again", ignore) is None
    async with opened() as (journal, entries):
        assert entries == []
        assert await journal.add(["m:1"], None, b"again", ignore) is None
        # Refused, it has left no key of its own.
        await add(journal, b"two", "d:2")
        await add(journal, b"nine", "m:9")


async def test_of_many_at_once_each_key_is_taken_once(opened: Open) -> None:
    outcomes: list[Outcome] = []
    async with opened() as (journal, _), anyio.create_task_group() as group:
        for number in range(60):
            group.start_soon(journal.add, [f"d:{number // 3}"], None, b"x", outcomes.append)
    assert sum(isinstance(each, int) for each in outcomes) == 20
    assert outcomes.count(None) == 40


async def test_a_message_whose_adder_is_cancelled_is_there_and_told(opened: Open) -> None:
    outcomes: list[Outcome] = []
    async with opened() as (journal, _):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await journal.add(["d:1"], None, b"one", outcomes.append)
    assert [type(each) for each in outcomes] == [int]
    async with opened() as (_, entries):
        assert [each.body for each in entries] == [b"one"]


async def test_only_one_inbox_has_it_at_a_time(opened: Open) -> None:
    async with opened():
        with pytest.raises(ConfigurationError, match="in use"):
            await opened().__aenter__()
    async with opened():
        pass
