"""Landbot's own examples for curl work against the served sandbox. Here because curl, like Chromium, is not on PyPI.

Source: dev.landbot.io, "Quickstart" and "Send a message" (APIchat).
"""

from __future__ import annotations

import json
import shlex
from typing import Any

import anyio
import pytest

from landbot_async.sandbox import Sandbox
from tests.sandbox.server.serving import served
from tests.sandbox.test_snippets import here

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    # Uvicorn is asyncio's.
    pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True),
]

CURL = {
    "read": """
        curl https://api.landbot.io/v1/channels/ \\
          -H "Authorization: Token YOUR_AGENT_TOKEN" \\
          -H "Content-Type: application/json"
    """,
    "write": """
        curl https://api.landbot.io/v1/customers/42/send_text/ \\
          -X POST \\
          -H "Authorization: Token YOUR_AGENT_TOKEN" \\
          -H "Content-Type: application/json" \\
          -d '{"message": "Hello from curl"}'
    """,
    "say": """
        curl https://chat.landbot.io/v1/send/tg-123/ \\
          -X POST \\
          -H "Authorization: Token YOUR_CHANNEL_TOKEN" \\
          -H "Content-Type: application/json" \\
          -d '{"message": {"type": "text", "message": "Hello from curl"}}'
    """,
}


async def curl(snippet: str, url: str, sandbox: Sandbox) -> Any:
    """Run the command and decode what it prints."""
    command = shlex.split(here(snippet, url, sandbox).replace("\\\n", " "))
    done = await anyio.run_process([command[0], "--noproxy", "*", *command[1:]])
    return json.loads(done.stdout)


async def test_curl() -> None:
    sandbox = Sandbox(customers=50, bot=False)
    async with served(sandbox) as (url, _):
        channels = await curl(CURL["read"], url, sandbox)
        assert (channels["success"], channels["total"]) == (True, 3)
        assert [channel["id"] for channel in channels["channels"]] == [8, 9, 10]
        assert await curl(CURL["write"], url, sandbox) == {"success": True}
        said = await curl(CURL["say"], url, sandbox)
        assert (said["success"], said["customer"]["token"]) == (True, "tg-123")
    sandbox.assert_sent(42, "Hello from curl")
    [customer] = [each for each in sandbox.customers if each.token == "tg-123"]
    assert customer.last_text == "Hello from curl"
