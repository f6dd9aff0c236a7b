"""Each operation on the wire: method, path, query, body and answer."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from landbot_async import AsyncLandbot, Customer, ResponseError
from tests.helpers import OK, lent

pytestmark = pytest.mark.anyio

AVA = {"id": 1, "name": "Ava Chen", "channel_id": 9, "opt_in": True}
ONE = httpx.Response(200, json={"success": True, "customer": AVA})
LIST = httpx.Response(200, json={"success": True, "total": 1, "customers": [AVA]})
DELETED = httpx.Response(204)

FILTERED = (
    "/v1/customers/?channel_id=8&agent_id=2&search=a%26b%3D%C3%BC&search_by=email&archived=false&opt_in=true"
    "&offset=3&limit=7"
)

Call = Callable[[AsyncLandbot], Awaitable[Any]]


def listed(**arguments: Any) -> Call:
    async def call(landbot: AsyncLandbot) -> object:
        return [*await landbot.customers.list(**arguments)]

    return call


@pytest.mark.parametrize(
    ("call", "answer", "method", "target", "body", "result"),
    [
        (lambda lb: lb.customers.get(1), ONE, "GET", "/v1/customers/1/", None, Customer(1, "Ava Chen", 9, opt_in=True)),
        (lambda lb: lb.customers.delete(1), DELETED, "DELETE", "/v1/customers/1/", None, None),
        (lambda lb: lb.customers.archive(1), OK, "PUT", "/v1/customers/1/archive/", None, None),
        (lambda lb: lb.customers.opt_out(1), DELETED, "DELETE", "/v1/customers/1/opt_out/", None, None),
        (
            lambda lb: lb.customers.assign_bot(1, 5),
            OK,
            "PUT",
            "/v1/customers/1/assign_bot/5/",
            {"launch": True},
            None,
        ),
        (
            lambda lb: lb.customers.assign_bot(1, 5, launch=False, node="Nkqgn6xkf"),
            OK,
            "PUT",
            "/v1/customers/1/assign_bot/5/",
            {"launch": False, "node": "Nkqgn6xkf"},
            None,
        ),
        (
            lambda lb: lb.customers.send_text(1, "Hello, „Welt“ 🎈"),
            OK,
            "POST",
            "/v1/customers/1/send_text/",
            {"message": "Hello, „Welt“ 🎈"},
            None,
        ),
        (
            listed(),
            LIST,
            "GET",
            "/v1/customers/?offset=0&limit=100",
            None,
            [Customer(1, "Ava Chen", 9, opt_in=True)],
        ),
        (
            listed(
                channel_id=8,
                agent_id=2,
                search="a&b=ü",
                search_by="email",
                archived=False,
                opt_in=True,
                page_size=7,
                offset=3,
            ),
            LIST,
            "GET",
            FILTERED,
            None,
            [Customer(1, "Ava Chen", 9, opt_in=True)],
        ),
    ],
)
async def test_on_the_wire(
    call: Call, answer: httpx.Response, method: str, target: str, body: object, result: object
) -> None:
    async with lent(lambda _: answer) as (landbot, requests):
        assert await call(landbot) == result
        [request] = requests
        assert (request.method, request.url.raw_path.decode()) == (method, target)
        assert request.content == b"" if body is None else json.loads(request.content) == body
        assert request.headers.get("content-type") == (None if body is None else "application/json")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda lb: lb.customers.get(0), ValueError, "customer_id"),
        (lambda lb: lb.customers.get(-1), ValueError, "customer_id"),
        (lambda lb: lb.customers.get("1"), TypeError, "customer_id"),
        (lambda lb: lb.customers.get(1.0), TypeError, "customer_id"),
        (lambda lb: lb.customers.get(True), TypeError, "customer_id"),
        (lambda lb: lb.customers.delete(-5), ValueError, "customer_id"),
        (lambda lb: lb.customers.archive(None), TypeError, "customer_id"),
        (lambda lb: lb.customers.opt_out(0), ValueError, "customer_id"),
        (lambda lb: lb.customers.assign_bot(1, 0), ValueError, "bot_id"),
        (lambda lb: lb.customers.assign_bot(1, 2, launch="no"), TypeError, "launch"),
        (lambda lb: lb.customers.assign_bot(1, 2, launch=None), TypeError, "launch"),
        (lambda lb: lb.customers.assign_bot(1, 2, node=""), ValueError, "node"),
        (lambda lb: lb.customers.send_text(-1, "Hi"), ValueError, "customer_id"),
        (lambda lb: lb.customers.send_text(1, ""), ValueError, "message"),
        (lambda lb: lb.customers.send_text(1, " \n"), ValueError, "message"),
        (lambda lb: lb.customers.send_text(1, None), TypeError, "message"),
        (lambda lb: lb.customers.send_text(1, b"Hi"), TypeError, "message"),
        (listed(channel_id=0), ValueError, "channel_id"),
        (listed(agent_id="2"), TypeError, "agent_id"),
        (listed(search=""), ValueError, "search"),
        (listed(search_by="mail"), ValueError, "search_by"),
        (listed(search_by="phone"), ValueError, "give search too"),
        (listed(archived="false"), TypeError, "archived"),
        (listed(opt_in=1), TypeError, "opt_in"),
        (listed(page_size=0), ValueError, "page_size"),
        (listed(page_size=101), ValueError, "page_size"),
        (listed(offset=-1), ValueError, "offset"),
        (listed(prefetch=-1), ValueError, "prefetch"),
    ],
)
async def test_bad_input_is_said_before_anything_is_sent(call: Call, error: type[Exception], says: str) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        with pytest.raises(error, match=says):
            await call(landbot)
        assert not requests


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"success": True}, "$.customer"),
        ({"success": True, "customer": None}, "$.customer"),
        ({"success": True, "customer": []}, "$.customer"),
        ({"success": True, "customer": {}}, "$.customer.id"),
        ({"success": True, "customer": {"id": "1"}}, "$.customer.id"),
        ({"success": True, "customer": {"id": True}}, "$.customer.id"),
    ],
)
async def test_the_envelope_and_the_id_are_strict_always(answer: object, path: str) -> None:
    async with lent(lambda _: httpx.Response(200, json=answer)) as (landbot, _):
        with pytest.raises(ResponseError) as caught:
            await landbot.customers.get(1)
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"success": True, "total": 1}, "$.customers"),
        ({"success": True, "total": 1, "customers": {}}, "$.customers"),
        ({"success": True, "total": "1", "customers": []}, "$.total"),
        ({"success": True, "total": True, "customers": []}, "$.total"),
        ({"success": True, "total": 2, "customers": [{"id": 1}, {"id": None}]}, "$.customers[1].id"),
        ({"success": True, "total": 2, "customers": [{"id": 1}, 2]}, "$.customers[1]"),
    ],
)
async def test_so_are_those_of_a_page(answer: object, path: str) -> None:
    async with lent(lambda _: httpx.Response(200, json=answer)) as (landbot, _):
        with pytest.raises(ResponseError) as caught:
            await landbot.customers.list().collect()
        assert caught.value.path == path


async def test_options_travel_to_every_page() -> None:
    rows = [{"id": number} for number in range(1, 251)]

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["channel_id"] == "8"
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        return httpx.Response(200, json={"success": True, "total": 250, "customers": rows[offset : offset + limit]})

    async with lent(answer) as (landbot, requests):
        assert len(await landbot.customers.list(channel_id=8).collect()) == 250
        assert [request.url.params["offset"] for request in requests] == ["0", "99", "198"]
