"""The examples do what they say: in process on both event loops, as a program, and against a server as with Landbot."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from landbot_async.sandbox import Sandbox

from .documents import ROOT
from .helpers import TOKEN

pytestmark = pytest.mark.anyio

BRIDGE = ROOT / "examples" / "bridge.py"
URL = "https://bridge.example/"
MENU = "   bot: What can I do for you? [Opening hours] [Where are you?] [Talk to a person]"
CONVERSATION = f"""\
   ana: Hi
   bot: Hi Ana, good to see you!
{MENU}
   ana: Opening hours
   bot: We are open from 9 to 18 o'clock, Monday to Friday.
{MENU}
   ana: Where are you?
   bot: You find us here.: https://web.example/map.png
{MENU}
   ana: Thank you
   bot: You said: Thank you
{MENU}
   ana: Talk to a person
   bot: Somebody will be with you soon.
"""


@pytest.fixture(scope="module")
def bridge() -> Any:
    spec = importlib.util.spec_from_file_location("bridge", BRIDGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def bridged(bridge: Any, **options: Any) -> AsyncGenerator[tuple[Any, Sandbox]]:
    """Simulate the other side of a bridge to the sandbox's bot."""
    async with (
        Sandbox(**options) as sandbox,
        sandbox.apichat() as apichat,
        anyio.create_task_group() as group,
    ):
        chat = bridge.ForeignChat()
        made = bridge.Bridge(chat, apichat, group)
        sandbox.channel(10).url = URL
        sandbox.mount(URL, made.inbox)
        async with made.inbox:
            yield chat, sandbox


async def test_the_conversation(bridge: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await bridge.demo()
    assert capsys.readouterr().out == CONVERSATION


@pytest.mark.once
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_it_is_one_command() -> None:
    done = await anyio.run_process([sys.executable, str(BRIDGE)], env=_environment())
    assert done.stdout.decode() == CONVERSATION


async def test_the_token_is_the_user_and_a_button_brings_its_payload(bridge: Any) -> None:
    async with bridged(bridge) as (chat, sandbox):
        for user in ("ana", "bo/../x"):
            chat.say(user, "Hi")
            await chat.silence(1)
            chat.say(user, "Opening hours")
            await chat.silence(1)
        bo, ana = sandbox.customers  # the latest first
        assert [customer.token for customer in (ana, bo)] == ["mychat-ana", "mychat-bo/../x"]
        assert ana.name == "Ana"
        for customer in (ana, bo):
            said = [message for message in sandbox.messages(customer.id) if message.sender.type == "customer"]
            assert [(message.type, message.text) for message in said] == [("text", "Hi"), ("button", "Opening hours")]
            assert said[1].data["payload"] == "$0"


async def test_many_users_at_once_each_in_order(bridge: Any, capsys: pytest.CaptureFixture[str]) -> None:
    async with bridged(bridge, rate=1000, latency=0.3, jitter=0.2) as (chat, sandbox):
        sandbox.deliver(copies=2, disorder=0.05)
        begun = anyio.current_time()
        for number in range(10):
            for user in ("ana", "bo", "cy"):
                chat.say(user, f"{user} {number}")
        await sandbox.settled()
        await chat.silence(3)
        taken = anyio.current_time() - begun
        for customer in sandbox.customers:
            said = [message.text for message in sandbox.messages(customer.id) if message.sender.type == "customer"]
            assert said == [f"{said[0].split()[0]} {number}" for number in range(10)]
    lines = capsys.readouterr().out.splitlines()
    for user in ("ana", "bo", "cy"):
        # The first one is greeted, the others are answered; each once, although all was delivered twice.
        assert [line for line in lines if f"You said: {user}" in line] == [
            f"   bot: You said: {user} {number}" for number in range(1, 10)
        ]
    assert taken < 3 + 10 * 0.5 + 3


async def test_a_send_that_may_have_arrived_is_not_repeated(bridge: Any, capsys: pytest.CaptureFixture[str]) -> None:
    async with bridged(bridge) as (chat, sandbox):
        sandbox.fault("lost_answer", route="/send/{customer_token}/")
        chat.say("ana", "Hi")
        await chat.silence(2)
        [ana] = sandbox.customers
        assert [message.text for message in sandbox.messages(ana.id) if message.sender.type == "customer"] == ["Hi"]
        assert "may not have got through" in capsys.readouterr().out
        sandbox.fault("refused", times=None)
        chat.say("ana", "Bye")
        await chat.silence(30)
        assert "did not get through. Please say it again" in capsys.readouterr().out


async def test_what_the_foreign_chat_cannot_show_is_named(bridge: Any, capsys: pytest.CaptureFixture[str]) -> None:
    posted: list[tuple[dict[str, Any], str | None]] = [
        ({"type": "image", "url": "https://x.example/a.png", "message": None}, "mychat-ana"),
        ({"type": "hologram"}, "mychat-ana"),
        (
            {"type": "media_dialog", "url": "https://x.example/", "title": "Q", "buttons": ["A"], "payloads": ["$0"]},
            "mychat-ana",
        ),
        ({"type": "text", "message": "not ours"}, "tg-ana"),
        ({"type": "text", "message": "not ours"}, None),
    ]
    async with bridged(bridge) as (chat, _):
        inbox = chat.listener.__self__.inbox
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inbox), base_url=URL) as landbot:
            for number, (message, token) in enumerate(posted):
                answer = await landbot.post("/", json=envelope(message, token, at=number))
                assert answer.status_code == 200
        await chat.silence(2)
    assert capsys.readouterr().out.splitlines() == [
        "   bot: an image: https://x.example/a.png",
        "   bot: (hologram)",
        "   bot: Q [A]",
    ]


def envelope(message: dict[str, Any], token: str | None, *, at: float) -> dict[str, Any]:
    """Return the body that APIchat posts. Source: dev.landbot.io, "APIchat"."""
    return {
        "messages": [{**message, "timestamp": 1780054017.0 + at}],
        "customer": {"id": 1, "token": token, "name": None, "email": None, "phone": None, "register_date": 1780000000},
        "agent": {"id": 77, "type": "bot"},
        "channel": {"id": 3, "name": "Bridge"},
    }


@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_the_same_program_with_a_server_as_with_landbot() -> None:
    """A server that answers a customer's words as a bot does: by posting to the channel's URL."""
    port = unused_port()
    received: list[Any] = []

    async def send(request: web.Request) -> web.Response:
        body = await request.json()
        received.append((request.headers["Authorization"], request.match_info["token"], body["message"]))
        answer = {"type": "text", "message": f"You said: {body['message']['message']}"}
        async with httpx.AsyncClient() as poster:
            posted = envelope(answer, request.match_info["token"], at=len(received))
            answered = await poster.post(f"http://127.0.0.1:{port}/s3cret", json=posted)
            assert answered.status_code == 200
            assert (await poster.post(f"http://127.0.0.1:{port}/other", json=posted)).status_code == 404
        return web.json_response({"success": True})

    app = web.Application()
    app.router.add_post("/v1/send/{token}/", send)
    async with TestServer(app) as server:
        environment = _environment(
            LANDBOT_CHANNEL_TOKEN=TOKEN,
            LANDBOT_CHAT_BASE_URL=str(server.make_url("/v1/")),
            BRIDGE_SECRET="s3cret",
            PORT=str(port),
        )
        command = [sys.executable, str(BRIDGE)]
        done = await anyio.run_process(command, input=b"Hi\n\nBye\n", env=environment, stderr=subprocess.STDOUT)
    assert sorted(done.stdout.decode().splitlines()) == [
        "   ana: Bye",
        "   ana: Hi",
        "   bot: You said: Bye",
        "   bot: You said: Hi",
    ]
    assert received == [(f"Token {TOKEN}", "mychat-ana", {"type": "text", "message": text}) for text in ("Hi", "Bye")]


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(ROOT)), **more}
