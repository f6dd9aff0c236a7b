"""The limit that the command shares with other programs."""

import os
import sys

import pytest

from landbot_async import AsyncLandbot, ConfigurationError
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.limiter import limited_client
from landbot_async.postgres import PostgresTokenBucket
from landbot_async.redis import RedisTokenBucket
from tests.helpers import TOKEN

from .helpers import landbot

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDBOT_API_TOKEN", TOKEN)
    monkeypatch.setenv("LANDBOT_BASE_URL", "http://127.0.0.1:9/v1/")


@pytest.mark.parametrize(
    ("url", "kind"),
    [(" redis://127.0.0.1:9/0 ", RedisTokenBucket), ("postgresql://127.0.0.1:9/landbot", PostgresTokenBucket)],
)
async def test_the_client_has_the_limit_of_the_store(url: str, kind: type) -> None:
    async with limited_client({**os.environ, "LANDBOT_LIMITER_URL": url}) as client:
        assert isinstance(client, AsyncLandbot)
        assert isinstance(client._engine.connection.throttle.limiter, kind)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://user:secret@db/x", "must begin with one of redis://, rediss://, unix://, postgres://, postgresql://"),
        ("secret", "must begin with one of redis://"),
        ("redis://user:secret@db:x/0", "is not a usable redis:// URL"),
        ("postgresql://user:secret@[::/x?a=b=c", "is not a usable postgresql:// URL"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDBOT_LIMITER_URL", url)
    said = landbot("channels", code=ExitCode.TOKEN)[1]
    assert why in said
    assert "secret" not in said


async def test_a_store_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "landbot_async.redis")
    with pytest.raises(ConfigurationError, match=r"LANDBOT_LIMITER_URL: landbot_async\.redis needs redis"):
        await limited_client({**os.environ, "LANDBOT_LIMITER_URL": "redis://127.0.0.1:9/0"}).__aenter__()


def test_a_store_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDBOT_LIMITER_URL", "redis://127.0.0.1:9/0")
    assert "Check the limiter's store." in landbot("channels", code=ExitCode.UNREACHABLE)[1]
