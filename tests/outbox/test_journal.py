"""The file of the Outbox: who owns it, whose it is, and what a full disk does; in real time, as `test_outbox.py`."""

import asyncio
import contextlib
import os
import sqlite3
import stat
import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from landbot_async import (
    AsyncLandbot,
)
from landbot_async._core.errors import (
    JournalFullError,
    JournalInUseError,
    JournalMismatchError,
    OutboxError,
)
from landbot_async._core.sqlite import open_owned
from landbot_async.outbox import (
    Outbox,
    OutboxReader,
)
from landbot_async.outbox.journal import sqlite
from landbot_async.outbox.journal.sqlite import KIND
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox
from tests.helpers import TOKEN, Unlimited, cancelled

from .helpers import copy_of, counts, keys, read, receipts, texts

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


def of_a_later_format(path: Path) -> None:
    open_owned(path, KIND).close()
    with path.open("r+b") as data:
        data.seek(44)
        data.write(b"\0\0\0\x09")


class TestTheJournal:
    async def test_it_is_its_owner_s_alone(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            modes = {name: stat.S_IMODE(os.stat(path.parent / name).st_mode) for name in os.listdir(path.parent)}
            assert set(modes.values()) == {0o600}
            assert len(modes) == 4
        assert os.listdir(path.parent) == ["spring.campaign"]

    async def test_one_outbox_owns_it(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot):
            begun = clock.monotonic()
            with pytest.raises(JournalInUseError, match="one Outbox owns it at a time"):
                await Outbox(path, landbot, name="other").__aenter__()
            # Said first, whatever else is wrong.
            async with sandbox.client(limiter=Unlimited()) as other:
                other._engine.connection.base_url = "https://elsewhere.invalid/v1/"
                with pytest.raises(JournalInUseError):
                    await Outbox(path, other).__aenter__()
            assert clock.monotonic() - begun < 4  # SQLite itself would wait for five seconds
        async with Outbox(path, landbot, name="other"):
            pass

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    async def test_it_is_free_again_after_asyncio_cancels_its_opening(
        self, path: Path, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop, open_file = asyncio.get_running_loop(), sqlite._open

        def slow(*args: Any, **options: Any) -> Any:
            opened = open_file(*args, **options)
            loop.call_soon_threadsafe(opening.cancel)
            clock.sleep(0.05)
            return opened

        with monkeypatch.context() as patch:
            patch.setattr(sqlite, "_open", slow)
            opening = asyncio.create_task(Outbox(path, landbot).__aenter__())
            done, _ = await asyncio.wait([opening], timeout=10)
        assert done
        assert opening.cancelled()
        async with Outbox(path, landbot) as outbox:
            assert await outbox.text(1, "Hi", key="a")

    @pytest.mark.parametrize("natively", [False, True])
    async def test_one_that_is_cancelled_as_it_opens_lets_the_file_go(
        self, path: Path, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch, natively: bool
    ) -> None:
        recover, cancels = Store.recover, list[Callable[[], object]]()

        def cancelling(store: Store) -> None:
            anyio.from_thread.run_sync(cancels[0])
            recover(store)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "recover", cancelling)
            await cancelled(Outbox(path, landbot).__aenter__, cancels, natively=natively)
        async with Outbox(path, landbot) as outbox:
            assert await counts(outbox) == {}

    async def test_it_belongs_to_its_token(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot):
            pass
        async with AsyncLandbot(TOKEN, base_url=landbot.base_url) as other:
            with pytest.raises(JournalMismatchError, match="belongs to another token") as raised:
                await Outbox(path, other).__aenter__()
        assert TOKEN not in str(raised.value)
        assert landbot._engine.connection.token.reveal().encode() not in read(path)

    async def test_and_to_its_base_url(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot):
            pass
        async with AsyncLandbot(sandbox.token, base_url="https://other.invalid/v1/") as other:
            with pytest.raises(
                JournalMismatchError, match=r"belongs to https://sandbox\.invalid/v1/, and this client to"
            ):
                await Outbox(path, other).__aenter__()

    async def test_a_copy_would_send_again(self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
        copy = path.parent / "copy.campaign"
        copy_of(path, copy)
        with pytest.raises(JournalMismatchError, match="is a copy"):
            await Outbox(copy, landbot).__aenter__()
        os.remove(path)
        async with Outbox(copy, landbot, moved=True) as outbox:
            assert await keys(outbox) == ["k1"]
        async with Outbox(copy, landbot):
            pass
        # Moving is not copying.
        os.rename(copy, path)
        async with Outbox(path, landbot):
            pass

    @pytest.mark.parametrize(
        ("make", "error", "text"),
        [
            (lambda path: path.write_text("My diary. " * 50), JournalMismatchError, "is not the file of an outbox"),
            (lambda path: path.mkdir(), JournalMismatchError, "is not a regular file"),
            (of_a_later_format, OutboxError, "cannot be used: unsupported file format"),
        ],
    )
    async def test_something_else_is_left_alone(
        self, path: Path, landbot: AsyncLandbot, make: Callable[[Path], object], error: type[Exception], text: str
    ) -> None:
        make(path)
        with pytest.raises(error, match=text):
            await Outbox(path, landbot).__aenter__()
        with pytest.raises(error, match=text):
            await OutboxReader(path).counts()

    async def test_a_newer_version_s(self, path: Path, landbot: AsyncLandbot) -> None:
        async with Outbox(path, landbot):
            pass
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        with pytest.raises(JournalMismatchError, match="of a newer version of landbot_async"):
            await Outbox(path, landbot).__aenter__()

    async def test_a_folder_that_is_not_there(self, path: Path, landbot: AsyncLandbot) -> None:
        for ask in (Outbox(path / "x", landbot).__aenter__, OutboxReader(path / "x").counts):
            with pytest.raises(OutboxError, match="cannot be opened"):
                await ask()

    @pytest.mark.parametrize("ending", ["", "-wal"])
    async def test_a_file_in_its_place_sends_nothing(
        self, ending: str, path: Path, sandbox: Sandbox, landbot: AsyncLandbot
    ) -> None:
        """The same goes for its log, where what was committed last stands alone."""
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            part = path.with_name(path.name + ending)
            os.rename(part, path.parent / "moved.campaign")
            with pytest.raises(JournalMismatchError, match="was moved, replaced or deleted"):
                await outbox.add_many(texts(2))
            with pytest.raises(JournalMismatchError):
                await receipts(outbox)
            assert sandbox.received == 0
            os.rename(path.parent / "moved.campaign", part)
            assert await keys(outbox) == ["k1"]


def full(*_: Any, **__: Any) -> Any:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


class TestAFullDisk:
    async def test_when_queueing(self, path: Path, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch) -> None:
        async with Outbox(path, landbot) as outbox:
            with monkeypatch.context() as patch:
                patch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 1000}))
                with pytest.raises(JournalFullError, match="cannot grow: the disk is full"):
                    await outbox.text(1, "Hi", key="a")
            await outbox.text(1, "Hi", key="a")

    async def test_at_the_mark_nothing_leaves(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2, 4))
            with monkeypatch.context() as patch:
                patch.setattr(Store, "mark", full)
                with pytest.raises(JournalFullError):
                    await receipts(outbox)
            assert sandbox.received == 0
            assert await counts(outbox) == {"queued": 3}
            assert len(await receipts(outbox)) == 3

    async def test_at_the_claim(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1))
            with monkeypatch.context() as patch:
                patch.setattr(Store, "claim", full)
                with pytest.raises(JournalFullError):
                    await receipts(outbox)
            assert await keys(outbox) == ["k1"]

    @pytest.mark.parametrize("ends", [False, True])
    async def test_at_the_result_it_is_kept_until_it_can_be_written(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch, ends: bool
    ) -> None:
        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            with monkeypatch.context() as patch:
                patch.setattr(Store, "_settle", full)
                with pytest.raises(JournalFullError):
                    await receipts(outbox)
                reached = len(sandbox.sent)
                assert reached >= 1
                assert (await counts(outbox))["sending"] == reached
                with pytest.raises(JournalFullError):
                    await outbox.cancel()
            if not ends:
                assert (await counts(outbox))["sent"] == reached
                await receipts(outbox)
        async with Outbox(path, landbot) as outbox:
            await receipts(outbox)
            assert await counts(outbox) == {"sent": 2}
        assert len(sandbox.sent) == 2

    async def test_it_never_comes_back(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_settle", full)
            async with Outbox(path, landbot) as outbox:
                await outbox.add_many(texts(1))
                with pytest.raises(JournalFullError):
                    await receipts(outbox)
        async with Outbox(path, landbot) as outbox:
            assert await counts(outbox) == {"unknown": 1}

    async def test_any_other_trouble_of_the_database(
        self, path: Path, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: Store) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        async with Outbox(path, landbot) as outbox:
            monkeypatch.setattr(Store, "counts", broken)
            with pytest.raises(OutboxError, match="cannot be used: database disk image is malformed"):
                await outbox.counts()


class TestNoThread:
    """A system may have no thread to spare."""

    async def test_a_result_is_written_later(
        self, path: Path, sandbox: Sandbox, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_sync, failures = anyio.to_thread.run_sync, [1]

        async def run(function: Any, **options: Any) -> Any:
            if getattr(getattr(function, "func", None), "__name__", "") == "_settled" and failures:
                raise RuntimeError(f"can't start new thread {failures.pop()}")
            return await run_sync(function, **options)

        async with Outbox(path, landbot) as outbox:
            await outbox.add_many(texts(1, 2))
            monkeypatch.setattr(anyio.to_thread, "run_sync", run)
            with pytest.raises(OutboxError, match="no thread could be started"):
                await receipts(outbox)
            await receipts(outbox)
            assert await counts(outbox) == {"sent": 2}
            assert len(sandbox.sent) == 2

    async def test_one_is_needed_to_open_it_and_to_look_into_it(
        self, path: Path, landbot: AsyncLandbot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def run(*_: Any, **__: Any) -> Any:
            raise RuntimeError("can't start new thread")

        async with Outbox(path, landbot):
            pass
        with monkeypatch.context() as patch:
            patch.setattr(anyio.to_thread, "run_sync", run)
            with pytest.raises(OutboxError, match="no thread could be started"):
                await OutboxReader(path).counts()
            with pytest.raises(OutboxError, match="no thread could be started"):
                await Outbox(path, landbot).__aenter__()
        async with Outbox(path, landbot) as outbox:
            assert await counts(outbox) == {}
