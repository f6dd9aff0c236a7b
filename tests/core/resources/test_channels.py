"""Each operation on the wire: method, path, query and answer."""

from datetime import UTC, datetime

import httpx
import pytest

from landbot_async import Channel
from tests.helpers import OK, lent

pytestmark = pytest.mark.anyio

WEB = {
    "id": 8,
    "name": "Web chat",
    "type": "webchat",
    "active": True,
    "created_at": 1485789228.878516,
    "token": "H-8-S",
}
MADE = Channel(8, "Web chat", "webchat", True, datetime(2017, 1, 30, 15, 13, 48, 878516, UTC), "H-8-S")


async def test_get() -> None:
    answer = httpx.Response(200, json={"success": True, "channel": WEB})
    async with lent(lambda _: answer) as (landbot, requests):
        channel = await landbot.channels.get(8)
        assert channel == MADE
        assert "H-8-S" not in repr(channel)
        assert [(request.method, request.url.path) for request in requests] == [("GET", "/v1/channels/8/")]


async def test_list() -> None:
    answer = httpx.Response(200, json={"success": True, "total": 1, "channels": [WEB]})
    async with lent(lambda _: answer) as (landbot, requests):
        assert await landbot.channels.list(type="webchat", active=True, page_size=5, offset=0).collect() == [MADE]
        assert str(requests[0].url.query, "ascii") == "type=webchat&active=true&offset=0&limit=5"


async def test_bad_input_is_said_before_anything_is_sent() -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        with pytest.raises(ValueError, match="channel_id"):
            await landbot.channels.get(0)
        with pytest.raises(TypeError, match="active"):
            landbot.channels.list(active="true")  # type: ignore[arg-type]  # what is wrong is the test
        with pytest.raises(TypeError, match="type"):
            landbot.channels.list(type=5)  # type: ignore[arg-type]  # what is wrong is the test
        with pytest.raises(ValueError, match="type"):
            landbot.channels.list(type=" ")
        with pytest.raises(ValueError, match="page_size"):
            landbot.channels.list(page_size=101)
        assert not requests
