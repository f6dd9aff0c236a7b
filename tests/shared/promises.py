"""Promises of a shared limit that need a server or another process."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio import current_time

from landbot_async.redis import limiter_key
from tests.conformance.limiters import most_in
from tests.helpers import until

from .servers import Server
from .worker import other_process, take_turns


async def goes_on_after_a_restart(bucket: Any, server: Server, *, away: float, soon: float) -> None:
    """Check that nobody starts while the server is away, and that all go on when it is back.

    Args:
        bucket: waits for its store.
        server: keeps the limit. It is killed and started again.
        away: seconds for which it is away, at the least.
        soon: seconds after which somebody has started again, at the most.
    """
    starts = list[float]()

    async def send() -> None:
        while True:
            await bucket.acquire()
            starts.append(current_time())

    killed = back = 0.0
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(send)
        await anyio.sleep(0.5)
        server.kill()
        killed = current_time()
        await anyio.sleep(away)
        server.start()
        back = current_time()
        await until(lambda: any(at > back for at in starts))
        await anyio.sleep(bucket.per)
        group.cancel_scope.cancel()
    assert [at for at in starts if killed + 0.05 < at < back] == []
    assert min(at for at in starts if at > back) - back <= soon
    assert most_in(starts, bucket.per - 0.05) <= 10
    await bucket.aclose()


async def two_processes_share_it(kind: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that two processes keep to one limit, by the store's clock, and that both get turns."""
    arguments = (kind, url, limiter_key("f00dface", "https://api.landbot.io/v1/"), 5, 2.0)
    async with other_process(arguments) as other:
        await take_turns(*arguments)
    starts = [[int(line) / 1e6 for line in text.split()] for text in (capsys.readouterr().out, *other)]
    together = sorted(at for each in starts for at in each)
    assert most_in(together, 1.0) <= 10
    assert len(together) >= 8
    assert min(map(len, starts)) >= 2
