"""The snippets of Landbot's pages work against the served sandbox: only host and token are changed.

Source: dev.landbot.io, "Quickstart", "Pagination", "Rate limiting" and "Send a message" (APIchat).
"""

from __future__ import annotations

from typing import Any

import anyio
import anyio.to_thread
import pytest

from landbot_async.sandbox import Sandbox
from tests.sandbox.server.serving import served

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    # Uvicorn is asyncio's.
    pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True),
]

REQUESTS = """
import requests

headers = {"Authorization": "Token YOUR_AGENT_TOKEN", "Content-Type": "application/json"}
channels = requests.get("https://api.landbot.io/v1/channels/", headers=headers).json()
sent = requests.post(
    "https://api.landbot.io/v1/customers/42/send_text/", headers=headers, json={"message": "Hello from requests"}
)
"""
PAGINATION = """
import requests


def list_all_customers(token, **filters):
    customers, offset = [], 0
    while True:
        page = requests.get(
            "https://api.landbot.io/v1/customers/",
            headers={"Authorization": f"Token {token}"},
            params={**filters, "offset": offset, "limit": 100},
        ).json()
        customers.extend(page["customers"])
        offset += len(page["customers"])
        if offset >= page["total"] or not page["customers"]:
            return customers
"""
RETRY = """
import random
import time

import requests


def call_with_retry(method, url, *, max_attempts=5, **options):
    for n in range(max_attempts):
        response = requests.request(method, url, **options)
        if response.status_code != 429:
            return response
        time.sleep(min(2**n * 0.1, 5) + random.random() * 0.1)
    return response


answers = [
    call_with_retry(
        "POST",
        "https://api.landbot.io/v1/customers/42/send_text/",
        headers={"Authorization": "Token YOUR_AGENT_TOKEN"},
        json={"message": f"Message {number}"},
    )
    for number in range(25)
]
"""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def here(snippet: str, url: str, sandbox: Sandbox) -> str:
    """Return the snippet with the sandbox's host and tokens, and nothing else changed."""
    for theirs, ours in {
        "https://api.landbot.io/v1/": f"{url}v1/",
        "https://chat.landbot.io/v1/": f"{url}chat/v1/",
        "YOUR_AGENT_TOKEN": sandbox.token,
        "YOUR_CHANNEL_TOKEN": sandbox.channel_token(10),
    }.items():
        snippet = snippet.replace(theirs, ours)
    assert "landbot.io" not in snippet
    return snippet


async def run(snippet: str, url: str, sandbox: Sandbox) -> dict[str, Any]:
    """Run Python in a thread, as the program it is, and give back its names."""
    names: dict[str, Any] = {}
    await anyio.to_thread.run_sync(exec, here(snippet, url, sandbox), names)
    return names


async def test_requests() -> None:
    sandbox = Sandbox(customers=50)
    async with served(sandbox) as (url, _):
        names = await run(REQUESTS, url, sandbox)
    assert names["channels"]["total"] == 3
    assert (names["sent"].status_code, names["sent"].json()) == (200, {"success": True})
    sandbox.assert_sent(42, "Hello from requests")


async def test_the_pagination_loop() -> None:
    sandbox = Sandbox(customers=250)
    async with served(sandbox) as (url, _):
        walk = (await run(PAGINATION, url, sandbox))["list_all_customers"]
        everyone = await anyio.to_thread.run_sync(walk, sandbox.token)
        some = await anyio.to_thread.run_sync(lambda: walk(sandbox.token, channel_id=9, archived="false"))
        nobody = await anyio.to_thread.run_sync(lambda: walk(sandbox.token, search="nobody is called so"))
    assert [customer["id"] for customer in everyone] == list(range(1, 251))
    assert [customer["id"] for customer in some] == list(range(2, 251, 2))
    assert nobody == []
    assert (sandbox.received, sandbox.refused) == (3 + 2 + 1, 0)


async def test_the_retry_sample() -> None:
    sandbox = Sandbox(customers=50)
    async with served(sandbox) as (url, _):
        answers = (await run(RETRY, url, sandbox))["answers"]
    assert [answer.status_code for answer in answers] == [200] * 25
    assert sandbox.refused > 0
    assert [sent.text for sent in sandbox.sent] == [f"Message {number}" for number in range(25)]
