"""The promises that hold for every operation of the API: its request, its errors, and unreadable responses."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    AsyncLandbot,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    ResponseError,
    RetryPolicy,
    ServerError,
    UnprocessableEntityError,
)
from landbot_async._core import routes
from landbot_async._core.routes import ROUTES, Route
from tests.helpers import lent

pytestmark = pytest.mark.anyio

Call = Callable[[AsyncLandbot], Awaitable[Any]]

OPERATIONS: dict[Route, tuple[str, Call]] = {
    routes.LIST_CHANNELS: ("channels/?offset=0&limit=100", lambda lb: lb.channels.list().collect()),
    routes.GET_CHANNEL: ("channels/8/", lambda lb: lb.channels.get(8)),
    routes.LIST_TEMPLATES: ("channels/whatsapp/templates/", lambda lb: lb.templates.list().collect()),
    routes.LIST_HOOKS: ("channels/8/message_hooks/?offset=0&limit=100", lambda lb: lb.hooks.list(8).collect()),
    routes.CREATE_HOOK: ("channels/8/message_hooks/", lambda lb: lb.hooks.create(8, "https://x.example/")),
    routes.GET_HOOK: ("channels/8/message_hooks/3/", lambda lb: lb.hooks.get(8, 3)),
    routes.DELETE_HOOK: ("channels/8/message_hooks/3/", lambda lb: lb.hooks.delete(8, 3)),
    routes.LIST_CUSTOMERS: ("customers/?offset=0&limit=100", lambda lb: lb.customers.list().collect()),
    routes.GET_CUSTOMER: ("customers/1/", lambda lb: lb.customers.get(1)),
    routes.DELETE_CUSTOMER: ("customers/1/", lambda lb: lb.customers.delete(1)),
    routes.LIST_MESSAGES: ("customers/1/messages/", lambda lb: lb.customers.messages(1)),
    routes.ARCHIVE: ("customers/1/archive/", lambda lb: lb.customers.archive(1)),
    routes.UNARCHIVE: ("customers/1/unarchive/", lambda lb: lb.customers.unarchive(1)),
    routes.BLOCK: ("customers/1/block/", lambda lb: lb.customers.block(1)),
    routes.UNBLOCK: ("customers/1/unblock/", lambda lb: lb.customers.unblock(1)),
    routes.ASSIGN: ("customers/1/assign/", lambda lb: lb.customers.assign(1)),
    routes.ASSIGN_AGENT: ("customers/1/assign/7/", lambda lb: lb.customers.assign(1, 7)),
    routes.ASSIGN_BOT: ("customers/1/assign_bot/5/", lambda lb: lb.customers.assign_bot(1, 5)),
    routes.UNASSIGN: ("customers/1/unassign/", lambda lb: lb.customers.unassign(1)),
    routes.OPT_OUT: ("customers/1/opt_out/", lambda lb: lb.customers.opt_out(1)),
    routes.SEND_TEXT: ("customers/1/send_text/", lambda lb: lb.customers.send_text(1, "Hi")),
    routes.SEND_IMAGE: ("customers/1/send_image/", lambda lb: lb.customers.send_image(1, "https://x.example/a.png")),
    routes.SEND_LOCATION: ("customers/1/send_location/", lambda lb: lb.customers.send_location(1, 41.4, 2)),
    routes.SEND_TEMPLATE: ("customers/1/send_template/", lambda lb: lb.customers.send_template(1, 5, "en")),
    routes.GET_FIELD: ("customers/1/fields/city/", lambda lb: lb.fields.get(1, "city")),
    routes.CREATE_FIELD: ("customers/1/fields/city/", lambda lb: lb.fields.create(1, "city", "Lyon")),
    routes.UPDATE_FIELD: ("customers/1/fields/city/", lambda lb: lb.fields.update(1, "city", "Lyon")),
    routes.DELETE_FIELD: ("customers/1/fields/city/", lambda lb: lb.fields.delete(1, "city")),
}
READS = [route for route in ROUTES if route.key]
# What is read only where the answer has it.
ACCEPTS = [route for route in ROUTES if not route.key or route in (routes.CREATE_FIELD, routes.UPDATE_FIELD)]


def name(route: object) -> str | None:
    return f"{route.method} {route.template}" if isinstance(route, Route) else None


every_operation = pytest.mark.parametrize("route", ROUTES, ids=name)


def test_every_operation_is_here() -> None:
    assert list(OPERATIONS) == list(ROUTES)


@every_operation
async def test_each_is_one_request_at_its_place(route: Route) -> None:
    rows: dict[str, Any] = {key: [] for key in ["channels", "templates", "hooks", "customers", "messages"]}
    one: dict[str, Any] = {"channel": {"id": 8}, "hook": {"id": 3}, "customer": {"id": 1}, "field": {"name": "city"}}
    answer = httpx.Response(200, json={"success": True, **rows, **one})
    target, call = OPERATIONS[route]
    async with lent(lambda _: answer) as (landbot, requests):
        await call(landbot)
        [request] = requests
        assert (request.method, request.url.raw_path.decode()) == (route.method, f"/v1/{target}")
        assert bool(request.content) == (route.method == "POST" or route in (routes.UPDATE_FIELD, routes.ASSIGN_BOT))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, APIStatusError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, APIStatusError),
        (409, ConflictError),
        (412, PreconditionFailedError),
        (413, APIStatusError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
    ],
)
@every_operation
async def test_each_error_has_its_class(route: Route, status: int, error: type[APIStatusError]) -> None:
    answer = httpx.Response(status, json={"errors": {"place": ["No."]}})
    async with lent(lambda _: answer, retry=RetryPolicy(attempts=1, max_wait=0)) as (landbot, requests):
        with pytest.raises(error) as caught:
            await OPERATIONS[route][1](landbot)
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
            await OPERATIONS[route][1](landbot)
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
            await OPERATIONS[route][1](landbot)
        assert caught.value.path in ("$", "$.success")
        assert caught.value.safe_to_retry == route.idempotent
        assert len(str(caught.value)) < 1000
        assert len(requests) == 1


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"success": true}', b'{"success": true, "else": []}'])
@every_operation
async def test_a_2xx_that_says_nothing_is_enough_where_nothing_is_read(route: Route, body: bytes) -> None:
    async with lent(lambda _: httpx.Response(201, content=body)) as (landbot, _):
        if route in ACCEPTS:
            assert bool(await OPERATIONS[route][1](landbot)) == (route in READS)
            return
        with pytest.raises(ResponseError) as caught:
            await OPERATIONS[route][1](landbot)
        assert caught.value.path == ("$" if not body.strip() else f"$.{route.key}")


@pytest.mark.parametrize("value", [None, 5, "x", True, [5], [[]], [{"id": 1}, None]])
@pytest.mark.parametrize("route", READS, ids=name)
async def test_what_is_read_has_its_type(route: Route, value: object) -> None:
    body = json.dumps({"success": True, route.key: value}).encode()
    async with lent(lambda _: httpx.Response(200, content=body)) as (landbot, _):
        with pytest.raises(ResponseError) as caught:
            await OPERATIONS[route][1](landbot)
        assert caught.value.path.startswith(f"$.{route.key}")
        assert caught.value.safe_to_retry == route.idempotent


async def test_a_very_long_answer_is_read() -> None:
    rows = [{"type": "text", "message": "x" * 50, "message_datetime": "2026-01-01 00:00:00"}] * 50_000
    answer = httpx.Response(200, json={"success": True, "messages": rows})
    async with lent(lambda _: answer) as (landbot, _):
        assert len(await landbot.customers.messages(1)) == 50_000
