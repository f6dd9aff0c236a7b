"""The recipes do what they say, whole: a customer writes in the sandbox, the hook fires, the program answers."""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx
from aiohttp.test_utils import TestServer, unused_port

from landbot_async import MessageHook
from landbot_async.sandbox import Sandbox

from .documents import ROOT, blocks, run, settle_in, text_of
from .helpers import breath

# The recipes keep a file, and the sandbox's clock would run ahead of the disk.
pytestmark = [pytest.mark.anyio, pytest.mark.real_time]

RECIPES = dict(blocks(text_of(ROOT / "docs/recipes.md")))
HERE = "https://bot.example"
URL = f"{HERE}/landbot"
SETTINGS = {
    "LANDBOT_CHANNEL_ID": "8",
    "LANDBOT_HOOK_URL": URL,
    "LANDBOT_HOOK_TOKEN": "hook-secret-of-thirty-two-letters",
    "LANDBOT_AGENT_ID": "1",
    "LANDBOT_BOT_ID": "7",
    "HELPDESK_URL": "https://helpdesk.example/api/",
    "HELPDESK_TOKEN": "helpdesk-secret",
    "NODE_FOUND": "Nfound",
    "NODE_SORRY": "Nsorry",
    "SHOP_URL": "https://shop.example/v1/",
}


@pytest.fixture
async def sandbox(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Yield a sandbox without a bot, which every `AsyncLandbot()` finds by the environment."""
    async with Sandbox(bot=False) as sandbox:
        for _ in range(3):
            sandbox.add_customer(channel_id=8)
        for name, value in SETTINGS.items():
            monkeypatch.setenv(name, value)
        settle_in(sandbox, monkeypatch, tmp_path)
        yield sandbox


@asynccontextmanager
async def running(recipe: str, sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    """Run the recipe's application as a server does, and yield a client for it."""
    app = (await run(RECIPES[recipe]))["app"]
    sandbox.mount(URL, app)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=HERE) as browser:
        yield browser


def sent(sandbox: Sandbox) -> list[tuple[int, str, str]]:
    return [(each.customer_id, each.type, each.text) for each in sandbox.sent]


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(10):
        while not holds():  # noqa: ASYNC110  # nobody tells when it does
            await anyio.sleep(0.01)


async def until_sent(sandbox: Sandbox, count: int) -> None:
    """Wait until so many things have reached customers."""
    await until(lambda: len(sandbox.sent) >= count)


async def the_hook(sandbox: Sandbox) -> MessageHook:
    """Return the only item."""
    async with sandbox.client() as landbot:
        [hook] = await landbot.hooks.list(8).collect()
        return hook


def test_every_recipe_is_tested() -> None:
    assert list(RECIPES) == [FASTAPI, AIOHTTP, HELPDESK, ORDERS]


FASTAPI = "A bot in FastAPI"


async def test_fastapi_answers_each_text_once(sandbox: Sandbox) -> None:
    sandbox.deliver(copies=3, disorder=0.05)
    async with running(FASTAPI, sandbox) as browser:
        hook = await the_hook(sandbox)
        assert (hook.url, hook.name) == (URL, "bot")
        for number in range(3):
            for customer_id in (1, 2):
                sandbox.write(customer_id, f"{number}")
        await sandbox.settled()
        await until_sent(sandbox, 6)
        assert (await browser.post(URL, json={"messages": []})).status_code == 401
        await sandbox.settled()
    for customer_id in (1, 2):
        assert [text for whom, _, text in sent(sandbox) if whom == customer_id] == [
            f"You said: {number}" for number in range(3)
        ]
    assert len(sandbox.sent) == 6


async def test_fastapi_writes_down_what_may_have_arrived(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    async with running(FASTAPI, sandbox):
        sandbox.fault("lost_answer", method="POST")
        sandbox.write(1, "Hi")
        await until_sent(sandbox, 1)
        await sandbox.settled()
    assert sent(sandbox) == [(1, "text", "You said: Hi")]
    [line] = [record.getMessage() for record in caplog.records if record.name == "bot"]
    assert "of customer 1" in line
    assert line.endswith("(safe to repeat: False)")


async def test_fastapi_makes_no_second_hook(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(FASTAPI, sandbox):
        pass
    moved = "https://tunnel.example/landbot"
    monkeypatch.setenv("LANDBOT_HOOK_URL", moved)
    async with running(FASTAPI, sandbox):
        assert (await the_hook(sandbox)).url == moved


AIOHTTP = "A bot in aiohttp"


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_aiohttp_answers_whatever_comes(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    port = unused_port()
    monkeypatch.setenv("LANDBOT_HOOK_URL", f"http://127.0.0.1:{port}/landbot")
    app = (await run(RECIPES[AIOHTTP]))["app"]
    sandbox.customer(1).name = "Ava"
    async with breath(), TestServer(app, port=port):
        sandbox.write(1, "Hi")
        await until_sent(sandbox, 1)
        sandbox.write(1, "Where are you?")
        await until_sent(sandbox, 2)
        sandbox.write(1, type="location", latitude=41.5, longitude=2.0)
        await until_sent(sandbox, 3)
        sandbox.write(1, type="image", url="https://x.example/a.png")
        await until_sent(sandbox, 4)
        sandbox.write(1, type="audio", url="https://x.example/a.ogg")
        await until_sent(sandbox, 5)
        await sandbox.settled()
    assert sent(sandbox) == [
        (1, "text", "Hello Ava"),
        (1, "location", "41.3874,2.1686"),
        (1, "text", "So you are at 41.5, 2.0"),
        (1, "text", "Thank you for the image"),
        (1, "text", "I understand texts, places, images and documents"),
    ]


HELPDESK = "A helpdesk that takes chats over"
BEARER = {"Authorization": "Bearer helpdesk-secret"}


@pytest.fixture
def helpdesk() -> Any:
    """Return the paths and the bodies that the helpdesk received. It fails at first."""
    with respx.mock(assert_all_called=False) as router:
        router.put(host="helpdesk.example").mock(side_effect=[httpx.Response(503), *[httpx.Response(204)] * 9])
        yield router


def told(helpdesk: respx.Router) -> Sequence[tuple[str, str, str]]:
    requests = [request for request, response in helpdesk.calls if response.status_code == 204]
    assert all(request.headers["authorization"] == BEARER["Authorization"] for request in requests)
    bodies = [json.loads(request.content) for request in requests]
    whose = [request.url.path.split("/")[3] for request in requests]
    return [(who, body["by"], body["data"]["body"]) for who, body in zip(whose, bodies, strict=True)]


async def test_the_helpdesk_hears_others_and_no_echo(sandbox: Sandbox, helpdesk: respx.Router) -> None:
    async with running(HELPDESK, sandbox) as browser:
        sandbox.write(1, "Help")
        await until(lambda: told(helpdesk))
        answer = await browser.post("/replies/1", json={"text": "Coming"}, headers=BEARER)
        assert (answer.status_code, answer.json()) == (200, {"status": "sent"})
        await sandbox.settled()
        sandbox.write(1, "Thanks")
        await until(lambda: len(told(helpdesk)) == 2)
    assert sent(sandbox) == [(1, "text", "Coming")]
    assert told(helpdesk) == [("1", "customer", "Help"), ("1", "customer", "Thanks")]


async def test_the_helpdesk_takes_another_agent_s_chat_over(sandbox: Sandbox, helpdesk: respx.Router) -> None:
    sandbox.customer(1).agent_id = 5
    async with running(HELPDESK, sandbox) as browser, anyio.create_task_group() as group:
        for number in range(3):
            await anyio.sleep(0.01)
            group.start_soon(_reply, browser, 1, f"{number}")
    assert sandbox.customer(1).agent_id == 1
    assert sent(sandbox) == [(1, "text", f"{number}") for number in range(3)]


async def _reply(browser: httpx.AsyncClient, customer_id: int, text: str) -> None:
    answer = await browser.post(f"/replies/{customer_id}", json={"text": text}, headers=BEARER)
    assert answer.json() == {"status": "sent"}


async def test_what_the_helpdesk_is_told_of_a_reply_that_failed(sandbox: Sandbox, helpdesk: respx.Router) -> None:
    sandbox.customer(2).blocked, sandbox.customer(2).agent_id = True, 5
    async with running(HELPDESK, sandbox) as browser:
        assert (await browser.post("/replies/1", json={"text": "Hi"})).status_code == 401
        assert (
            await browser.post("/replies/1", json={"text": "Hi"}, headers={b"Authorization": "é".encode()})
        ).status_code == 401
        blocked = await browser.post("/replies/2", json={"text": "Hi"}, headers=BEARER)
        nobody = await browser.post("/replies/99", json={"text": "Hi"}, headers=BEARER)
        sandbox.fault("lost_answer", method="POST")
        unknown = await browser.post("/replies/1", json={"text": "Hi"}, headers=BEARER)
        sandbox.fault("refused", method="POST", times=5)
        unsent = await browser.post("/replies/1", json={"text": "Hi"}, headers=BEARER)
    assert blocked.status_code == 409
    assert sandbox.customer(2).agent_id == 5
    assert (nobody.status_code, nobody.json()) == (502, {"detail": "NotFoundError"})
    assert (unknown.status_code, unknown.json()) == (200, {"status": "unknown"})
    assert (unsent.status_code, unsent.json()) == (503, {"detail": "APIConnectionError"})
    assert sent(sandbox) == [(1, "text", "Hi")]


ORDERS = "Ask your own API, set fields, go on at a node"
ORDER = {"status": "sent", "total": 12.5, "day": "2026-11-24"}


@pytest.fixture
def shop() -> Any:
    with respx.mock(base_url="https://shop.example/v1", assert_all_called=False) as router:
        router.get("/orders/4711").respond(json=ORDER)
        router.get("/orders/4712").respond(404)
        router.get("/orders/4713").respond(json={"status": "sent"})
        yield router


@pytest.mark.parametrize(
    ("text", "node", "fields"),
    [
        (" #4711 ", "Nfound", {"order_status": "sent", "order_total": 12.5, "order_day": "2026-11-24"}),
        ("4712", "Nsorry", {}),
        ("4713", "Nsorry", {}),
        ("What is my order number?", None, {}),
    ],
)
async def test_an_order_is_looked_up(
    sandbox: Sandbox, shop: respx.Router, text: str, node: str | None, fields: dict[str, Any]
) -> None:
    customer = sandbox.customer(1)
    async with running(ORDERS, sandbox):
        sandbox.write(1, text)
        await sandbox.settled()
        if node is not None:
            await until_sent(sandbox, 1)
    assert customer.bot_node == node
    assert {name: value for name, value in customer.fields.items() if name.startswith("order_")} == fields


async def test_half_of_the_fields_is_no_answer(sandbox: Sandbox, shop: respx.Router) -> None:
    sandbox.fault(422, method="PUT", route="/customers/{customer_id}/fields/{field_name}/")
    async with running(ORDERS, sandbox):
        sandbox.write(1, "4711")
        await until_sent(sandbox, 1)
    assert sandbox.customer(1).bot_node == "Nsorry"


async def test_an_agent_s_chat_is_left_to_them(
    sandbox: Sandbox, shop: respx.Router, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(ORDERS, sandbox):
        sandbox.customer(1).agent_id = 5
        sandbox.write(1, "4711")
        await sandbox.settled()
        # Taken over while the shop was asked.
        shop.get("/orders/4714").mock(side_effect=lambda _: _taken(sandbox))
        sandbox.write(2, "4714")
        await sandbox.settled()
        await until(lambda: sandbox.customer(2).agent_id)
    assert not sandbox.sent
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def _taken(sandbox: Sandbox) -> httpx.Response:
    sandbox.customer(2).agent_id = 5
    return httpx.Response(200, json=ORDER)


async def test_a_bot_that_may_have_started_is_not_started_again(
    sandbox: Sandbox, shop: respx.Router, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(ORDERS, sandbox):
        sandbox.fault("lost_answer", route="/customers/{customer_id}/assign_bot/{bot_id}/")
        sandbox.write(1, "4711")
        await until_sent(sandbox, 1)
        await sandbox.settled()
    assert len(sandbox.sent) == 1
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 2
    assert "may have taken effect" in errors[0], "of the call"
    assert "handler" in errors[1]
