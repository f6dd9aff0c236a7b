"""The recipes do what they say, whole: a customer writes in the sandbox, the hook fires, the program answers."""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx
from aiohttp.test_utils import TestServer, unused_port
from fastapi import FastAPI

from landbot_async import APIConnectionError, AsyncLandbot, MessageHook, PreconditionFailedError
from landbot_async.sandbox import Sandbox

from .documents import ROOT, blocks, run, settle_in, text_of
from .helpers import breath, until

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
    "LANDBOT_TEMPLATE_ID": "5",
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
    async with serving((await run(RECIPES[recipe]))["app"], sandbox) as browser:
        yield browser


@asynccontextmanager
async def serving(app: FastAPI, sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    """Run an application as a server does, and yield a client for it."""
    sandbox.mount(URL, app)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=HERE) as browser:
        yield browser


def sent(sandbox: Sandbox) -> list[tuple[int, str, str]]:
    return [(each.customer_id, each.type, each.text) for each in sandbox.sent]


async def until_sent(sandbox: Sandbox, count: int) -> None:
    """Wait until so many things have reached customers."""
    await until(lambda: len(sandbox.sent) >= count)


async def the_hook(sandbox: Sandbox) -> MessageHook:
    """Return the only item."""
    async with sandbox.client() as landbot:
        [hook] = await landbot.hooks.list(8).collect()
        return hook


def test_every_recipe_is_tested() -> None:
    assert list(RECIPES) == [FASTAPI, AIOHTTP, HELPDESK, ORDERS, WELCOME, LATE, HEALTH, BY_EMAIL, BURST]


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


WELCOME = "Opt in, send a template, start a bot"


async def test_a_welcome_is_sent_once_and_leads_to_the_bot(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDBOT_OPT_IN_TOKEN", sandbox.channel_token(9))
    monkeypatch.setenv("LANDBOT_OPT_IN_BASE_URL", sandbox.opt_in_base_url)
    async with running(WELCOME, sandbox) as browser:
        for _ in range(2):
            answer = await browser.post("/welcome/7", json={"phone": "+34600000077", "name": "Ana"})
            assert answer.json() == {"status": "queued"}
        [ana] = [each for each in sandbox.customers if each.phone == "34600000077"]
        await until(lambda: ana.bot_id == 7)
        answer = await browser.post("/welcome/7", json={"phone": "+34600000077", "name": "Bea"})
        assert answer.status_code == 409
        ana.agent_id = 3
        answer = await browser.post("/welcome/9", json={"phone": "+34600000077", "name": "Ana"})
        assert answer.json() == {"status": "an agent is talking to them"}
        sandbox.fault("cut", route="/wa/{opt_in_token}/opt_in")
        answer = await browser.post("/welcome/8", json={"phone": "+34600000078", "name": "Bea"})
        assert (answer.status_code, answer.json()) == (502, {"detail": "APIConnectionError"})
    assert sent(sandbox) == [(ana.id, "template", "Hello Ana, we have news for you.")]


async def test_a_welcome_that_is_refused_is_told(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(RECIPES, WELCOME, RECIPES[WELCOME].replace("sleep(60)", "sleep(0.01)"))
    monkeypatch.setenv("LANDBOT_OPT_IN_TOKEN", sandbox.channel_token(9))
    monkeypatch.setenv("LANDBOT_OPT_IN_BASE_URL", sandbox.opt_in_base_url)
    monkeypatch.setenv("LANDBOT_TEMPLATE_ID", "404")
    async with running(WELCOME, sandbox) as browser:
        sandbox.fault(401, route="/customers/{customer_id}/send_template/")
        await browser.post("/welcome/7", json={"phone": "+34600000077", "name": "Ana"})
        await until(lambda: any("welcome-7: failed" in each for each in caplog.messages))
    assert any(each.startswith("The run stopped: ") for each in caplog.messages)
    assert sandbox.sent == []


LATE = "A template outside the 24 hours"


async def test_a_template_goes_out_where_text_comes_too_late(sandbox: Sandbox) -> None:
    write = (await run(RECIPES[LATE]))["write"]
    ana = sandbox.add_customer("Ana", channel_id=9, opt_in=True)
    async with sandbox.client() as landbot:
        assert await write(landbot, ana.id, "Hello") == "text"
        sandbox.tick(hours=25)
        assert await write(landbot, ana.id, "Hello") == "template"
        ana.agent_id = 3
        with pytest.raises(PreconditionFailedError):
            await write(landbot, ana.id, "Hello")
    assert [kind for _, kind, _ in sent(sandbox)] == ["text", "template"]


HEALTH = "A health check that does not queue"


async def test_health_is_told_from_memory(sandbox: Sandbox) -> None:
    app: FastAPI = (await run(RECIPES[HEALTH]))["app"]
    async with serving(app, sandbox) as browser:
        landbot: AsyncLandbot = app.state.landbot
        assert (await browser.get("/health")).json() == {"landbot": "ok"}
        asked = sandbox.received
        assert (await browser.get("/health")).status_code == 200
        assert sandbox.received == asked
        sandbox.fault("cut", method="POST")
        with pytest.raises(APIConnectionError):
            await landbot.customers.send_text(1, "Hello")
        assert (await browser.get("/health")).status_code == 503
        await landbot.customers.get(1)
        assert (await browser.get("/health")).status_code == 200


async def test_health_asks_after_a_quiet_minute(sandbox: Sandbox) -> None:
    async with running(HEALTH, sandbox) as browser:
        sandbox.fault(401)
        answer = await browser.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"detail": "AuthenticationError"})


BY_EMAIL = "Assign an agent by e-mail address"


async def test_an_agent_is_found_by_their_address(sandbox: Sandbox) -> None:
    assign_by_email = (await run(RECIPES[BY_EMAIL]))["assign_by_email"]
    async with sandbox.client() as landbot:
        *_, agent = await landbot.agents.list()
        assert agent.email is not None
        assert await assign_by_email(landbot, 1, agent.email.upper()) == agent
        with pytest.raises(LookupError):
            await assign_by_email(landbot, 1, "nobody@example.org")
    assert sandbox.customer(1).agent_id == agent.id


BURST = "Merge a burst into one turn"


async def test_a_burst_is_one_turn(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(RECIPES, BURST, RECIPES[BURST].replace("QUIET = 3.0", "QUIET = 1.0"))
    async with running(BURST, sandbox):
        await landbot_hook(sandbox)
        for text in ("hi", "I have a question", "about my order"):
            sandbox.write(1, text)
        sandbox.write(2, "hello")
        await until_sent(sandbox, 2)
        sandbox.fault(503, method="POST")
        sandbox.write(1, "still there?")
        await sandbox.settled()
        await until(lambda: caplog.messages)
        sandbox.write(2, "bye")
        await sandbox.settled()
    assert sorted(sent(sandbox)) == [
        (1, "text", "You said: hi / I have a question / about my order"),
        (2, "text", "You said: bye"),
        (2, "text", "You said: hello"),
    ]
    assert [message for message in caplog.messages if "no answer to" in message] == ["no answer to customer 1"]


async def landbot_hook(sandbox: Sandbox) -> None:
    """Make the hook that the program itself does not make."""
    async with sandbox.client() as landbot:
        await landbot.hooks.create(8, URL, token=SETTINGS["LANDBOT_HOOK_TOKEN"])
