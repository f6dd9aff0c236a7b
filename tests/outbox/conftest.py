"""Fixtures of the Outbox: a sandbox without WhatsApp's window, a quick client of it, a file and a database, a store, a world."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from landbot_async import AsyncLandbot, TokenBucket
from landbot_async._core.secret import Secret
from landbot_async.outbox.journal import statements as sql
from landbot_async.outbox.journal.session import Session, Url
from landbot_async.outbox.journal.store import Store
from landbot_async.sandbox import Sandbox

from .helpers import QUICK
from .stores import Clock, Make
from .worlds import World


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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in sql.tables(sql.SQLITE):
            connection.execute(statement)
        yield connection


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, clock: Clock) -> Make:
    """Return what makes stores of one empty database."""
    if request.param == "sqlite":
        return partial(Store, request.getfixturevalue("connection"), sql.SQLITE, clock=clock)
    return partial(Store, request.getfixturevalue("empty_session"), sql.POSTGRES, clock=clock)


@pytest.fixture
def store(make: Make) -> Store:
    return make(name="default")


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.connection.close()
