"""The control path: what the page and tests in other languages use."""

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.clock import VirtualLoop
from landbot_async.sandbox.feed import SandboxEvent
from landbot_async.sandbox.server.control import ALIVE, Control, Variable, event

from .serving import asgi

pytestmark = pytest.mark.anyio


async def test_state_tells_what_the_page_begins_with() -> None:
    sandbox = Sandbox(customers=3, rate=5, per=2.0)
    sandbox.fault(503, times=2)
    async with asgi(sandbox) as client:
        state = (await client.get("/_sandbox/state")).json()
    assert state == {
        "now": pytest.approx(sandbox.now),
        "rate": 5,
        "per": 2.0,
        "window": "sliding",
        "base_url": "http://127.0.0.1:8000/v1/",
        "chat_base_url": "http://127.0.0.1:8000/chat/v1/",
        "channels": [
            {"id": channel.id, "name": channel.name, "type": channel.type, "active": True}
            for channel in sandbox.channels
        ],
        "customers": 3,
        "faults": [fault.json() for fault in sandbox.faults],
        "last": sandbox.feed.last,
    }
    assert state["faults"][0]["times"] == 2


async def test_environment_is_what_a_program_needs() -> None:
    variables = [Variable("LANDBOT_BASE_URL", "http://x/"), Variable("LANDBOT_API_TOKEN", None, secret=True)]
    async with asgi(Sandbox(), variables=variables) as client:
        assert (await client.get("/_sandbox/environment")).json() == {
            "variables": [
                {"name": "LANDBOT_BASE_URL", "value": "http://x/", "secret": False},
                {"name": "LANDBOT_API_TOKEN", "value": None, "secret": True},
            ]
        }


async def test_no_token_is_in_anything_else() -> None:
    sandbox = Sandbox(customers=2)
    async with asgi(sandbox, Authorization=f"Token {sandbox.token}") as client:
        await client.post("/v1/channels/8/message_hooks/", json={"url": "http://127.0.0.1:9/", "token": "hook-secret"})
        await client.post("/_sandbox/customers/1/messages", json={"text": "Hi"})
        text = "".join(
            [
                (await client.get(f"/_sandbox/{path}")).text
                for path in ("state", "customers", "customers/1", "deliveries", "sent", "faults")
            ]
        )
    text += str(sandbox.feed.since(0))
    for secret in (sandbox.token, "hook-secret", *(channel.token for channel in sandbox.channels)):
        assert secret not in text


async def test_customers_come_with_the_latest_conversation_first() -> None:
    sandbox = Sandbox(customers=5)
    sandbox.customer(2).last_message = None
    async with asgi(sandbox) as client:

        async def ids(**params: Any) -> list[int]:
            page = (await client.get("/_sandbox/customers", params=params)).json()
            assert page["total"] == 5
            return [row["id"] for row in page["customers"]]

        assert await ids() == [1, 3, 4, 5, 2]
        assert await ids(offset=1, limit=2) == [3, 4]
        assert await ids(limit=0) == []
        await client.post("/_sandbox/customers/5/messages", json={"text": "Hi"})
        assert await ids(limit=2) == [5, 1]


async def test_a_search_finds_names_phones_and_emails() -> None:
    sandbox = Sandbox()
    sandbox.add_customer("Ørjan", phone="4790", email=None)
    sandbox.add_customer("Bo", phone=None, email="bo@example.org")
    sandbox.add_customer("Cy", phone=None, email=None).name = None
    async with asgi(sandbox) as client:
        for search, found in (
            ("ør", [1]),
            ("479", [1]),
            ("EXAMPLE", [2]),
            ("nobody", []),
            ("none", []),
            ("", [1, 2, 3]),
        ):
            page = (await client.get("/_sandbox/customers", params={"search": search})).json()
            assert sorted(row["id"] for row in page["customers"]) == found
            assert page["total"] == len(found)


async def test_a_customer_comes_with_the_conversation() -> None:
    sandbox = Sandbox(customers=1, bot=False)
    async with asgi(sandbox, Authorization=f"Token {sandbox.token}") as client:
        await client.post("/v1/customers/1/send_text/", json={"message": "Hello"})
        wrote = await client.post("/_sandbox/customers/1/messages", json={"text": "<b>Hi</b>"})
        assert (wrote.status_code, wrote.json()) == (200, {"success": True})
        answer = (await client.get("/_sandbox/customers/1")).json()
    assert answer["customer"]["last_text"] == "<b>Hi</b>"
    assert [(each["text"], each["sender"]["type"]) for each in answer["messages"]] == [
        ("Hello", "agent"),
        ("<b>Hi</b>", "customer"),
    ]
    assert {"id", "type", "text", "sender", "at", "data"} <= answer["messages"][0].keys()


async def test_a_button_can_be_pressed() -> None:
    sandbox = Sandbox(customers=1, bot=False)
    async with asgi(sandbox) as client:
        await client.post("/_sandbox/customers/1/messages", json={"text": "Yes", "type": "button", "payload": "$0"})
    message = sandbox.messages(1)[-1]
    assert (message.type, message.text, message.data["payload"]) == ("button", "Yes", "$0")


async def test_a_customer_can_be_added_and_changed() -> None:
    sandbox = Sandbox()
    async with asgi(sandbox) as client:
        added = await client.post(
            "/_sandbox/customers", json={"name": "Ava", "channel_id": 9, "fields": {"city": "Vic"}}
        )
        assert added.json()["customer"]["name"] == "Ava"
        assert sandbox.customer(1).fields == {"city": "Vic"}
        changed = await client.patch("/_sandbox/customers/1", json={"blocked": True, "agent_id": 7})
        assert (changed.json()["customer"]["blocked"], changed.json()["customer"]["agent_id"]) == (True, 7)
    assert sandbox.customer(1).blocked
    happening = sandbox.feed.since(0)[-1]
    assert (happening.kind, happening.data["blocked"]) == ("customer", True)


async def test_a_channel_can_be_changed() -> None:
    sandbox = Sandbox()
    async with asgi(sandbox) as client:
        details = {"active": False, "url": "http://127.0.0.1:9000/bridge"}
        changed = await client.patch("/_sandbox/channels/10", json=details)
        assert changed.json() == {"channel": {"id": 10, "name": "Bridge", "type": "apichat", "active": False}}
        assert (sandbox.channel(10).active, sandbox.channel(10).url) == (False, "http://127.0.0.1:9000/bridge")
        await client.patch("/_sandbox/channels/10", json={"url": None, "active": True})
    assert (sandbox.channel(10).active, sandbox.channel(10).url) == (True, None)


async def test_faults_can_be_planned_and_cleared() -> None:
    sandbox = Sandbox()
    async with asgi(sandbox) as client:
        planned = await client.post("/_sandbox/faults", json={"what": "cut", "times": 3, "method": "POST"})
        assert [(fault["what"], fault["times"]) for fault in planned.json()["faults"]] == [("cut", 3)]
        assert (await client.get("/_sandbox/faults")).json() == planned.json()
        assert (await client.delete("/_sandbox/faults")).json() == {"faults": []}


async def test_time_can_be_moved() -> None:
    sandbox = Sandbox()
    before = sandbox.now
    async with asgi(sandbox) as client:
        moved = await client.post("/_sandbox/tick", json={"hours": 25})
    assert moved.json()["now"] == pytest.approx(before + 25 * 3600)
    assert sandbox.now == pytest.approx(before + 25 * 3600)


async def test_sent_and_deliveries() -> None:
    sandbox = Sandbox(customers=2)
    async with asgi(sandbox, Authorization=f"Token {sandbox.token}") as client:
        await client.post("/v1/customers/1/send_text/", json={"message": "Hello"})
        sent = (await client.get("/_sandbox/sent")).json()["sent"]
        assert [(each["customer_id"], each["text"]) for each in sent] == [(1, "Hello")]
        assert (await client.get("/_sandbox/deliveries")).json() == {"deliveries": []}


async def test_the_latest_deliveries_alone() -> None:
    sandbox = Sandbox(customers=2, bot=False, window="off")
    async with asgi(sandbox, Authorization=f"Token {sandbox.token}") as client:
        await client.post("/v1/channels/8/message_hooks/", json={"url": "http://beyond.invalid/"})
        for text in ("one", "two", "three"):
            sandbox.write(1, text)
            await sandbox.settled()
        for query, wanted in (
            ("", ["one", "two", "three"]),
            ("?limit=2", ["two", "three"]),
            ("?limit=9&customer_id=1", ["one", "two", "three"]),
            ("?limit=0", []),
            ("?customer_id=2", []),
        ):
            told = (await client.get(f"/_sandbox/deliveries{query}")).json()["deliveries"]
            assert [each["body"]["messages"][0]["data"]["body"] for each in told] == wanted


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("GET", "customers/99", None, 404, "There is no such customer"),
        ("PATCH", "customers/99", {}, 404, "There is no such customer"),
        ("POST", "customers/99/messages", {"text": "x"}, 404, "There is no such customer"),
        ("PATCH", "customers/1", {"blocked": "yes"}, 422, "blocked cannot be 'yes'"),
        ("PATCH", "customers/1", {"agent_id": True}, 422, "agent_id cannot be True"),
        ("PATCH", "customers/1", {"id": 5}, 422, "'id' cannot be set here"),
        ("POST", "customers", {"channel_id": 99}, 422, "channel_id must be one of"),
        ("POST", "customers", {"messages": []}, 422, "'messages' cannot be set here"),
        ("PATCH", "channels/99", {"active": True}, 404, "There is no such channel"),
        ("PATCH", "channels/8", {"token": "x"}, 422, "'token' cannot be set here"),
        ("PATCH", "channels/8", {"url": "nowhere"}, 422, "url"),
        ("PATCH", "channels/10", {"url": "http://127.0.0.1:99999/"}, 422, "url must be an http(s) URL"),
        ("PATCH", "channels/8", {"url": "http://127.0.0.1:9/"}, 422, "only an APIchat channel has a url"),
        ("GET", "nothing", None, 404, "Not Found"),
        ("PUT", "tick", {}, 405, "Method Not Allowed"),
        ("POST", "faults", {"what": 999}, 422, "what"),
        ("POST", "faults", {"which": 500}, 422, "which"),
        ("POST", "tick", {"hours": -1}, 422, "hours"),
        ("GET", "customers?limit=x", None, 422, "limit must be a whole number"),
        ("GET", "customers?limit=9999999999999999", None, 422, "limit must be a whole number"),
        ("POST", "tick", {"hours": 1e300}, 422, "year 9999"),
        ("POST", "customers", '{"name": "\\ud800"}', 400, "The body is not JSON"),
        ("POST", "tick", '{"hours": NaN}', 400, "The body is not JSON"),
        ("POST", "tick", [], 400, "The body is not a JSON object"),
        ("POST", "tick", "{", 400, "The body is not JSON"),
        ("POST", "tick", "[" * 100_000, 400, "The body is not JSON"),
    ],
)
async def test_what_is_wrong_gets_a_reason(method: str, path: str, body: Any, status: int, error: str) -> None:
    sandbox = Sandbox(customers=1)
    async with asgi(sandbox) as client:
        content = body if isinstance(body, str) else None if body is None else json.dumps(body)
        answer = await client.request(method, f"/_sandbox/{path}", content=content)
    assert answer.status_code == status
    assert error in answer.json()["error"]
    assert not sandbox.customer(1).messages


async def test_a_refusal_of_the_workspace_is_one_of_the_control_path() -> None:
    sandbox = Sandbox(customers=1)
    async with asgi(sandbox) as client:
        answer = await client.post("/_sandbox/customers/1/messages", json={"text": ""})
    assert answer.status_code == 422
    assert answer.json()["error"]


class TestEvents:
    """The stream of what happens."""

    async def test_it_begins_where_it_was_left(self) -> None:
        sandbox = Sandbox(customers=3)
        control = Control(sandbox, ())
        for number in (1, 2, 3):
            sandbox.delete_customer(number)
        last = sandbox.feed.last
        stream = control.stream(last - 2)
        assert await anext(stream) == b": hello\n\n"
        told = (await anext(stream)).decode()
        assert told == "".join(event(each).decode() for each in sandbox.feed.since(last - 2))
        assert f"id: {last - 1}\nevent: customer\ndata: " in told
        await stream.aclose()

    async def test_and_goes_on_as_things_happen(self) -> None:
        sandbox = Sandbox()
        stream = Control(sandbox, ()).stream(sandbox.feed.last)
        await anext(stream)

        async def happen() -> None:
            await anyio.sleep(1)
            sandbox.add_customer("A")
            await anyio.sleep(1)
            sandbox.add_customer("B")
            sandbox.add_customer("C")
            await anyio.sleep(1)
            sandbox.add_customer("D")

        async with anyio.create_task_group() as group:
            group.start_soon(happen)
            assert (await anext(stream)).count(b"id: ") == 1
            assert (await anext(stream)).count(b"id: ") == 2
            assert (await anext(stream)).count(b"id: ") == 1
        await stream.aclose()

    async def test_silence_is_told_of_too(self) -> None:
        stream = Control(Sandbox(), ()).stream(0)
        await anext(stream)
        begun = anyio.current_time()
        assert await anext(stream) == b": nothing new\n\n"
        assert anyio.current_time() - begun == pytest.approx(ALIVE)
        await stream.aclose()

    async def test_one_that_is_cut_off_while_it_writes_has_ended(self) -> None:
        """It is not left to the garbage collector, which would end it in the wrong order and say so on the terminal."""
        sandbox, writing = Sandbox(), anyio.Event()
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/_sandbox/events",
            "headers": [],
            "query_string": b"",
        }
        route = next(each for each in Control(sandbox, ()).routes() if each.path == "/_sandbox/events")

        async def receive() -> Any:
            await anyio.sleep_forever()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                writing.set()
                await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            group.start_soon(route.handle, scope, receive, send)
            await writing.wait()
            assert len(sandbox.feed._streams) == 1
            group.cancel_scope.cancel()
        assert not sandbox.feed._streams

    def test_an_event_is_three_lines_whatever_it_says(self) -> None:
        text = event(SandboxEvent(7, "message", 1.5, {"text": "a\nb\r\u2028ü\n\nid: 8"})).decode()
        lines = text.split("\n")
        assert (lines[0], lines[1], lines[3:]) == ("id: 7", "event: message", ["", ""])
        assert json.loads(lines[2].removeprefix("data: ")) == {"at": 1.5, "text": "a\nb\r\u2028ü\n\nid: 8"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = (
    st.sampled_from(
        [
            "text",
            "type",
            "payload",
            "name",
            "phone",
            "agent_id",
            "channel_id",
            "fields",
            "blocked",
            "what",
            "times",
            "route",
            "probability",
            "latency",
            "hours",
            "seconds",
            "minutes",
            "url",
            "active",
            "self",
            "customer_id",
            "data",
        ]
    )
    | st.text()
)
CALLS = st.tuples(
    st.sampled_from(["POST", "PATCH"]),
    st.sampled_from(
        ["customers", "customers/1", "customers/1/messages", "faults", "tick", "channels/10", "channels/8"]
    ),
    st.dictionaries(
        NAMES, JSON | st.sampled_from(["text", "cut", 8, 10, True, 503, "http://127.0.0.1:9/x"]), max_size=4
    ),
)


@given(calls=st.lists(CALLS, max_size=6))
def test_whatever_is_said_it_answers_and_goes_on(calls: list[tuple[str, str, Any]]) -> None:
    async def run() -> None:
        sandbox = Sandbox(customers=1)
        async with asgi(sandbox, Authorization=f"Token {sandbox.token}") as client:
            for method, path, body in calls:
                answer = await client.request(method, f"/_sandbox/{path}", content=json.dumps(body))
                assert answer.status_code in {200, 400, 404, 405, 422}
            for path in ("state", "customers", "customers/1", "deliveries", "sent", "faults"):
                assert (await client.get(f"/_sandbox/{path}")).status_code == 200
            sandbox.clear_faults()
            for path in ("customers/", "customers/1/", "customers/1/messages/", "channels/"):
                assert (await client.get(f"/v1/{path}")).status_code == 200
        for happening in sandbox.feed.since(0):
            assert json.loads(event(happening).split(b"data: ", 1)[1])

    anyio.run(run, backend_options={"loop_factory": VirtualLoop})


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "1.0", "٣", "x"])
async def test_what_is_no_number_of_anybody_is_nobodys(number: str) -> None:
    async with asgi(Sandbox(customers=3)) as client:
        assert (await client.get(f"/_sandbox/customers/{number}")).status_code == 404
        assert (await client.patch(f"/_sandbox/channels/{number}", json={})).status_code == 404


async def test_hooks_are_made_listed_and_deleted() -> None:
    sandbox = Sandbox(customers=1)
    async with asgi(sandbox) as client:
        made = await client.post(
            "/_sandbox/hooks", json={"channel_id": 8, "url": "http://127.0.0.1:9/x", "token": "s3cret", "name": "mine"}
        )
        shown = made.json()["hook"]
        assert (shown["id"], shown["channel_id"], shown["url"], shown["name"]) == (1, 8, "http://127.0.0.1:9/x", "mine")
        assert (shown["token"], shown["has_token"]) == (None, True)
        assert (await client.get("/_sandbox/hooks")).json() == {"hooks": [shown]}
        assert [each.token for each in sandbox.hooks] == ["s3cret"]
        assert (await client.delete("/_sandbox/hooks/1")).json() == {"success": True}
        assert (await client.delete("/_sandbox/hooks/1")).status_code == 404
        assert not sandbox.hooks


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("hooks", {"channel_id": 99, "url": "http://127.0.0.1:9/x"}, 404),
        ("hooks", {"channel_id": 8}, 422),
        ("hooks", {"channel_id": 8, "url": "nowhere"}, 422),
        ("hooks", {"url": "http://127.0.0.1:9/x"}, 422),
        ("hooks", {"channel_id": "8", "url": "http://127.0.0.1:9/x"}, 422),
        ("bots", {}, 422),
        ("bots", {"id": 0}, 422),
        ("bots", {"id": "x"}, 422),
        ("deliveries/1/retry", {}, 404),
        ("deliveries/x/retry", {}, 404),
    ],
)
async def test_what_cannot_be_done_with_them(path: str, body: Any, status: int) -> None:
    sandbox = Sandbox(customers=1)
    async with asgi(sandbox) as client:
        answer = await client.post(f"/_sandbox/{path}", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert not sandbox.hooks


async def test_a_bot_and_one_more_attempt() -> None:
    sandbox = Sandbox(customers=1, bot=False)
    async with asgi(sandbox) as client:
        assert (await client.post("/_sandbox/bots", json={"id": 2_384_756})).json() == {"success": True}
        assert 2_384_756 in sandbox.bots
        sandbox.add_hook(8, "https://beyond.example/")
        sandbox.write(1, "Hello")
        await sandbox.settled()
        assert (await client.post("/_sandbox/deliveries/1/retry")).json() == {"success": True}
        await sandbox.settled()
        assert [attempt.attempt for attempt in sandbox.deliveries] == [1, 2]


async def test_a_made_up_message_is_told_apart() -> None:
    sandbox = Sandbox(customers=1, bot=False)
    async with asgi(sandbox) as client:
        sandbox.write(1, "Hello")
        answer = (await client.get("/_sandbox/customers/1")).json()
    assert [each["text"] for each in answer["messages"]] == ["Hello"]
    assert [each["text"] for each in answer["before"]] == ["Hello! Is anybody there?"]
