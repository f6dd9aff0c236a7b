"""Kills at any moment, with a server that fails. `nox -s kills` does it at length."""

import os
from pathlib import Path
from typing import Any

import pytest

from landbot_async.outbox.states import MOST_IN_FLIGHT

from .kills import campaign

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

KILLS = int(os.environ.get("OUTBOX_KILLS", "2"))
MESSAGES = int(os.environ.get("OUTBOX_MESSAGES", "120"))


@pytest.mark.once
@pytest.mark.parametrize("kind", ["asyncio", "trio", pytest.param("postgres", marks=pytest.mark.once)])
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_killed_at_any_moment_nothing_is_lost_or_doubled(
    anyio_backend: Any, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In a file, on each event loop; or two processes, one on each, share a campaign on Postgres."""
    together = kind == "postgres"
    place = request.getfixturevalue("database") if together else str(tmp_path / "spring.campaign")
    loops = ["asyncio", "trio"] if together else [kind]
    account = await campaign(tmp_path, place, kills=KILLS, messages=MESSAGES, loops=loops)
    print(account)
    assert (account.lost, account.doubled, account.out_of_order) == (0, 0, 0)
    assert set(account.counts) <= {"sent", "failed"}
    assert account.counts["sent"] == account.reached
    # In a short run on a busy machine, one kill may meet all that are in flight between the mark and the server.
    assert account.never_sent <= max(MOST_IN_FLIGHT, KILLS / 2)
