"""Each store of claims of ours keeps the promises of all stores."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from landbot_async.webhooks import Claims, MemoryClaims

from .claims import ClaimsConformance


class TestMemoryClaims(ClaimsConformance):
    @asynccontextmanager
    async def store(self) -> AsyncGenerator[Claims]:
        yield MemoryClaims()
