"""Each store of claims of ours keeps the promises of all stores."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from landbot_async.postgres import PostgresClaims
from landbot_async.redis import RedisClaims
from landbot_async.webhooks import Claims, MemoryClaims
from tests.shared.servers import Postgres, Valkey

from .claims import ClaimsConformance, SharedClaimsConformance


class TestMemoryClaims(ClaimsConformance):
    @asynccontextmanager
    async def store(self) -> AsyncGenerator[Claims]:
        yield MemoryClaims()


@pytest.mark.real_time
class TestRedisClaims(SharedClaimsConformance):
    SHORT = 0.2

    @pytest.fixture(autouse=True)
    def _server(self, valkey: Valkey) -> None:
        self.valkey = valkey

    @asynccontextmanager
    async def named(self, key: str) -> AsyncGenerator[RedisClaims]:
        async with RedisClaims(self.valkey.url, key=key) as claims:
            yield claims


@pytest.mark.real_time
class TestPostgresClaims(SharedClaimsConformance):
    SHORT = 0.2

    @pytest.fixture(autouse=True)
    def _server(self, postgres: Postgres) -> None:
        self.postgres = postgres

    @asynccontextmanager
    async def named(self, key: str) -> AsyncGenerator[PostgresClaims]:
        async with PostgresClaims(self.postgres.url, key=key) as claims:
            yield claims
