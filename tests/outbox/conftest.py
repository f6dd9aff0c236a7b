"""Fixtures of the Outbox: a sandbox without WhatsApp's window, a quick client of it, a file and a database."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from landbot_async import (
    AsyncLandbot,
    TokenBucket,
)
from landbot_async._core.secret import Secret
from landbot_async.outbox.journal.session import Session, Url
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


@pytest.fixture
def empty_session(database: str) -> Iterator[Session]:
    """Return a session of a database without an outbox in it."""
    session = Session(Url(Secret(database)))
    session.run(lambda: None)
    yield session
    session.close()


@pytest.fixture(params=["file", "postgres"])
def place(request: pytest.FixtureRequest) -> str:
    """Return the place of a journal of each kind."""
    return str(request.getfixturevalue("path" if request.param == "file" else "database"))
