"""Files are opened in threads, which virtual time would race past: so these tests run in real time."""

import asyncio
import contextlib
import logging
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from landbot_async import ConfigurationError
from landbot_async.webhooks import Inbox, TextMessage
from landbot_async.webhooks import worker_files as module
from tests.helpers import breath, until
from tests.webhooks.deliveries import NOON, TOKEN, delivery, headers

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
# One inbox is opened before another is closed, in the same task: nurseries of trio cannot overlap.
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


class Worker:
    """A worker's inbox, and the texts that it has handled, with whether they were redelivered."""

    def __init__(self, path: Path, owner_wait: float = 10) -> None:
        self.inbox = Inbox(TOKEN, durable=path / "inbox-{n}.db", settle=0, owner_wait=owner_wait)
        self.got: list[tuple[str, bool]] = []
        self.inbox.on(TextMessage)(self.take)

    async def take(self, message: TextMessage) -> None:
        self.got.append((message.text, message.redelivered))

    async def post(self, text: str) -> None:
        assert await self.inbox.receive(delivery(text, at=NOON + int(text), uuid=text), headers(text)) == 200


class Stuck(Worker):
    """A worker whose handlers never end."""

    async def take(self, message: TextMessage) -> None:
        await anyio.sleep_forever()


@contextlib.asynccontextmanager
async def killed(worker: Worker) -> AsyncGenerator[None]:
    """Run a worker that an exception ends."""
    with contextlib.suppress(KeyError):
        async with breath(), worker.inbox:
            yield
            raise KeyError


async def leave(path: Path, *texts: str) -> None:
    """Leave messages in the first file that is free."""
    worker = Stuck(path, owner_wait=0)
    async with killed(worker):
        for text in texts:
            await worker.post(text)


def bodies(file: Path) -> int:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        count: int = connection.execute("SELECT count(*) FROM message").fetchone()[0]
        return count


def files(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir() if each.suffix == ".db")


async def test_each_worker_takes_the_first_file_that_is_free(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "landbot_async")
    one, two, three, four = (Worker(tmp_path) for _ in range(4))
    async with two.inbox:
        async with one.inbox:
            await one.post("1")
            assert files(tmp_path) == ["inbox-1.db", "inbox-2.db"]
        async with three.inbox, four.inbox:
            assert files(tmp_path) == ["inbox-1.db", "inbox-2.db", "inbox-3.db"]
    numbers = [each.getMessage()[-4] for each in caplog.records if "has the file" in each.getMessage()]
    assert numbers == ["1", "2", "2", "3"]
    assert one.got == [("1", False)]


async def test_messages_that_are_left_in_other_files_are_handled(tmp_path: Path) -> None:
    """Four workers are killed, and one starts."""
    workers = [Stuck(tmp_path) for _ in range(4)]
    async with contextlib.AsyncExitStack() as stack:
        for number, worker in enumerate(workers):
            await stack.enter_async_context(killed(worker))
            for text in range(10):
                await worker.post(str(number * 10 + text))
    next_one = Worker(tmp_path)
    async with next_one.inbox:
        await until(lambda: len(next_one.got) == 40)
        await next_one.inbox.idle()
    assert Counter(next_one.got) == Counter((str(number), True) for number in range(40))
    assert [bodies(tmp_path / name) for name in files(tmp_path)] == [0, 0, 0, 0]


@on_asyncio
async def test_a_reload_hands_messages_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new worker starts while the old one still has the first file."""
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.02)
    old, new = Stuck(tmp_path), Worker(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        async with killed(old):
            await old.post("1")
            await stack.enter_async_context(new.inbox)
            await new.post("2")
            await new.inbox.idle()
            await anyio.sleep(0.1)
            assert new.got == [("2", False)]
        await until(lambda: len(new.got) == 2)
        assert new.got == [("2", False), ("1", True)]


@on_asyncio
async def test_nobody_looks_at_other_files_for_longer_than_owner_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.02)
    old, new = Stuck(tmp_path), Worker(tmp_path, owner_wait=0)
    async with contextlib.AsyncExitStack() as stack:
        async with killed(old):
            await old.post("1")
            await stack.enter_async_context(new.inbox)
            await anyio.sleep(0.1)
        await anyio.sleep(0.1)
    assert new.got == []
    assert bodies(tmp_path / "inbox-1.db") == 1


async def test_whoever_leaves_at_once_loses_nothing(tmp_path: Path) -> None:
    first = Stuck(tmp_path, owner_wait=0)
    async with killed(first):
        await leave(tmp_path, *map(str, range(20)))
    async with killed(Stuck(tmp_path)):
        pass
    assert sum(bodies(tmp_path / name) for name in files(tmp_path)) == 20
    last = Worker(tmp_path)
    async with last.inbox:
        await until(lambda: len(last.got) == 20)


async def test_a_message_that_was_seen_is_not_handled_again(tmp_path: Path) -> None:
    """Two workers without shared claims have got the same delivery."""
    first = Worker(tmp_path, owner_wait=0)
    async with first.inbox:
        await first.post("1")
        await leave(tmp_path, "1", "2")
    again = Worker(tmp_path)
    async with again.inbox:
        await until(lambda: again.got)
        await anyio.sleep(0.1)
    assert again.got == [("2", True)]
    assert bodies(tmp_path / "inbox-2.db") == 0


@on_asyncio
async def test_a_message_that_comes_back_to_its_first_file_is_handled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two reloads before it is handled: from the first file to the second and back."""
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.02)
    first, second, third = Stuck(tmp_path), Stuck(tmp_path), Worker(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        async with killed(first):
            await first.post("1")
            await stack.enter_async_context(killed(second))
        await until(lambda: [bodies(tmp_path / name) for name in files(tmp_path)] == [0, 1])
    async with third.inbox:
        await until(lambda: third.got)
        await third.inbox.idle()
    assert third.got == [("1", True)]
    assert [bodies(tmp_path / name) for name in files(tmp_path)] == [0, 0]


@pytest.mark.parametrize("cancel", ["anyio", "asyncio"])
@on_asyncio
async def test_workers_that_are_cancelled_at_any_moment_lose_nothing(tmp_path: Path, cancel: str) -> None:
    """Their openings and their moves, again and again; the last worker handles all."""
    chance = random.Random(5)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(3):
            worker = Stuck(tmp_path)
            await stack.enter_async_context(killed(worker))
            for text in range(10):
                await worker.post(str(10 * number + text))

    async def run() -> None:
        async with Stuck(tmp_path, owner_wait=0.2).inbox:
            await anyio.sleep_forever()

    for _ in range(30):
        moment = chance.uniform(0, 0.03)
        if cancel == "anyio":
            with anyio.move_on_after(moment):
                await run()
        else:
            task = asyncio.create_task(run())
            await asyncio.sleep(moment)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    last = Worker(tmp_path)
    async with last.inbox:
        await until(lambda: len(last.got) >= 30)
        await last.inbox.idle()
    assert {text for text, _ in last.got} == {str(number) for number in range(30)}
    assert sum(bodies(tmp_path / name) for name in files(tmp_path)) == 0


async def test_what_cannot_be_moved_stays(tmp_path: Path) -> None:
    first = Worker(tmp_path, owner_wait=0)
    async with first.inbox:
        await leave(tmp_path, "1")
        (tmp_path / "inbox-1.db").rename(tmp_path / "moved")
        files_ = module.WorkerFiles(tmp_path / "inbox-{n}.db", "platform", window=60)
        files_._own = tmp_path / "inbox-1.db"
        opened = first.inbox._open
        assert opened is not None
        assert opened.journal is not None
        await files_.take_over(opened.journal, first.inbox._unhandled, opened.dispatcher.expect, seconds=0)
        assert opened.dispatcher.held == 0
    assert first.got == []
    assert bodies(tmp_path / "inbox-2.db") == 1


async def test_a_file_of_another_program_stays_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("inbox-3.db", "inbox-x.db", "inbox-02.db", "inbox-4.db.bak"):
        (tmp_path / name).write_text("mine")
    worker = Worker(tmp_path)
    async with worker.inbox:
        await until(lambda: caplog.records)
        await worker.post("1")
    (record,) = caplog.records
    assert record.getMessage().startswith("a file of another worker is left as it is: The inbox's file ")
    assert record.getMessage().endswith("inbox-3.db is not the file of an inbox.")
    assert (tmp_path / "inbox-3.db").read_text() == "mine"
    (tmp_path / "inbox-1.db").write_text("mine too")
    with pytest.raises(ConfigurationError, match=r"inbox-1\.db is not the file of an inbox"):
        await worker.inbox.__aenter__()


async def test_there_is_an_end_of_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 1)
    one, two = Worker(tmp_path), Worker(tmp_path)
    async with one.inbox:
        with pytest.raises(ConfigurationError, match=r"inbox-\{n\}\.db are all in use, up to number 1"):
            await two.inbox.__aenter__()


async def test_the_number_may_stand_there_twice(tmp_path: Path) -> None:
    for _ in range(2):
        inbox = Inbox(TOKEN, durable=tmp_path / "{n}-{n}.db")
        async with inbox:
            assert files(tmp_path) == ["1-1.db"]
    found = module.WorkerFiles(tmp_path / "{n}-{n}.db", "platform", window=60)
    for name in ("2-2.db", "2-3.db"):
        (tmp_path / name).touch()
    assert [each.name for each in found._others()] == ["1-1.db", "2-2.db"]
