"""The feed of events, for all who watch."""

import json
from typing import Any

import anyio
import pytest

from landbot_async.sandbox import Feed, Sandbox, SandboxEvent
from landbot_async.sandbox.feed import KEPT

pytestmark = pytest.mark.anyio


def kinds(feed: Feed) -> list[tuple[str, Any]]:
    return [(each.kind, each.data) for each in feed.since(0)]


def test_the_last_of_it_is_kept() -> None:
    feed = Feed()
    for number in range(1, KEPT + 11):
        feed.add("customer", number / 2, {"id": number})
    assert feed.last == KEPT + 10
    assert [each.number for each in feed.since(0)] == list(range(11, KEPT + 11))
    assert feed.since(feed.last - 1) == [SandboxEvent(KEPT + 10, "customer", (KEPT + 10) / 2, {"id": KEPT + 10})]
    assert feed.since(feed.last) == []


async def test_subscribers_hear_what_happens_from_then_on() -> None:
    feed, heard = Feed(), dict[str, list[int]](a=[], b=[])
    feed.add("message", 1.0, {})

    async def listen(name: str, count: int) -> None:
        async with feed.subscribe() as stream:
            while len(heard[name]) < count:
                heard[name].append((await anext(stream)).number)

    async with anyio.create_task_group() as group:
        group.start_soon(listen, "a", 3)
        group.start_soon(listen, "b", 2)
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            feed.add("message", 1.0, {})
            await anyio.wait_all_tasks_blocked()
    assert heard == {"a": [2, 3, 4], "b": [2, 3]}


async def test_who_is_slow_loses_the_oldest() -> None:
    feed = Feed()
    async with feed.subscribe() as stream:
        for _ in range(KEPT + 5):
            feed.add("message", 1.0, {})
        heard = list[int]()
        with anyio.move_on_after(1):
            async for happening in stream:
                heard.append(happening.number)
        assert heard == list(range(6, KEPT + 6))


async def test_a_cancelled_subscriber_is_forgotten() -> None:
    feed = Feed()
    with anyio.move_on_after(1):
        async with feed.subscribe() as stream:
            await anext(stream)
    assert not feed._streams


async def test_requests_and_what_they_do() -> None:
    async with Sandbox(customers=2, latency=1.0, rate=4, per=100.0) as sandbox:
        async with sandbox.client() as landbot:
            await landbot.customers.send_text(1, "Hi")
            await landbot.customers.delete(2)
            sandbox.fault("lost_answer")
            sandbox.fault(503)
            await landbot.customers.get(1)
        happened = kinds(sandbox.feed)
    requests = [data for kind, data in happened if kind == "request"]
    assert [(each["method"], each["path"], each["route"], each["status"]) for each in requests] == [
        ("POST", "/v1/customers/1/send_text/", "/customers/{customer_id}/send_text/", 200),
        ("DELETE", "/v1/customers/2/", "/customers/{customer_id}/", 204),
        ("GET", "/v1/customers/1/", "/customers/{customer_id}/", None),
        ("GET", "/v1/customers/1/", "/customers/{customer_id}/", 503),
    ] + [("GET", "/v1/customers/1/", "/customers/{customer_id}/", 200)] * (len(requests) - 4)
    assert {each["api"] for each in requests} == {"platform"}
    assert all(each["seconds"] == pytest.approx(1.0) for each in requests)
    [message] = [data for kind, data in happened if kind == "message"]
    assert message == {
        "id": 1,
        "customer_id": 1,
        "type": "text",
        "text": "Hi",
        "sender": {"type": "agent", "id": 1, "name": "Sandbox agent"},
        "data": {"body": "Hi"},
    }
    customers = [data for kind, data in happened if kind == "customer"]
    assert [(each["id"], each["last_text"], each.get("deleted")) for each in customers] == [
        (1, "Hi", None),
        (2, "Can I change my appointment to Friday?", True),
    ]
    assert json.loads(json.dumps(happened)) == [list(each) for each in happened]
    assert sandbox.token not in json.dumps(happened)
    assert [each.at for each in sandbox.feed.since(0)] == sorted(each.at for each in sandbox.feed.since(0))


async def test_a_refusal_and_a_cancelled_request() -> None:
    async with Sandbox(customers=1, rate=1, per=100.0) as sandbox, sandbox.client() as landbot:
        await landbot.customers.get(1)
        sandbox.add_customer("Ava")
        with anyio.move_on_after(150):
            sandbox.fault("latency", latency=500.0)
            await landbot.customers.get(2)
    told = [data for kind, data in kinds(sandbox.feed) if kind == "request"]
    assert [(each["status"], each["refused"]) for each in told][-1] == (None, False)
    sandbox = Sandbox(customers=1, rate=1, per=100.0)
    with anyio.move_on_after(1):
        async with sandbox.client(limiter=None) as landbot:
            await landbot.customers.get(1)
            await landbot.customers.get(1)
    assert [(data["status"], data["refused"]) for _, data in kinds(sandbox.feed)][:2] == [(200, False), (429, True)]
