"""Workers that share their claims, as processes of their own; `nox -s deliveries` sends a thousand messages."""

import io
import os
from pathlib import Path

import pytest

from landbot_async.webhooks import receiver
from tests.shared.inboxes import (
    each_is_handled_once,
    fresh,
    one_killed_after_its_answer,
    one_killed_before_its_answer,
    work,
)
from tests.shared.servers import Postgres, Valkey

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.once,
    pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True),
]

COUNT = int(os.environ.get("DELIVERIES", "40"))
REDIS, POSTGRES = "redis.RedisClaims", "postgres.PostgresClaims"
# Processes are slow to start, so a usual run has each store in one of the tests.
ALL = "DELIVERIES" in os.environ
on_postgres = pytest.mark.parametrize("kind", [REDIS, POSTGRES] if ALL else [POSTGRES])
on_redis = pytest.mark.parametrize("kind", [REDIS, POSTGRES] if ALL else [REDIS])


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    """Return the URL of a store with these claims."""
    server: Valkey | Postgres = request.getfixturevalue("valkey" if kind == REDIS else "postgres")
    return server.url


@pytest.mark.parametrize("kind", [REDIS])
async def test_what_a_worker_does(
    kind: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(receiver, "_CLAIM", receiver._CLAIM)
    for dies, lines in ((False, fresh(1)), (True, list[str]())):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        await work(kind, url, None, 0.0, dies)
        written = capsys.readouterr().out.splitlines()
        assert sorted(written) == sorted(["open -", *(f"{word} {line}" for line in lines for word in (200, "handled"))])


@on_postgres
async def test_of_copies_that_four_workers_get_each_is_handled_once(kind: str, url: str) -> None:
    await each_is_handled_once(kind, url, COUNT)


@on_redis
async def test_what_a_worker_that_is_killed_has_claimed_is_handled_once_the_claim_expires(kind: str, url: str) -> None:
    await one_killed_before_its_answer(kind, url)


@on_redis
async def test_what_a_worker_that_is_killed_has_taken_is_handled_after_its_restart(
    kind: str, url: str, tmp_path: Path
) -> None:
    await one_killed_after_its_answer(kind, url, tmp_path, COUNT)
