"""Workers that share their claims, as processes of their own; `nox -s deliveries` sends a thousand messages."""

import os
from pathlib import Path

import pytest

from tests.shared.inboxes import each_is_handled_once, one_killed_after_its_answer, one_killed_before_its_answer
from tests.shared.servers import Postgres, Valkey

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.once,
    pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True),
    pytest.mark.parametrize("kind", ["redis.RedisClaims", "postgres.PostgresClaims"]),
]

COUNT = int(os.environ.get("DELIVERIES", "40"))


@pytest.fixture
def url(kind: str, valkey: Valkey, postgres: Postgres) -> str:
    """Return the URL of a store with these claims."""
    return valkey.url if kind.startswith("redis") else postgres.url


async def test_of_copies_that_four_workers_get_each_is_handled_once(kind: str, url: str) -> None:
    await each_is_handled_once(kind, url, COUNT)


async def test_what_a_worker_that_is_killed_has_claimed_is_handled_once_the_claim_expires(kind: str, url: str) -> None:
    await one_killed_before_its_answer(kind, url)


async def test_what_a_worker_that_is_killed_has_taken_is_handled_after_its_restart(
    kind: str, url: str, tmp_path: Path
) -> None:
    await one_killed_after_its_answer(kind, url, tmp_path, COUNT)
