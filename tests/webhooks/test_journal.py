"""The journal waits for a thread, which virtual time would race past: so its tests run in real time."""

import contextlib
import os
import sqlite3
import stat
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async import ConfigurationError
from landbot_async.webhooks import journal as module
from landbot_async.webhooks.journal import Entry, File, Journal, Outcome, open_journal
from tests.helpers import breath

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


@contextlib.asynccontextmanager
async def opened(
    path: Path, source: str = "platform", window: float = 3600
) -> AsyncGenerator[tuple[Journal, list[Entry]]]:
    journal, entries = await open_journal(path, source, window=window)
    try:
        async with breath(), anyio.create_task_group() as group:
            group.start_soon(journal.run)
            yield journal, entries
            group.cancel_scope.cancel()
    finally:
        await journal.aclose()


def ignore(outcome: Outcome) -> None:
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


async def test_what_is_added_is_there_until_it_is_finished(path: Path) -> None:
    async with opened(path) as (journal, entries):
        assert entries == []
        first = await journal.add(["d:1", "m:1"], "d1", b"one", ignore)
        second = await journal.add(["d:2"], None, b"two", ignore)
        third = await journal.add([], "tr\udce4ge", b"three", ignore)
        assert isinstance(first, int)
        assert isinstance(second, int)
        assert isinstance(third, int)
        assert await journal.finish(first) is None
    async with opened(path) as (journal, entries):
        assert entries == [Entry(second, None, b"two"), Entry(third, "tr\udce4ge", b"three")]
        await journal.finish(second)
        await journal.finish(third)
    async with opened(path) as (_, entries):
        assert entries == []


async def test_it_is_on_disk_when_it_is_said_to_be(path: Path) -> None:
    async with opened(path) as (journal, _):
        await journal.add(["d:1"], "d1", b"one", ignore)
        # A copy of both files is what a crash would leave.
        for name in os.listdir(path.parent):
            (path.parent / f"copy-{name}").write_bytes((path.parent / name).read_bytes())
    async with opened(path.parent / "copy-inbox.db") as (_, entries):
        assert [each.body for each in entries] == [b"one"]


async def test_what_was_seen_is_seen_after_a_restart(path: Path) -> None:
    async with opened(path) as (journal, _):
        number = await journal.add(["d:1", "m:1"], "d1", b"one", ignore)
        assert isinstance(number, int)
        await journal.finish(number)
        assert await journal.add(["d:1"], "d1", b"one", ignore) is None
    async with opened(path) as (journal, _):
        assert await journal.add(["d:9", "m:1"], "d9", b"one", ignore) is None
        assert isinstance(await journal.add(["d:9"], "d9", b"nine", ignore), int)


async def test_the_window_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    async with opened(path, window=60) as (journal, _):
        await journal.add(["d:1"], "d1", b"one", ignore)
        monkeypatch.setattr(time, "time", lambda: now + 59)
        assert await journal.add(["d:1"], "d1", b"one", ignore) is None
        monkeypatch.setattr(time, "time", lambda: now + 61)
        assert isinstance(await journal.add(["d:1"], "d1", b"one", ignore), int)
        assert journal._file._remembered == 1
        await journal.finish(0)
        monkeypatch.setattr(time, "time", lambda: now + 1000)
        await journal.finish(0)
        assert journal._file._remembered == 0


async def test_the_memory_is_bounded(path: Path) -> None:
    async with opened(path) as (journal, _):
        journal._file._most = 3
        for number in range(10):
            assert isinstance(await journal.add([f"d:{number}"], None, b"x", ignore), int)
            assert journal._file._remembered == min(number + 1, 3)
        assert await journal.add(["d:9"], None, b"x", ignore) is None
        assert isinstance(await journal.add(["d:0"], None, b"x", ignore), int)
        assert journal._file._execute("SELECT count(*) FROM seen").fetchone() == (3,)


async def test_what_many_ask_for_at_once_is_few_transactions(path: Path) -> None:
    outcomes: list[Outcome] = []
    async with opened(path) as (journal, _):
        begun: list[str] = []
        journal._file._connection.set_trace_callback(begun.append)
        async with anyio.create_task_group() as group:
            for number in range(100):
                # Each twice, so that duplicates meet within a transaction.
                group.start_soon(journal.add, [f"d:{number // 2}"], None, b"x", outcomes.append)
        assert sum(each == "COMMIT" for each in begun) <= 3
    assert sum(isinstance(each, int) for each in outcomes) == sum(each is None for each in outcomes) == 50


async def test_one_that_is_cancelled_is_written_and_told(path: Path) -> None:
    outcomes: list[Outcome] = []
    async with opened(path) as (journal, _):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await journal.add(["d:1"], "d1", b"one", outcomes.append)
        assert scope.cancelled_caught
    assert [type(each) for each in outcomes] == [int]
    async with opened(path) as (_, entries):
        assert len(entries) == 1


async def test_what_was_asked_for_is_written_before_it_closes(path: Path) -> None:
    journal, _ = await open_journal(path, "platform", window=60)
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(journal.add, [], None, str(number).encode(), ignore)
        await anyio.wait_all_tasks_blocked()
        await journal.aclose()
    async with opened(path) as (_, entries):
        assert len(entries) == 3


async def test_a_full_disk_fails_all_that_was_asked_for_and_nothing_after_it(path: Path) -> None:
    async with opened(path) as (journal, _):
        await journal.add(["d:0"], "d0", b"x", ignore)
        pages = journal._file._execute("PRAGMA page_count").fetchone()[0]
        journal._file._execute(f"PRAGMA max_page_count = {pages}")
        outcomes: list[Outcome] = []
        async with anyio.create_task_group() as group:
            group.start_soon(journal.add, ["d:1"], "d1", b"small", outcomes.append)
            group.start_soon(journal.add, ["d:2"], "d2", b"x" * 100_000, outcomes.append)
        assert [type(each) for each in outcomes] == [sqlite3.OperationalError] * 2
        assert journal._file._remembered == 1
        journal._file._execute("PRAGMA max_page_count = 100000")
        assert isinstance(await journal.add(["d:1"], "d1", b"small", ignore), int)


@pytest.mark.parametrize("written", [True, False])
async def test_what_a_full_disk_has_kept_goes_when_there_is_room(path: Path, written: bool) -> None:
    async with opened(path) as (journal, _):
        numbers = [await journal.add([], None, b"x", ignore) for _ in range(3)]
        journal._file._execute("PRAGMA query_only = 1")
        for number in numbers:
            assert isinstance(number, int)
            assert isinstance(await journal.finish(number), sqlite3.OperationalError)
        journal._file._execute("PRAGMA query_only = 0")
        if written:
            await journal.add(["d:4"], "d4", b"four", ignore)
            assert journal._file._execute("SELECT count(*) FROM message").fetchone() == (1,)
        assert journal._file._owed == ([] if written else numbers)
    async with opened(path) as (_, entries):
        assert [each.body for each in entries] == [b"four"] * written


async def test_a_disk_that_is_gone_is_an_error_and_no_end(path: Path) -> None:
    async with opened(path) as (journal, _):
        journal._file._connection.close()
        outcome = await journal.finish(1)
        assert isinstance(outcome, sqlite3.ProgrammingError)


async def test_the_files_are_the_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        async with opened(path) as (journal, _):
            await journal.add(["d:1"], "d1", b"one", ignore)
            names = sorted(os.listdir(path.parent))
            assert names == ["inbox.db", "inbox.db-wal"]
            assert {stat.S_IMODE((path.parent / name).stat().st_mode) for name in names} == {0o600}
    finally:
        os.umask(before)


async def test_a_link_makes_no_file_for_everybody(path: Path) -> None:
    os.symlink(path.parent / "real.db", path)
    before = os.umask(0)
    try:
        async with opened(path):
            assert stat.S_IMODE((path.parent / "real.db").stat().st_mode) == 0o600
    finally:
        os.umask(before)


async def test_one_inbox_owns_it(path: Path) -> None:
    async with opened(path):
        with pytest.raises(ConfigurationError, match=r"inbox\.db is in use: one inbox owns it") as raised:
            await open_journal(path, "platform", window=60)
        assert raised.value.__context__ is None
        # Asking has not let go of the locks: another process does not get it either.
        done = await anyio.run_process([sys.executable, "-c", TRY, str(path)])
        assert b"is in use" in done.stdout
    async with opened(path):
        pass


TRY = """
import sys, anyio
from pathlib import Path
from landbot_async.webhooks.journal import open_journal
async def main():
    try:
        await open_journal(Path(sys.argv[1]), "platform", window=60)
    except Exception as error:
        print(error)
anyio.run(main)
"""


def _contents(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() if each.is_file() else b"" for each in path.parent.iterdir()}


def _text(path: Path) -> None:
    path.write_text("no database, but long enough to have a header of a hundred bytes. " * 20)


def _foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


def _newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {module._APPLICATION}")
        connection.execute("PRAGMA user_version = 99")


def _half(path: Path) -> None:
    """Ours, but without a table."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {module._APPLICATION}")
        connection.execute(f"PRAGMA user_version = {module._VERSION}")


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (_text, "cannot be used: file is not a database"),
        (_foreign, "is no file of this version's inbox"),
        (_newer, "is no file of this version's inbox"),
        (_half, "cannot be used: no such table: source"),
        (Path.mkdir, "cannot be used: unable to open database file"),
    ],
)
async def test_what_is_no_inbox_is_refused_and_left_as_it_is(path: Path, make: Any, fault: str) -> None:
    make(path)
    before = _contents(path)
    with pytest.raises(ConfigurationError, match=fault):
        await open_journal(path, "platform", window=60)
    assert _contents(path) == before


async def test_a_directory_that_is_not_there(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened: No such file or directory"):
        await open_journal(path / "inbox.db", "platform", window=60)


async def test_the_file_of_another_source_is_refused(path: Path) -> None:
    async with opened(path, "apichat"):
        pass
    with pytest.raises(ConfigurationError, match="that of an inbox with another source"):
        await open_journal(path, "platform", window=60)


def _empty(path: Path) -> None:
    path.touch()


async def test_an_empty_file_becomes_an_inbox(path: Path) -> None:
    _empty(path)
    async with opened(path) as (journal, _):
        assert isinstance(await journal.add([], None, b"x", ignore), int)


def test_the_schema_is_what_a_file_needs() -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        module._take(connection, "platform")
        file = File(connection, window=1)
        assert file.entries() == []
