"""APIchat over the same workspace: as values, and with its client."""

import json
from typing import Any

import anyio
import pytest

from landbot_async import (
    APIStatusError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RetryPolicy,
    UnprocessableEntityError,
)
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.apis.apichat import Apichat
from landbot_async.sandbox.apis.base import MAX_BODY, SandboxRequest, SandboxResponse
from landbot_async.sandbox.workspace.workspace import Workspace
from tests.helpers import Unlimited
from tests.sandbox.apis.calls import respond
from tests.sandbox.deliveries.test_receiving import Receiver

GOOD = "Token A-10-SANDBOX"
TEXT = {"type": "text", "message": "Hi"}


def ask(
    message: Any = TEXT,
    customer: Any = None,
    *,
    token: str = "tg-1",
    method: str = "POST",
    path: str = "/send/{}/",
    authorization: str | None = GOOD,
    body: bytes | None = None,
) -> SandboxRequest:
    given = {"message": message, **({} if customer is None else {"customer": customer})}
    sent = json.dumps(given).encode() if body is None else body
    return SandboxRequest(method, path.format(token), {}, authorization, sent, 3.0)


def api() -> Apichat:
    return Apichat(Workspace(customers=0, seed=0))


def refusal(answered: SandboxResponse) -> tuple[int, str]:
    value = json.loads(answered.body)
    assert (answered.content_type, value["success"], set(value)) == ("application/json", False, {"success", "error"})
    return answered.status, value["error"]


@pytest.mark.parametrize(
    ("message", "kind", "text", "data"),
    [
        (TEXT, "text", "Hi", {"body": "Hi"}),
        ({**TEXT, "payload": "$0"}, "button", "Hi", {"body": "Hi", "payload": "$0"}),
        ({"type": "image", "url": "https://x.example/"}, "image", "", {"url": "https://x.example/", "caption": None}),
        (
            {"type": "document", "url": "https://x.example/", "message": "A"},
            "document",
            "A",
            {"url": "https://x.example/", "caption": "A"},
        ),
        (
            {"type": "location", "latitude": "41.4", "longitude": "-2"},
            "location",
            "41.4,-2.0",
            {"latitude": 41.4, "longitude": -2.0},
        ),
        (
            {"type": "location", "latitude": 41.4, "longitude": -2},
            "location",
            "41.4,-2",
            {"latitude": 41.4, "longitude": -2},
        ),
        (
            {"type": "location", "latitude": "0", "longitude": "180", "address": "Here"},
            "location",
            "Here",
            {"latitude": 0.0, "longitude": 180.0, "address": "Here"},
        ),
    ],
)
def test_what_a_customer_says(message: Any, kind: str, text: str, data: dict[str, Any]) -> None:
    it = api()
    response = respond(it, ask(message))
    [customer] = it.workspace.customers.values()
    assert (response.status, json.loads(response.body)) == (
        201,
        {"success": True, "customer": {"id": 1, "name": None, "phone": None, "email": None, "token": "tg-1"}},
    )
    [said] = customer.messages
    assert (said.type, said.text, said.data, said.sender.type) == (kind, text, data, "customer")
    assert (customer.token, customer.channel_id, customer.name, customer.unread) == ("tg-1", 10, None, True)
    assert not it.workspace.sent


def test_a_customer_is_made_once_and_kept_up() -> None:
    it = api()
    respond(it, ask(customer={"name": "Ava", "phone": "34600", "plan": "gold"}))
    respond(it, ask())
    respond(it, ask(customer={"name": "Ava Chen", "email": None, "plan": 5}))
    respond(it, ask(token="tg%2F1"))
    one, two = it.workspace.customers.values()
    assert (one.name, one.phone, one.email, one.fields) == ("Ava Chen", "34600", None, {"plan": 5})
    assert len(one.messages) == 3
    assert two.token == "tg/1"
    it.workspace.delete_customer(one.id)
    respond(it, ask())
    assert list(it.workspace.customers) == [2, 3]


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        (ask(authorization=None), 401, "Authentication credentials were not provided."),
        (ask(authorization="Token no"), 401, "Invalid token."),
        (ask(authorization="A-10-SANDBOX"), 401, "Authentication credentials were not provided."),
        (ask(authorization="Token H-8-SANDBOX"), 403, "channel: "),
        (ask(method="GET"), 405, "method: "),
        (ask(body=b"{"), 400, "body: "),
        (ask(body=b"[]"), 400, "body: "),
        (ask(body=b" " * (MAX_BODY + 1)), 413, "body: "),
        (ask(body=b""), 422, "message: "),
        (ask("Hi"), 422, "message: "),
        (ask({"message": "Hi"}), 422, "type: "),
        (ask({"type": "sticker"}), 422, "type: "),
        (ask({"type": "text"}), 422, "message: "),
        (ask({"type": "text", "message": " "}), 422, "message: "),
        (ask({**TEXT, "payload": 0}), 422, "payload: "),
        (ask({"type": "image"}), 422, "url: "),
        (ask({"type": "image", "url": "x.example"}), 422, "url: "),
        *(
            (ask({"type": "location", "latitude": wrong, "longitude": "1"}), 422, "latitude: ")
            for wrong in (True, None, "", "91", 90.5, [1], "x", "1e1", "٣")
        ),
        (ask({"type": "location", "latitude": "1", "longitude": "-181"}), 422, "longitude: "),
        (ask(TEXT, []), 422, "customer: "),
        (ask(TEXT, {"name": 5}), 422, "name: "),
    ],
)
def test_a_refusal_says_why(asked: SandboxRequest, status: int, told: str) -> None:
    it = api()
    found, error = refusal(respond(it, asked))
    assert (found, error[: len(told)]) == (status, told)
    assert not any(customer.messages for customer in it.workspace.customers.values())


@pytest.mark.parametrize("path", ["/", "/send/", "/send/{}", "/send//", "/send/{}/more/", "/customers/1/"])
def test_html_where_no_route_is(path: str) -> None:
    answered = respond(api(), ask(path=path))
    assert (answered.status, answered.content_type) == (404, "text/html")


def test_not_heard() -> None:
    it = api()
    respond(it, ask())
    it.workspace.customer(1).blocked = True
    assert refusal(respond(it, ask())) == (403, "customer: The customer is blocked")
    it.workspace.channel(10).active = False
    assert refusal(respond(it, ask(token="tg-2"))) == (412, "channel: The channel is inactive")


@pytest.mark.parametrize("status", [404, 409, 413, 429, 500])
def test_any_failure_has_its_shape(status: int) -> None:
    assert refusal(api().failure(status, "sandbox", "A fault")) == (status, "sandbox: A fault")


# With its client


@pytest.mark.anyio
async def test_a_bridge_talks_to_the_bot() -> None:
    receiver, hook = Receiver(), Receiver()
    async with Sandbox() as sandbox, sandbox.apichat() as chat, sandbox.client() as landbot:
        sandbox.channel(10).url = "https://bridge.example/secret"
        sandbox.mount("https://bridge.example", receiver)
        sandbox.mount("https://bot.example", hook)
        await landbot.hooks.create(10, "https://bot.example/", token="t")
        await chat.send_text("tg/../1", "Hello", customer={"name": "Ava"})
        await chat.send_text("tg/../1", "Where are you?", payload="$1")
        await chat.send_image("tg-2", "https://x.example/a.png")
        await chat.send_location("tg-2", 41.4, -2, address="Here")
        await landbot.customers.assign(1)
        await landbot.customers.send_text(1, "I am a person")
        await sandbox.settled()
        assert [(each.token, each.name) for each in sandbox.customers] == [("tg/../1", "Ava"), ("tg-2", None)]
    posted = [
        (each["messages"][0]["type"], each["customer"]["token"], each["agent"]["type"]) for each in receiver.received
    ]
    assert sorted(posted) == sorted(
        [("text", "tg/../1", "bot"), ("dialog", "tg/../1", "bot"), ("image", "tg/../1", "bot")]
        + [("dialog", "tg/../1", "bot"), ("text", "tg/../1", "human")]
        + [("text", "tg-2", "bot"), ("dialog", "tg-2", "bot")] * 2
    )
    assert all("authorization" not in headers for headers in receiver.headers)
    assert all(each["path"] == "/secret" for each in receiver.received)
    # The hook hears the bot, the agent and the assignment, but not what the customers said here.
    senders = [each["messages"][0]["sender"]["type"] for each in hook.received]
    assert sorted(senders) == ["agent", *["bot"] * 8, "sys"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("channel_id", "options", "change", "error"),
    [
        (10, {"token": "no"}, {}, AuthenticationError),
        (8, {}, {}, PermissionDeniedError),
        (10, {}, {"active": False}, PreconditionFailedError),
        (10, {"base_url": "https://sandbox.invalid/chat/v2/"}, {}, NotFoundError),
    ],
)
async def test_errors_have_their_types(
    channel_id: int, options: Any, change: dict[str, Any], error: type[APIStatusError]
) -> None:
    async with Sandbox() as sandbox, sandbox.apichat(channel_id, **options) as chat:
        for name, value in change.items():
            setattr(sandbox.channel(10), name, value)
        with pytest.raises(error):
            await chat.send_text("tg-1", "Hi")


@pytest.mark.anyio
async def test_faults_have_the_shape_of_the_api_they_meet() -> None:
    async with Sandbox() as sandbox, sandbox.apichat() as chat:
        sandbox.fault(409, route="/send/{customer_token}/")
        with pytest.raises(APIStatusError) as raised:
            await chat.send_text("tg-1", "Hi")
        assert (raised.value.status, raised.value.message) == (409, "sandbox: A fault on demand")
        with pytest.raises(UnprocessableEntityError) as refused:
            await chat.send("tg-1", {"type": "sticker"})
        assert refused.value.message == "type: Not a valid choice."
    told = [each.data for each in sandbox.feed.since(0) if each.kind == "request"]
    assert [(each["api"], each["route"], each["status"]) for each in told] == [
        ("apichat", "/send/{customer_token}/", 409),
        ("apichat", "/send/{customer_token}/", 422),
    ]


@pytest.mark.anyio
async def test_each_token_has_its_own_limit() -> None:
    async with Sandbox(customers=1, rate=2, per=100.0, bot=False) as sandbox:
        other = sandbox.add_channel("Other", type="apichat")
        options: dict[str, Any] = {"limiter": Unlimited(), "retry": RetryPolicy(max_wait=0, base=1)}
        async with (
            sandbox.client(**options) as landbot,
            sandbox.apichat(**options) as chat,
            sandbox.apichat(other.id, **options) as second,
        ):
            for _ in range(2):
                await landbot.customers.get(1)
                await chat.send_text("tg-1", "Hi")
                await second.send_text("tg-1", "Hi")
            assert sandbox.refused == 0
            with pytest.raises(RateLimitError):
                await chat.send_text("tg-1", "Hi")
            assert sandbox.refused == 1
        assert [each.channel_id for each in sandbox.customers] == [11, 10, 8]
    async with Sandbox(rate=100) as sandbox:
        begin = anyio.current_time()
        async with sandbox.apichat() as chat, sandbox.apichat() as same, anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon((chat if number % 2 else same).send_text, "tg-1", "Hi")
        assert anyio.current_time() - begin == pytest.approx(2.0, abs=0.1)
        assert sandbox.refused == 0


def test_a_customer_of_an_apichat_channel_has_a_token() -> None:
    sandbox = Sandbox()
    assert sandbox.add_customer("Ava", channel_id=10).token == "customer-1"
    assert sandbox.add_customer("Ava", channel_id=10, token="tg-9").token == "tg-9"
    assert sandbox._workspace.visitor(10, "tg-9", at=0.0).id == 2
    with pytest.raises(KeyError):
        sandbox.apichat(99)
