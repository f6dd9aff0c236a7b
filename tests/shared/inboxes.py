"""A worker with an inbox in a process of its own, which shares its claims with others, and is killed at will.

It is asked through a pipe instead of a socket, which is quicker to start: a line with a name is a delivery of that
message. The worker writes the status, and a line for each message that is handled.
"""

from __future__ import annotations

import importlib
import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread

from landbot_async.webhooks import Inbox, TextMessage, receiver
from tests.helpers import until
from tests.webhooks.deliveries import TOKEN, delivery, headers

ROOT = Path(__file__).parents[2]
# Seconds that a claim lasts: of a worker that is killed, others have to wait for it.
CLAIM = 1.0


async def work(kind: str, url: str, durable: str | None, settle: float, dies: bool) -> None:
    """Take deliveries until the input ends: the life of a worker.

    Args:
        kind: the class of the claims, such as `redis.RedisClaims`.
        url: their store.
        durable: the pattern of the inboxes' files.
        settle: seconds before a message is handled.
        dies: true if it dies once it has claimed a message.
    """
    module, _, name = kind.partition(".")
    claims: Any = getattr(importlib.import_module(f"landbot_async.{module}"), name)(url)
    if dies:
        claims.keep = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        receiver._CLAIM = CLAIM  # type: ignore[misc]  # thirty seconds are long
    inbox = Inbox(TOKEN, claims=claims, durable=durable, settle=settle, queue_size=10_000)

    @inbox.on(TextMessage)
    async def handle(message: TextMessage) -> None:
        print("handled", message.text, flush=True)

    async def take(message: str) -> None:
        body = delivery(message, customer=1 + hash(message) % 1000, uuid=message)
        print(await inbox.receive(body, headers(message)), message, flush=True)

    async with inbox, anyio.create_task_group() as group:
        print("open", "-", flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            group.start_soon(take, line.strip())


class Worker:
    """A worker as its parent sees it.

    Attributes:
        handled: how often each message was handled.
        statuses: the status of the last delivery of each message.
    """

    def __init__(
        self, kind: str, url: str, durable: Path | None = None, *, settle: float = 0.0, dies: bool = False
    ) -> None:
        arguments = (kind, url, None if durable is None else str(durable), settle, dies)
        code = f"import anyio; from tests.shared.inboxes import work; anyio.run(work, *{arguments!r})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.handled = Counter[str]()
        self.statuses: dict[str, int] = {}
        self.is_open = anyio.Event()
        self.ended = anyio.Event()
        self._group = anyio.create_task_group()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        # The last line of a worker that is killed may be cut off.
        while (line := await anyio.to_thread.run_sync(self.process.stdout.readline)).endswith("\n"):
            what, message = line.split()
            if what == "open":
                self.is_open.set()
            elif what == "handled":
                self.handled[message] += 1
            else:
                self.statuses[message] = int(what)
        self.ended.set()

    async def deliver(self, *messages: str) -> None:
        """Begin deliveries, and wait for none."""
        await anyio.to_thread.run_sync(self._write, "".join(f"{message}\n" for message in messages))

    def _write(self, lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(lines)
        self.process.stdin.flush()

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._group.start_soon(self._read)
        await self.is_open.wait()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        await self.ended.wait()
        await anyio.to_thread.run_sync(self.process.communicate)
        await self._group.__aexit__(exc_type, exc, traceback)


def fresh(count: int) -> list[str]:
    """Return names of messages that nobody has delivered before: tests share their servers."""
    return [f"{secrets.token_hex(4)}-{number}" for number in range(count)]


async def each_is_handled_once(kind: str, url: str, count: int) -> None:
    """Check that of messages which four workers get at once, with copies, each is handled once.

    Args:
        kind: the class of the claims.
        url: their store.
        count: how many messages.
    """
    messages = fresh(count)
    async with (
        Worker(kind, url) as one,
        Worker(kind, url) as two,
        Worker(kind, url) as three,
        Worker(kind, url) as four,
    ):
        workers = (one, two, three, four)
        with anyio.fail_after(60 + count / 10):
            # Landbot makes a delivery again until it is taken.
            while untaken := [name for name in messages if all(each.statuses.get(name) != 200 for each in workers)]:
                async with anyio.create_task_group() as group:
                    for worker in (one, two):
                        group.start_soon(worker.deliver, *(2 * untaken))
                    # The other way round, or the first of them could be a step ahead at each message.
                    for worker in (three, four):
                        group.start_soon(worker.deliver, *reversed(2 * untaken))
                await anyio.sleep(0.5)
            await until(lambda: sum(each.handled.total() for each in workers) >= count)
        await anyio.sleep(0.2)
        handled = one.handled + two.handled + three.handled + four.handled
        twice = {name: number for name, number in handled.items() if number != 1}
        assert twice == {}
        # More than one of them had messages to handle.
        assert sum(1 for each in workers if each.handled) > 1


async def one_killed_before_its_answer(kind: str, url: str) -> None:
    """Check that a message whose worker died with its claim is handled once the claim has expired."""
    [message] = fresh(1)
    async with Worker(kind, url, dies=True) as doomed, Worker(kind, url) as other:
        begun = anyio.current_time()
        await doomed.deliver(message)
        with anyio.fail_after(60):
            await doomed.ended.wait()
        assert not doomed.statuses
        with anyio.fail_after(60):
            while other.statuses.get(message) != 200:
                await other.deliver(message)
                await anyio.sleep(0.1)
            assert anyio.current_time() - begun >= CLAIM - 0.1
            await until(lambda: other.handled)
        assert other.handled == Counter([message])


async def one_killed_after_its_answer(kind: str, url: str, folder: Path, count: int) -> None:
    """Check that what a worker has taken is handled after its restart, and once, although copies come.

    Args:
        kind: the class of the claims.
        url: their store.
        folder: keeps the workers' files.
        count: how many messages.
    """
    messages, pattern = fresh(count), folder / "inbox-{n}.db"
    async with Worker(kind, url, pattern, settle=60) as doomed, Worker(kind, url, pattern) as other:
        await doomed.deliver(*messages)
        with anyio.fail_after(60 + count / 10):
            await until(lambda: list(doomed.statuses.values()) == [200] * count)
        doomed.kill()
        await doomed.ended.wait()
        assert not doomed.handled
        await other.deliver(*messages)
        async with Worker(kind, url, pattern) as restarted:
            with anyio.fail_after(60 + count / 10):
                await until(lambda: restarted.handled.total() + other.handled.total() >= count)
            await anyio.sleep(0.2)
            assert restarted.handled + other.handled == Counter(messages)
            assert set(other.statuses.values()) == {200}
