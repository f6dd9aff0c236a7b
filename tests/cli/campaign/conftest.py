"""Fixtures for campaigns.

The Outbox writes in a thread, which virtual time would race past: these tests run in real time, with a quick limit.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio.testing

from landbot_async import AsyncLandbot, TokenBucket
from landbot_async.sandbox import Sandbox

BACKENDS: dict[str, Callable[[], dict[str, Any]]] = {
    "asyncio": lambda: {"backend": "asyncio"},
    # trio's own clock begins anywhere in each run, and the sandbox's customers would be days older with each command.
    "trio": lambda: {"backend": "trio", "backend_options": {"clock": trio.testing.MockClock(rate=1.0)}},
}


@pytest.fixture(params=list(BACKENDS))
def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """Return the sandbox that the commands talk to, from a folder of their own."""
    made = Sandbox(customers=40, window="off")

    def client() -> AsyncLandbot:
        return made.client(limiter=TokenBucket(rate=500))

    monkeypatch.setattr("landbot_async.cli.session.open_client", client)
    monkeypatch.setattr(anyio, "run", functools.partial(anyio.run, **BACKENDS[request.param]()))
    monkeypatch.chdir(tmp_path)
    return made
