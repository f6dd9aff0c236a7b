"""Each store of claims of ours keeps the promises of all stores."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from landbot_async.postgres import PostgresClaims
from landbot_async.redis import RedisClaims
from landbot_async.webhooks import Claims, MemoryClaims
from tests.shared.servers import Postgres, Valkey

from .claims import ClaimsConformance


class TestMemoryClaims(ClaimsConformance):
    @asynccontextmanager
    async def store(self) -> AsyncGenerator[Claims]:
        yield MemoryClaims()


@pytest.mark.real_time
class TestRedisClaims(ClaimsConformance):
    SHORT = 0.2

    @pytest.fixture(autouse=True)
    def _server(self, valkey: Valkey) -> None:
        self.valkey = valkey

    @asynccontextmanager
    async def store(self) -> AsyncGenerator[RedisClaims]:
        async with RedisClaims(self.valkey.url) as claims:
            yield claims


@pytest.mark.real_time
class TestPostgresClaims(ClaimsConformance):
    SHORT = 0.2

    @pytest.fixture(autouse=True)
    def _server(self, postgres: Postgres) -> None:
        self.postgres = postgres

    @asynccontextmanager
    async def store(self) -> AsyncGenerator[PostgresClaims]:
        async with PostgresClaims(self.postgres.url) as claims:
            yield claims
