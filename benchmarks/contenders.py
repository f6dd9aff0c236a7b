"""Limiters that play against each other in benchmarks/limiter.py, each from a message to the wire."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, NamedTuple

import httpx
from aiolimiter import AsyncLimiter
from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate, SingleBucketFactory
from stage import PER, RATE, TOKEN

from landbot_async import AsyncLandbot, LandbotError


class Stage(NamedTuple):
    """The surroundings of a contender: a client, the time, and random numbers."""

    base_url: str
    client: httpx.AsyncClient
    random: random.Random
    virtual: bool


Send = Callable[[int], Awaitable[bool]]
"""Sends one message; false if it is lost."""


@asynccontextmanager
async def landbot_async(stage: Stage) -> AsyncGenerator[Send]:
    """Send with the whole client. On loopback it makes its own pool, as it does for its users."""
    async with AsyncLandbot(
        TOKEN, base_url=stage.base_url, http_client=stage.client if stage.virtual else None
    ) as landbot:

        async def send(number: int) -> bool:
            try:
                await landbot.customers.send_text(number, "Hello from the API")
            except LandbotError:
                return False
            return True

        yield send


def retry_sample(stage: Stage, acquire: Callable[[], Awaitable[object]] | None = None) -> Send:
    """Landbot's documented sample: 429 alone is repeated, five attempts in all; each waits for the limiter, if any."""

    async def send(number: int) -> bool:
        for attempt in range(5):
            if attempt:
                await asyncio.sleep(min(2 ** (attempt - 1) * 0.1, 5) + stage.random.random() * 0.1)
            if acquire is not None:
                await acquire()
            response = await stage.client.post(
                f"{stage.base_url}customers/{number}/send_text/",
                json={"message": "Hello from the API"},
                headers={"Authorization": f"Token {TOKEN}"},
            )
            if response.status_code != 429:
                return response.is_success
        return False

    return send


@asynccontextmanager
async def aiolimiter(stage: Stage) -> AsyncGenerator[Send]:
    yield retry_sample(stage, AsyncLimiter(RATE, PER).acquire)


class _LoopBucket(InMemoryBucket):
    """pyrate-limiter's default bucket by the loop's clock, which is what virtual time needs."""

    def __init__(self, rates: list[Rate]) -> None:
        super().__init__(rates)
        self._loop = asyncio.get_running_loop()

    def now(self) -> int:
        return int(self._loop.time() * 1000)


@asynccontextmanager
async def pyrate(stage: Stage) -> AsyncGenerator[Send]:
    rate = Rate(RATE, Duration.SECOND)
    # Without its cleaning thread in virtual time, which would clean by the wall's clock.
    limiter = Limiter(SingleBucketFactory(_LoopBucket([rate]), schedule_leak=False) if stage.virtual else rate)
    try:
        yield retry_sample(stage, limiter.try_acquire_async)
    finally:
        limiter.close()


@asynccontextmanager
async def no_limiter(stage: Stage) -> AsyncGenerator[Send]:
    yield retry_sample(stage)


class Contender(NamedTuple):
    name: str
    tasks: int
    enter: Callable[[Stage], AbstractAsyncContextManager[Send]]


CONTENDERS: Final = (
    Contender("landbot_async", 32, landbot_async),
    Contender("aiolimiter(10, 1)", 32, aiolimiter),
    Contender("pyrate-limiter", 32, pyrate),
    Contender("retry sample, 20 tasks", 20, no_limiter),
)
OURS: Final = CONTENDERS[0]
