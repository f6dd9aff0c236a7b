"""The journal waits for a thread, which virtual time would race past: so its tests run in real time."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import pytest

from landbot_async import ConfigurationError
from landbot_async._core.sqlite import open_owned
from landbot_async._core.tasks import Opening
from landbot_async.webhooks import journal as module
from landbot_async.webhooks.journal import Add, Entry, File, Journal, Outcome, open_journal
from tests.helpers import breath, until

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


def size(path: str | Path) -> int:
    return os.stat(path).st_size


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
        journal.finish(first)
    async with opened(path) as (journal, entries):
        assert entries == [Entry(second, None, b"two"), Entry(third, "tr\udce4ge", b"three")]
        journal.finish(second)
        journal.finish(third)
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
        journal.finish(number)
        assert await journal.add(["d:1"], "d1", b"one", ignore) is None
    async with opened(path) as (journal, _):
        assert await journal.add(["d:9", "m:1"], "d9", b"one", ignore) is None
        assert isinstance(await journal.add(["d:9"], "d9", b"nine", ignore), int)


async def test_the_window_ends(path: Path) -> None:
    now = 0.0
    async with opened(path, window=60) as (journal, _):
        journal._file._clock = lambda: now
        journal._file._zero = 0.0
        await journal.add(["d:1"], "d1", b"one", ignore)
        now = 59
        assert await journal.add(["d:1"], "d1", b"one", ignore) is None
        now = 61
        assert isinstance(await journal.add(["d:1"], "d1", b"one", ignore), int)
        assert journal._file._remembered == 1
        now = 1000
        await journal.add([], None, b"two", ignore)
        assert journal._file._remembered == 0


@pytest.mark.parametrize("years", [10, -10])
async def test_no_clock_that_jumps_makes_it_forget(path: Path, monkeypatch: pytest.MonkeyPatch, years: int) -> None:
    real = time.time
    async with opened(path, window=60) as (journal, _):
        await journal.add(["d:1"], "d1", b"one", ignore)
        monkeypatch.setattr(time, "time", lambda: real() + years * 365 * 86400)
        assert await journal.add(["d:1"], "d1", b"one", ignore) is None
        await journal.add(["d:2"], "d2", b"two", ignore)
    monkeypatch.undo()
    async with opened(path, window=60) as (journal, _):
        journal._file._most = 2
        assert await journal.add(["d:1"], "d1", b"one", ignore) is None
        await journal.add(["d:3"], "d3", b"three", ignore)
        # The oldest went.
        assert await journal.add(["d:2"], "d2", b"two", ignore) is None
        assert await journal.add(["d:3"], "d3", b"three", ignore) is None
        assert isinstance(await journal.add(["d:1"], "d1", b"one", ignore), int)


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
        journal._file._owned.connection.set_trace_callback(begun.append)
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
async def test_what_a_full_disk_has_kept_goes_when_there_is_room(
    path: Path, written: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(path) as (journal, _):
        numbers = [await journal.add([], None, b"x", ignore) for _ in range(3)]
        journal._file._execute("PRAGMA query_only = 1")
        for number in numbers:
            assert isinstance(number, int)
            journal.finish(number)
        await until(lambda: len(journal._file._handled) == 3)
        await until(lambda: "what is handled stays in it for now" in caplog.text)
        journal._file._execute("PRAGMA query_only = 0")
        if written:
            await journal.add(["d:4"], "d4", b"four", ignore)
            assert journal._file._execute("SELECT count(*) FROM message").fetchone() == (1,)
        assert journal._file._handled == ([] if written else numbers)
        # Said once, however often it was tried.
        assert len(caplog.records) == 1
    async with opened(path) as (_, entries):
        assert [each.body for each in entries] == [b"four"] * written


async def test_a_full_disk_takes_nothing_more_and_lets_go_of_what_is_handled(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 1 << 30
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free))
    async with opened(path) as (journal, _):
        number = await journal.add([], None, b"x", ignore)
        assert isinstance(number, int)
        free = 1 << 17
        refused = await journal.add(["d:1"], "d1", b"y", ignore)
        assert str(refused) == "cannot grow: the disk is full"
        journal.finish(number)
        free = 1 << 20
        assert isinstance(await journal.add(["d:1"], "d1", b"y", ignore), int)
        # So little room is left that what is written goes out of the log at once.
        assert size(f"{path}-wal") == 0
    async with opened(path) as (_, entries):
        assert [each.body for each in entries] == [b"y"]


class Usage(NamedTuple):
    free: int


@pytest.mark.parametrize("body", [3_000, 60_000])
async def test_a_small_disk_is_never_overrun_and_never_full_for_good(
    path: Path, monkeypatch: pytest.MonkeyPatch, body: int
) -> None:
    most, least = 0, 2_000_000

    def usage(folder: str) -> Usage:
        nonlocal most
        used = sum(each.stat().st_size for each in Path(folder).iterdir())
        most = max(most, used)
        return Usage(2_000_000 - used)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    async with opened(path) as (journal, _):
        journal._file._execute("PRAGMA synchronous = OFF")  # it is much quicker
        for _ in range(3):
            numbers: list[int] = []
            while isinstance(number := await journal.add([], None, b"x" * body, ignore), int):
                numbers.append(number)
            least = min(least, len(numbers) * body)
            for number in numbers:
                journal.finish(number)
            await until(lambda: not (journal._handled or journal._file._handled or journal._file.untidy))
    assert least > 1_000_000
    assert most < 2_000_000


async def test_it_shrinks_when_what_it_held_is_handled(path: Path) -> None:
    async with opened(path) as (journal, _):
        numbers = [await journal.add([], None, b"x" * 500_000, ignore) for _ in range(30)]
        assert size(path) > 10_000_000
        for number in numbers:
            assert isinstance(number, int)
            journal.finish(number)
        await until(lambda: size(path) + size(f"{path}-wal") < 4_000_000)
    assert size(path) < 100_000


@pytest.mark.parametrize("ending", ["", "-wal"])
async def test_a_file_in_its_place_takes_nothing(ending: str, path: Path) -> None:
    """The same goes for its log, where what was committed last stands alone."""
    async with opened(path) as (journal, _):
        await journal.add(["d:1"], "d1", b"one", ignore)
        part = path.with_name(path.name + ending)
        os.rename(part, path.parent / "moved.db")
        for _ in range(2):
            outcome = await journal.add(["d:2"], "d2", b"two", ignore)
            assert "was moved, replaced or deleted" in str(outcome)
            os.close(os.open(part, os.O_CREAT))
        os.replace(path.parent / "moved.db", part)
        assert isinstance(await journal.add(["d:2"], "d2", b"two", ignore), int)


async def test_a_thread_that_cannot_be_started_is_an_error_and_no_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    async with opened(path) as (journal, _):
        number = await journal.add(["d:1"], "d1", b"one", ignore)
        assert isinstance(number, int)
        with monkeypatch.context() as patch:
            patch.setattr(anyio.to_thread, "run_sync", refuse)
            journal.finish(number)
            outcome = await journal.add(["d:2"], "d2", b"two", ignore)
            assert isinstance(outcome, RuntimeError)
        assert isinstance(await journal.add(["d:2"], "d2", b"two", ignore), int)
    async with opened(path) as (_, entries):
        assert [each.body for each in entries] == [b"two"]


async def test_a_disk_that_is_gone_is_an_error_and_no_end(path: Path) -> None:
    async with opened(path) as (journal, _):
        journal._file._owned.connection.close()
        for _ in range(2):
            outcome = await journal.add([], None, b"one", ignore)
            assert isinstance(outcome, sqlite3.ProgrammingError)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncio_s_own_cancellation_leaves_nobody_without_a_result(path: Path) -> None:
    journal, _ = await open_journal(path, "platform", window=60)
    outcomes: list[Outcome] = []
    writing, go_on, write = threading.Event(), threading.Event(), journal._file.write

    def slow(adds: Sequence[Add]) -> Sequence[Outcome]:
        writing.set()
        go_on.wait(10)
        return write(adds)

    journal._file.write = slow  # type: ignore[method-assign]  # a slow disk
    writer = asyncio.create_task(journal.run())
    asker = asyncio.create_task(journal.add(["d:1"], "d1", b"one", outcomes.append))
    await until(writing.is_set)
    writer.cancel()
    await asyncio.sleep(0.01)
    assert not writer.done()
    go_on.set()
    assert isinstance(await asker, int)
    with pytest.raises(asyncio.CancelledError):
        await writer
    await journal.aclose()
    assert len(outcomes) == 1


async def test_the_files_are_the_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        async with opened(path) as (journal, _):
            await journal.add(["d:1"], "d1", b"one", ignore)
            names = sorted(os.listdir(path.parent))
            assert names == ["inbox.db", "inbox.db-lock", "inbox.db-shm", "inbox.db-wal"]
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


async def test_it_waits_for_its_owner_as_long_as_it_is_told(path: Path) -> None:
    waiting: list[Any] = []
    async with anyio.create_task_group() as group, opened(path) as (journal, _):
        await journal.add([], None, b"one", ignore)
        begun = anyio.current_time()
        with pytest.raises(ConfigurationError, match="is in use"):
            await open_journal(path, "platform", window=60, owner_wait=0.2)
        assert 0.2 <= anyio.current_time() - begun < 5  # an inbox that is not told waits for ten seconds

        async def wait() -> None:
            waiting.append(await open_journal(path, "platform", window=60, owner_wait=20))

        group.start_soon(wait)
        await anyio.sleep(0.1)
    [(journal, entries)] = waiting
    assert [each.body for each in entries] == [b"one"]
    await journal.aclose()


def _contents(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() if each.is_file() else b"" for each in path.parent.iterdir()}


def _foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


def _newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {module._KIND.application_id}")
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (_foreign, "is not the file of an inbox"),
        (_newer, "is the file of an inbox of a newer version of landbot_async"),
        (Path.mkdir, "is not a regular file"),
    ],
)
async def test_what_is_no_inbox_is_refused_and_left_as_it_is(path: Path, make: Any, fault: str) -> None:
    make(path)
    before = _contents(path)
    with pytest.raises(ConfigurationError, match=fault):
        await open_journal(path, "platform", window=60)
    assert _contents(path) == before


async def test_a_path_that_no_system_takes(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="embedded null"):
        await open_journal(path / "\0", "platform", window=60)


async def test_a_file_that_turns_out_to_be_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: File) -> list[Entry]:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as patch:
        patch.setattr(File, "entries", fail)
        with pytest.raises(ConfigurationError, match="cannot be used: database disk image is malformed"):
            await open_journal(path, "platform", window=60)
    async with opened(path):
        pass


async def test_a_directory_that_is_not_there(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened: No such file or directory"):
        await open_journal(path / "inbox.db", "platform", window=60)


async def test_the_file_of_another_source_is_refused(path: Path) -> None:
    async with opened(path, "apichat"):
        pass
    with pytest.raises(ConfigurationError, match="that of an inbox with another source"):
        await open_journal(path, "platform", window=60)


async def test_an_empty_file_becomes_an_inbox(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT))
    async with opened(path) as (journal, _):
        assert isinstance(await journal.add([], None, b"x", ignore), int)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_file_whose_opening_is_cancelled_is_free_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asyncio's own cancellation leaves the thread that opens it behind."""
    began, goes_on, real = threading.Event(), threading.Event(), module._open

    def slow(*args: Any, **options: Any) -> Any:
        opened = real(*args, **options)
        began.set()
        assert goes_on.wait(30)
        return opened

    monkeypatch.setattr(module, "_open", slow)
    opening = asyncio.create_task(open_journal(path, "platform", window=60))
    await until(began.is_set)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    with pytest.raises(ConfigurationError, match="in use"):
        await open_journal(path, "platform", window=60)
    goes_on.set()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback((await open_journal(path, "platform", window=60, owner_wait=30))[0].aclose)


async def test_a_file_whose_opening_is_cancelled_when_it_is_open_is_free_again(path: Path) -> None:
    opening = Opening(partial(module._open, path, "platform", window=60), module._close)
    opening.run()
    with pytest.raises(ConfigurationError, match="in use"):
        await open_journal(path, "platform", window=60)
    opening.leave()
    await (await open_journal(path, "platform", window=60))[0].aclose()


@pytest.mark.parametrize("what", ["write", "tidy"])
async def test_a_file_is_closed_after_the_thread_that_uses_it(
    path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the event loop may leave that thread behind."""
    owned = open_owned(path, module._KIND)
    file, began, goes_on = File(owned, "platform", window=60), threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        began.set()
        assert goes_on.wait(30)

    monkeypatch.setattr(type(owned), {"write": "check", "tidy": "tidy"}[what], slow)
    function = file.tidy if what == "tidy" else lambda: file.write([Add(["d:1"], None, b"one")])
    uses, closes = threading.Thread(target=function), threading.Thread(target=file.close)
    uses.start()
    await until(began.is_set)
    closes.start()
    closes.join(0.05)
    assert closes.is_alive()
    goes_on.set()
    for thread in (uses, closes):
        thread.join(30)
    async with opened(path) as (_, entries):
        assert len(entries) == (what == "write")
