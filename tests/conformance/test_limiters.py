"""Each limiter of ours keeps the promises of all limiters."""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import redis.asyncio

from landbot_async import TokenBucket
from landbot_async.postgres import PostgresTokenBucket
from landbot_async.redis import RedisTokenBucket
from tests.shared.servers import Postgres, Valkey

from .limiters import LimiterConformance, PriorityConformance


class Simple:
    """The least that a limiter can be: evenly spaced starts, and no optional part."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._turn = anyio.Lock()
        self._next = 0.0

    async def acquire(self) -> None:
        async with self._turn:
            while anyio.current_time() < self._next:  # noqa: ASYNC110  # a pause may move it
                await anyio.sleep_until(self._next)
            self._next = anyio.current_time() + self._gap

    async def pause(self, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError("seconds must be a finite time")
        self._next = max(self._next, anyio.current_time() + seconds)


class TestSimpleLimiter(LimiterConformance):
    """The suite asks nothing of a limiter that it does not have to do."""

    @asynccontextmanager
    async def limiter(self) -> AsyncGenerator[Simple]:
        yield Simple(self.gap * 1.01)


class TestTokenBucket(PriorityConformance):
    @asynccontextmanager
    async def limiter(self) -> AsyncGenerator[TokenBucket]:
        yield TokenBucket(self.RATE, self.PER)


# In real time each is tried on one event loop: the waiting, which is the same for all, is tried on both in
# tests/core/test_shared_limiter.py.


@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
class TestRedisTokenBucket(PriorityConformance):
    PER = 0.2
    LATE = 3.0
    EARLY = 0.08

    @pytest.fixture(autouse=True)
    def _server(self, valkey: Valkey) -> None:
        self.valkey = valkey

    @asynccontextmanager
    async def limiter(self) -> AsyncGenerator[RedisTokenBucket]:
        # A machine that has no time for the server is no reason to fail.
        options: Any = {"rate": self.RATE, "per": self.PER, "on_store_error": "wait"}
        async with (
            redis.asyncio.Redis.from_url(self.valkey.url) as client,
            RedisTokenBucket(client, key=secrets.token_hex(8), **options) as bucket,
        ):
            yield bucket


@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
class TestPostgresTokenBucket(PriorityConformance):
    PER = 0.2
    LATE = 3.0
    EARLY = 0.08

    @pytest.fixture(autouse=True)
    def _server(self, postgres: Postgres) -> None:
        self.postgres = postgres

    @asynccontextmanager
    async def limiter(self) -> AsyncGenerator[PostgresTokenBucket]:
        options: Any = {"rate": self.RATE, "per": self.PER, "on_store_error": "wait"}
        async with PostgresTokenBucket(self.postgres.url, key=secrets.token_hex(8), **options) as bucket:
            yield bucket
