"""A sandbox on disk: what is there again after an end, and after none."""

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async._core.sqlite import open_owned
from landbot_async.sandbox import Sandbox, SandboxRequest
from landbot_async.sandbox.workspace.records import BEGINNING
from landbot_async.sandbox.workspace.storage import _KIND

pytestmark = pytest.mark.anyio


def seen(sandbox: Sandbox) -> dict[str, Any]:
    """All that has to last."""
    space = sandbox._workspace
    return {
        "customers": list(sandbox.customers),
        "channels": space.channels,
        "hooks": space.hooks,
        "next": (space.next_customer, space.next_hook, space.next_message),
        "token": sandbox.token,
    }


async def test_everything_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    async with Sandbox(customers=5, db=path) as first, first.client() as landbot, first.apichat() as chat:
        await landbot.customers.send_text(1, "Olá \N{BALLOON}")
        await landbot.fields.create(1, "tags", {"a": [1, None]}, extra={"b": 2})
        await landbot.customers.assign(2)
        await landbot.customers.delete(3)
        await landbot.customers.archive(4)
        hook = await landbot.hooks.create(8, "https://bot.example/", token="hook-s3cret", name="mine")
        await landbot.hooks.create(9, "https://bot.example/")
        await landbot.hooks.delete(9, 2)
        await chat.send_text("tg-1", "Hello", customer={"name": "Ava"})
        first.write(1, "Hello")
        first.add_customer("First", place=0)
        first.add_customer("Last")
        first.delete_customer(8)
        first.add_channel("Other", type="apichat", url="https://bridge.example/")
        first.tick(hours=25)
        first.customer(5).blocked = True
        first.channel(9).active = False
        before, end = seen(first), first.now
    async with Sandbox(customers=100, db=str(path)) as second, second.client() as landbot:
        assert seen(second) == before
        assert [each.id for each in second.customers] == [7, 1, 6, 2, 4, 5]
        assert second.now == pytest.approx(end, abs=1.0)
        assert second.now >= BEGINNING + 25 * 3600
        assert (await landbot.hooks.get(8, hook.id)).token == "hook-s3cret"
        assert len(await landbot.customers.messages(1)) == 5  # one was there before
        second.write(6, "Again")
        assert second.add_customer().id == 9
        assert [each.id for each in second.messages(6)] == sorted(each.id for each in second.messages(6))
        # Of one run alone.
        assert [each.type for each in second.sent] == ["bot"] * 2
    third = Sandbox(db=path, token="mine")
    assert third.token == "mine"
    assert [each.id for each in third.customers] == [9, 6, 7, 1, 2, 4, 5]


async def test_a_message_keeps_its_trace(tmp_path: Path) -> None:
    """A message of the next run is none of this one's to whoever receives both."""
    traces: list[str] = []
    for number in range(2):
        async with Sandbox(customers=1, db=tmp_path / "sandbox.db", bot=False) as sandbox, sandbox.client() as landbot:
            if not number:
                await landbot.hooks.create(8, "https://beyond.example/")
            sandbox.write(1, "Hello")
            await sandbox.settled()
            traces += [each.delivery_id for each in sandbox.deliveries]
    assert len(set(traces)) == 2


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    path.touch(0o644)
    sandbox = Sandbox(customers=1, db=path)
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["sandbox.db", "sandbox.db-lock", "sandbox.db-shm", "sandbox.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert sandbox.customer(1).id == 1


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    first = Sandbox(customers=1, db=path)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"sandbox\.db is in use, by another process or elsewhere in this one\."):
            Sandbox(db=path)
        path.read_bytes()
    assert first.add_customer().id == 2


def _text(path: Path) -> None:
    path.write_text("My diary. " * 500)


def _foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")


def _kept(path: Path) -> None:
    storage = Sandbox(customers=5, db=path)._storage
    assert storage is not None
    storage._file.close()


def _changed(statement: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        _kept(path)
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)

    return make


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (_text, "is not the file of a sandbox"),
        (_foreign, "is not the file of a sandbox"),
        (_changed("PRAGMA user_version = 2"), "is the file of a sandbox of a newer version of landbot_async"),
        (_changed("UPDATE customers SET value = 'x'"), r"is damaged: a record cannot be read \(JSONDecodeError\)"),
        (_changed("UPDATE customers SET value = '[]'"), r"is damaged: a record cannot be read \(TypeError\)"),
        (_changed("UPDATE customers SET value = '{}'"), r"is damaged: a record cannot be read \(TypeError\)"),
        (_changed("DELETE FROM about WHERE name = 'now'"), r"is damaged: a record cannot be read \(KeyError\)"),
        (_changed("UPDATE about SET value = '1' WHERE name = 'next'"), r"is damaged: a record cannot be read"),
        (_changed("UPDATE about SET value = '[3]' WHERE name = 'channels'"), r"is damaged: a record cannot be read"),
        (_changed("UPDATE about SET value = x'ff' WHERE name = 'now'"), r"is damaged: a record cannot be read"),
        (_changed("INSERT INTO messages VALUES (99, 77, '[1, 2, [1, 2, 3], 4, {}]')"), r"is damaged: a record cannot"),
    ],
)
def test_what_is_no_sandbox_or_damaged_stays_as_it_is(tmp_path: Path, make: Callable[[Path], None], fault: str) -> None:
    path = tmp_path / "sandbox.db"
    make(path)
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=fault) as raised:
        Sandbox(db=path)
    assert "\n" not in str(raised.value)
    assert [each.name for each in tmp_path.iterdir()] == ["sandbox.db"]
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (before, 0o644)


def test_a_file_begun_and_not_filled_is_new(tmp_path: Path) -> None:
    open_owned(tmp_path / "sandbox.db", _KIND).close()
    assert len(Sandbox(customers=3, db=tmp_path / "sandbox.db").customers) == 3


def test_no_such_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Sandbox(db=tmp_path / "nowhere" / "sandbox.db")


KILLED = """
import anyio, sys
from landbot_async.sandbox import SandboxRequest, Sandbox

async def main():
    sandbox = Sandbox(customers=3, db=sys.argv[1], window="off")
    body = b'{"message": "Hello"}'
    for customer in (2, 3, 1, 3):
        await sandbox.handle(SandboxRequest("POST", f"/v1/customers/{customer}/send_text/", {}, f"Token {sandbox.token}", body))
    number = 0
    while True:
        number += 1
        body = b'{"message": "%d"}' % number
        await sandbox.handle(SandboxRequest("POST", "/v1/customers/3/send_text/", {}, f"Token {sandbox.token}", body))
        print(number, flush=True)

anyio.run(main)
"""


def test_killed_it_has_lost_nothing_that_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(50)]
    os.kill(process.pid, signal.SIGKILL)
    lines += process.stdout.read().splitlines()
    process.stdout.close()
    process.wait()
    answered = int([line for line in lines if line.strip()][-1])
    again = Sandbox(db=path)
    texts = [each.text for each in again.messages(3)[2:]]
    assert texts == [str(number) for number in range(1, len(texts) + 1)]
    assert len(texts) in (answered, answered + 1)
    assert [each.id for each in again.customers] == [3, 1, 2]
    assert again._workspace.next_message == len(texts) + 5


async def test_without_a_block_changes_are_kept_as_well(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    first = Sandbox(customers=1, db=path)
    await first.handle(SandboxRequest("PUT", "/v1/customers/1/block/", {}, f"Token {first.token}", b""))
    assert first._storage is not None
    first._storage._file.close()
    assert Sandbox(db=path).customer(1).blocked
    await anyio.lowlevel.checkpoint()
