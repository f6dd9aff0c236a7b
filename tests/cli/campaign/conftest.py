"""Fixtures for campaigns.

The Outbox writes in a thread, which virtual time would race past: these tests run in real time, with a quick limit, and
on asyncio, as the command does. (trio's clock begins anywhere in each run, and the sandbox's customers would grow old.)
"""

from pathlib import Path

import pytest

from landbot_async import AsyncLandbot, TokenBucket
from landbot_async.sandbox import Sandbox


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """Return the sandbox that the commands talk to, from a folder of their own."""
    made = Sandbox(customers=40, window="off")

    def client() -> AsyncLandbot:
        return made.client(limiter=TokenBucket(rate=500))

    monkeypatch.setattr("landbot_async.cli.session.open_client", client)
    monkeypatch.chdir(tmp_path)
    return made
