"""The promises that hold for every operation of the API: its request, its errors, and unreadable responses."""

import json
from typing import Any

import httpx
import pytest

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    AsyncLandbot,
    ResponseError,
    RetryPolicy,
)
from landbot_async._core import routes
from landbot_async._core.routes import OPT_IN_ROUTES, Route
from tests.helpers import ERRORS_BY_STATUS, lent
from tests.operations import OPERATIONS, RESPONSE, name_of, run, url_of

pytestmark = pytest.mark.anyio

READS = [route for route in OPERATIONS if route.key]
# What is read only where the answer has it.
ACCEPTS = [route for route in OPERATIONS if not route.key or route in (routes.CREATE_FIELD, routes.UPDATE_FIELD)]


every_operation = pytest.mark.parametrize("route", OPERATIONS, ids=name_of)


async def smallest(route: Route, landbot: AsyncLandbot) -> Any:
    return await run(OPERATIONS[route].smallest, landbot)


@every_operation
async def test_each_is_one_request_at_its_place(route: Route) -> None:
    async with lent(lambda _: RESPONSE) as (landbot, requests):
        await smallest(route, landbot)
        [request] = requests
        assert (request.method, bytes(request.url.raw_path).decode()) == (route.method, raw_path(url_of(route)))
        assert request.url.host == httpx.URL(url_of(route)).host
        body = (route.method == "POST" and route not in OPT_IN_ROUTES) or route in (
            routes.UPDATE_FIELD,
            routes.ASSIGN_BOT,
        )
        assert bool(request.content) == body


def raw_path(url: str) -> str:
    return httpx.URL(url).raw_path.decode()


@pytest.mark.parametrize(
    ("status", "error"),
    ERRORS_BY_STATUS,
)
@every_operation
async def test_each_error_has_its_class(route: Route, status: int, error: type[APIStatusError]) -> None:
    answer = httpx.Response(status, json={"errors": {"place": ["No."]}})
    async with lent(lambda _: answer, retry=RetryPolicy(attempts=1, max_wait=0)) as (landbot, requests):
        with pytest.raises(error) as caught:
            await smallest(route, landbot)
    told = caught.value
    assert type(told) is error
    assert (told.status, told.errors, told.message) == (status, {"place": ("No.",)}, "place: No.")
    assert (told.method, told.route, told.attempts) == (route.method, route.template, len(requests))
    assert len(requests) == 1
    assert told.safe_to_retry == (route.idempotent or 400 <= status < 500)
    assert told.transient == (status in (429, 500, 503))


@every_operation
async def test_only_what_is_harmless_is_sent_again_after_an_unknown_outcome(route: Route) -> None:
    def breaks(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut", request=request)

    async with lent(breaks, retry=RetryPolicy(attempts=3, base=0)) as (landbot, requests):
        with pytest.raises(APIConnectionError) as caught:
            await smallest(route, landbot)
        assert len(requests) == (3 if route.idempotent else 1)
        assert caught.value.safe_to_retry == route.idempotent


NO_ANSWERS = [
    b"<!doctype html><h1>Bad gateway</h1>",
    b"<html>" + b"x" * 5_000_000,
    b"OK",
    b'{"success": true',
    b"\xff\xfe",
    b"[" * 100_000,
    b"9" * 10_000,
    b"[]",
    b"null",
    b'"done"',
    b'{"success": false, "errors": {"place": ["No."]}}',
]


@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: repr(body[:20]))
@every_operation
async def test_a_2xx_that_is_no_answer(route: Route, body: bytes) -> None:
    async with lent(lambda _: httpx.Response(200, content=body)) as (landbot, requests):
        with pytest.raises(ResponseError) as caught:
            await smallest(route, landbot)
        assert caught.value.path in ("$", "$.success")
        assert caught.value.safe_to_retry == route.idempotent
        assert len(str(caught.value)) < 1000
        assert len(requests) == 1


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"success": true}', b'{"success": true, "else": []}'])
@every_operation
async def test_a_2xx_that_says_nothing_is_enough_where_nothing_is_read(route: Route, body: bytes) -> None:
    async with lent(lambda _: httpx.Response(201, content=body)) as (landbot, _):
        if route in ACCEPTS:
            assert bool(await smallest(route, landbot)) == (route in READS)
            return
        with pytest.raises(ResponseError) as caught:
            await smallest(route, landbot)
        assert caught.value.path == ("$" if not body.strip() else f"$.{route.key}")


@pytest.mark.parametrize("value", [None, 5, "x", True, [5], [[]], [{"id": 1}, None]])
@pytest.mark.parametrize("route", READS, ids=name_of)
async def test_what_is_read_has_its_type(route: Route, value: object) -> None:
    body = json.dumps({"success": True, route.key: value}).encode()
    async with lent(lambda _: httpx.Response(200, content=body)) as (landbot, _):
        with pytest.raises(ResponseError) as caught:
            await smallest(route, landbot)
        assert caught.value.path.startswith(f"$.{route.key}")
        assert caught.value.safe_to_retry == route.idempotent


async def test_a_very_long_answer_is_read() -> None:
    rows = [{"type": "text", "message": "x" * 50, "message_datetime": "2026-01-01 00:00:00"}] * 50_000
    answer = httpx.Response(200, json={"success": True, "messages": rows})
    async with lent(lambda _: answer) as (landbot, _):
        assert len(await landbot.customers.messages(1)) == 50_000
