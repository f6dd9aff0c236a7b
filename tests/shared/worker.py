"""What a process does that takes turns of a shared limit: it prints the store's time of each start, in microseconds."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from tests.documents import ROOT


async def take_turns(kind: str, url: str, key: str, tasks: int, seconds: float) -> None:
    """Take as many turns as there are for some seconds.

    Args:
        kind: the class of the bucket, such as `redis.RedisTokenBucket`.
        url: the store.
        key: the limit.
        tasks: how many tasks do so.
        seconds: how long, from the first turn on.
    """
    module, _, name = kind.partition(".")
    limiter = getattr(importlib.import_module(f"landbot_async.{module}"), name)(url, key=key, on_store_error="wait")

    async def work() -> None:
        while True:
            ticket = await limiter.acquire()
            print(ticket._start.at, flush=True)

    async with limiter:
        await limiter.acquire()
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                for _ in range(tasks):
                    group.start_soon(work)


@asynccontextmanager
async def other_process(arguments: Sequence[object]) -> AsyncGenerator[list[str]]:
    """Let another process, on trio, take turns as well, from when it has begun. Its output is there at the end."""
    code = f"import anyio; from tests.shared.worker import take_turns; anyio.run(take_turns, *{arguments!r}, backend='trio')"
    output: list[str] = []
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: ASYNC220  # it is quick
    assert process.stdout is not None
    output.append(await anyio.to_thread.run_sync(process.stdout.readline))
    yield output
    output[0] += (await anyio.to_thread.run_sync(process.communicate))[0]
    assert process.returncode == 0
