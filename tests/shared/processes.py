"""Processes that share a limit, over a store in virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio import create_task_group, current_time

from landbot_async._core.shared_limiter import SharedTokenBucket
from tests.conformance.limiters import Client
from tests.shared.model import MemoryStore, Remote


def bucket(remote: Remote, **options: Any) -> SharedTokenBucket:
    """Return a bucket as another process would have it."""
    given: dict[str, Any] = {"rate": 10, "per": 1.0, "on_store_error": "raise", **options}
    return SharedTokenBucket(MemoryStore(remote), **given)


class Process(Client):
    """A process that sends as fast as it may."""

    async def send_always(self) -> None:
        while True:
            await self.send(len(self.starts))


@asynccontextmanager
async def running(
    remote: Remote, count: int, *, tasks: int = 5, seconds: float = 13.0, **options: Any
) -> AsyncGenerator[list[Process]]:
    """Run some processes beside the block, and then until `seconds` have passed."""
    processes = [Process(bucket(remote, **options)) for _ in range(count)]
    async with create_task_group() as group:
        for process in processes:
            for _ in range(tasks):
                group.start_soon(process.send_always)
        end = current_time() + seconds
        yield processes
        await anyio.sleep_until(end)
        group.cancel_scope.cancel()


def all_starts(processes: list[Process]) -> list[float]:
    return sorted(at for process in processes for at in process.times)
