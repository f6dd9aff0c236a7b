"""Fixtures of the Outbox: a sandbox without WhatsApp's window, a quick client of it, and a file."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from landbot_async import (
    AsyncLandbot,
    TokenBucket,
)
from landbot_async.sandbox import Sandbox

from .helpers import QUICK


@pytest.fixture
async def sandbox(anyio_backend: Any) -> AsyncIterator[Sandbox]:
    async with Sandbox(customers=50, window="off") as sandbox:
        yield sandbox


@pytest.fixture
async def landbot(sandbox: Sandbox) -> AsyncIterator[AsyncLandbot]:
    async with sandbox.client(limiter=TokenBucket(rate=500), retry=QUICK) as landbot:
        yield landbot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spring.campaign"
