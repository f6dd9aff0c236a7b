import httpx
import pytest

from landbot_async import Agent
from landbot_async.sandbox import Sandbox
from tests.helpers import lent

pytestmark = pytest.mark.anyio


async def test_on_the_wire() -> None:
    agents = [{"id": 7, "email": "ana@example.com", "name": "Ana", "status": "online"}, {"id": 8}]
    answer = httpx.Response(200, json={"success": True, "agents": agents})
    async with lent(lambda _: answer) as (landbot, requests):
        pages = landbot.agents.list()
        found = await pages.collect()
    assert found == [Agent(7, "ana@example.com", "Ana", {"status": "online"}), Agent(8)]
    assert [(each.method, each.url.raw_path) for each in requests] == [("GET", b"/v1/agents/")]
    assert pages.complete is True


async def test_in_the_sandbox() -> None:
    async with Sandbox() as sandbox, sandbox.client() as landbot:
        assert [agent.id for agent in await landbot.agents.list().collect()] == [
            agent["id"] for agent in (await landbot.request("GET", "agents/"))["agents"]
        ]
