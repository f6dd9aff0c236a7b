"""Every async test runs on asyncio and on trio, in virtual time: waits cost nothing and are exact."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio.testing
from hypothesis import settings

from landbot_async.outbox.journal.postgres import PART
from landbot_async.postgres.database import make
from landbot_async.sandbox.clock import VirtualLoop

from .shared.servers import Postgres, Valkey, schema_of

TESTS = Path(__file__).parent

settings.register_profile("landbot", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("landbot")


BACKENDS: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
    "asyncio": lambda: ("asyncio", {"loop_factory": VirtualLoop}),
    "trio": lambda: ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}),
}
# For tests that talk to real sockets, where virtual time would race past the network.
REAL_TIME: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
    "asyncio": lambda: ("asyncio", {}),
    "trio": lambda: ("trio", {}),
}


def pytest_configure(config: pytest.Config) -> None:
    """Measure the coverage of processes that run tests, not of programs that they start; forget the environment.

    Also take SIGINT, which shells let programs in the background ignore, and SIGHUP, as `nohup` does: tests of them
    would wait for ever.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    starts_others = config.getoption("numprocesses", None)
    if not starts_others:
        os.environ.pop("COVERAGE_PROCESS_START", None)
    # No test uses the developer's own tokens and servers.
    for name in (
        "API_TOKEN",
        "BASE_URL",
        "OPT_IN_BASE_URL",
        "CHANNEL_TOKEN",
        "CHAT_BASE_URL",
        "LIMITER_URL",
        "JOURNAL_URL",
    ):
        os.environ.pop(f"LANDBOT_{name}", None)


# Folders whose tests in real time wait for disks and programs, and for nothing that another process could delay.
PATIENT = {"outbox", "cli", "sandbox"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests in real time in two processes, where they hardly compete with each other."""
    for item in items:
        if item.get_closest_marker("real_time"):
            folder = item.path.relative_to(TESTS).parts[0]
            item.add_marker(pytest.mark.xdist_group("patient" if folder in PATIENT else "real_time"))


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking at thousands of collected tests again and again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def garbage(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect the garbage of a test that ignores warnings, or a later test would be blamed for it."""
    yield
    if request.node.get_closest_marker("filterwarnings"):
        gc.collect()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Return the event loop to use; a test marked `real_time` gets one in real time."""
    kinds = REAL_TIME if request.node.get_closest_marker("real_time") else BACKENDS
    return kinds[request.param]()


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """Return a Valkey that the tests of this process share. A test that stops or changes it starts one of its own."""
    with Valkey() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a Postgres that the tests of this process share. A test that stops it takes `stoppable`."""
    with Postgres() as server:
        yield server


@pytest.fixture
def stoppable(postgres: Postgres) -> Iterator[Postgres]:
    """Return the Postgres of all tests, which the test may stop: making another one takes seconds."""
    yield postgres
    if not postgres.is_ready():
        postgres.start()


@pytest.fixture(scope="session")
def schema(postgres: Postgres) -> str:
    """Return the URL of a schema of the Outbox, which the tests of this process share."""
    return schema_of(postgres)


@pytest.fixture
def database(schema: str) -> str:
    """Return the URL of a database without an outbox in it."""
    with psycopg.connect(schema, autocommit=True) as connection:
        with connection.transaction():
            make(connection, PART)
        connection.execute("TRUNCATE landbot_about, landbot_outbox, landbot_message, landbot_turn RESTART IDENTITY")
    return schema
