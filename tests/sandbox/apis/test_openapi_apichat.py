"""The description of APIchat, its endpoint table, its client and the sandbox say the same."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import openapi_spec_validator
import pytest

from landbot_async import AsyncApichat, RateLimitError, RetryPolicy
from landbot_async._core.client import Client
from landbot_async._core.routes import APICHAT_ROUTES
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.apis.base import MAX_BODY
from landbot_async.sandbox.apis.bodies import URL, degrees
from landbot_async.sandbox.workspace.records import RefusedError
from tests.descriptions import Description
from tests.helpers import Unlimited

APICHAT = Description("apichat.json")
[SEND] = APICHAT.operations.values()
# Each method with all that it takes.
CALLS: dict[str, Callable[[AsyncApichat], Awaitable[Any]]] = {
    "send_text": lambda chat: chat.send_text(
        "tg-1",
        "Yes",
        payload="$0",
        customer={"name": "Ava", "email": "a@example.org", "phone": "34600", "plan": "gold"},
    ),
    "send_image": lambda chat: chat.send_image("tg-1", "https://example.org/a.png"),
    "send_audio": lambda chat: chat.send_audio("tg-1", "https://example.org/a.mp3"),
    "send_video": lambda chat: chat.send_video("tg-1", "https://example.org/a.mp4"),
    "send_document": lambda chat: chat.send_document("tg-1", "https://example.org/a.pdf"),
    "send_location": lambda chat: chat.send_location("tg-1", 41.4, -179.99, address="Somewhere"),
    "send": lambda chat: chat.send("tg-1", {"type": "document", "url": "https://example.org/a.pdf", "message": "A"}),
}


class Recorder(httpx.AsyncBaseTransport):
    """The way to the sandbox, with what went along it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._transport = sandbox._transport
        self.calls: list[tuple[httpx.Request, httpx.Response]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        self.calls.append((request, response))
        return response


def test_the_description_is_valid() -> None:
    openapi_spec_validator.validate(APICHAT.document)


def test_the_same_operations_everywhere() -> None:
    assert [(route.method, route.template) for route in APICHAT_ROUTES] == [SEND.call]
    assert [route.idempotent for route in APICHAT_ROUTES] == [SEND.idempotent]
    assert SEND.names("path") == {"customer_token"}
    assert APICHAT.schemas["Media"]["properties"]["url"]["pattern"] == URL


def test_there_is_no_other_method() -> None:
    public = {name for name, _ in inspect.getmembers(AsyncApichat, inspect.isfunction) if not name.startswith("_")}
    assert public - {name for name, _ in inspect.getmembers(Client, inspect.isfunction)} == set(CALLS)


@pytest.mark.anyio
@pytest.mark.parametrize("name", CALLS)
async def test_each_method_sends_what_is_described_and_understands_the_answer(name: str) -> None:
    async with Sandbox(window="off") as sandbox:
        recorder = Recorder(sandbox)
        async with (
            httpx.AsyncClient(transport=recorder) as pool,
            sandbox.apichat(http_client=pool, limiter=Unlimited()) as chat,
        ):
            await CALLS[name](chat)
    [(request, response)] = recorder.calls
    assert (request.method, request.url.path) == ("POST", "/chat/v1/send/tg-1/")
    body = json.loads(request.content)
    assert APICHAT.errors_of(body, SEND.body) == []
    assert APICHAT.errors_of(body["message"], APICHAT.schemas["Message"], closed=True) == []
    SEND.check(response)


TEXT: dict[str, Any] = {"message": {"type": "text", "message": "Hi"}}


def hidden(sandbox: Sandbox) -> None:
    sandbox.channel(10).active = False


def blocked(sandbox: Sandbox) -> None:
    sandbox.add_customer(channel_id=10, token="tg-1", blocked=True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "token", "body", "before"),
    [
        (400, 10, b"{", None),
        (401, None, TEXT, None),
        (401, "wrong", TEXT, None),
        (403, 8, TEXT, None),
        (403, 10, TEXT, blocked),
        (412, 10, TEXT, hidden),
        (413, 10, b'{"message": "' + b"x" * MAX_BODY + b'"}', None),
        (422, 10, {}, None),
        (422, 10, {"message": {"type": "text"}}, None),
        (422, 10, {"message": {"type": "dialog", "title": "?"}}, None),
        (422, 10, {"message": {"type": "image", "url": "x.example"}}, None),
        (422, 10, {"message": {"type": "location", "latitude": 90.5, "longitude": 2.2}}, None),
        (422, 10, {"message": {"type": "location", "latitude": True, "longitude": 2.2}}, None),
        (422, 10, {**TEXT, "customer": {"name": 5}}, None),
    ],
)
async def test_a_refusal_is_described(
    status: int, token: int | str | None, body: Any, before: Callable[[Sandbox], None] | None
) -> None:
    async with Sandbox() as sandbox:
        if before is not None:
            before(sandbox)
        if token is not None:
            token = sandbox.channel_token(token) if isinstance(token, int) else token
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx.AsyncClient(transport=sandbox._transport, base_url=sandbox.chat_base_url) as client:
            headers = {} if token is None else {"Authorization": f"Token {token}"}
            response = await client.post("send/tg-1/", content=content, headers=headers)
    assert response.status_code == status
    SEND.check(response)
    # What the description forbids is what is refused for its value.
    if isinstance(body, dict):
        assert bool(APICHAT.errors_of(body, SEND.body)) == (status == 422)


@pytest.mark.anyio
async def test_the_429_is_described() -> None:
    async with Sandbox(rate=1, per=1e6) as sandbox:
        recorder = Recorder(sandbox)
        async with (
            httpx.AsyncClient(transport=recorder) as pool,
            sandbox.apichat(http_client=pool, limiter=Unlimited(), retry=RetryPolicy(max_wait=0, base=1)) as chat,
        ):
            await chat.send_text("tg-1", "Hi")
            with pytest.raises(RateLimitError):
                await chat.send_text("tg-1", "Hi")
    SEND.check(recorder.calls[-1][1])


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["Text", "Media", "Location"])
async def test_the_examples_are_taken(kind: str) -> None:
    async with Sandbox(window="off") as sandbox, sandbox.apichat(limiter=Unlimited()) as chat:
        for message in APICHAT.schemas[kind]["examples"]:
            for details in APICHAT.schemas["Details"]["examples"]:
                assert APICHAT.errors_of({"message": message, "customer": details}, SEND.body) == []
                await chat.send("tg-1", message, customer=details)


@pytest.mark.parametrize(("name", "most"), [("latitude", 90), ("longitude", 180)])
@pytest.mark.parametrize(
    "value",
    [
        0,
        -7.5,
        90,
        90.1,
        180.0,
        -180.1,
        True,
        None,
        "0",
        "-0",
        "7",
        "007",
        "089.5",
        "90",
        "-90.0",
        "90.1",
        "99",
        "-179.9",
        "180",
        "180.00",
        "180.1",
        "1.",
        "1e1",
        "",
        "+1",
        "0180",
        ".5",
    ],
)
def test_the_degrees_are_those_that_the_sandbox_takes(value: object, name: str, most: int) -> None:
    message = {"type": "location", "latitude": "0", "longitude": "0", name: value}
    described = APICHAT.errors_of(message, APICHAT.schemas["Message"]) == []
    try:
        taken = abs(degrees(message, name, most, digits=True)) <= most
    except RefusedError:
        taken = False
    assert described == taken
