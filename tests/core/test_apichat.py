"""`AsyncApichat`: each method on the wire, what is its own, and that all the rest holds for it too."""

import contextlib
import inspect
import json
import logging
import math
import re
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import anyio
import httpx
import pytest
import respx
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncApichat,
    AuthenticationError,
    CallFailed,
    ClientClosedError,
    LandbotError,
    ResponseError,
    RetryPolicy,
    SchemaMismatch,
    ServerError,
    TokenBucket,
    TotalTimeoutError,
    converter,
)
from landbot_async._core.apichat import decimals
from landbot_async._core.priority import PrioritySemaphore
from landbot_async._core.routes import SEND
from landbot_async.logging import log_event
from landbot_async.otel import Tracing
from tests.helpers import ERRORS_BY_STATUS, OK, TOKEN, Unlimited, lent, lent_to, never, shown_by

pytestmark = pytest.mark.anyio

URL = "https://chat.landbot.io/v1"
ROUTE = "/send/{customer_token}/"
SENT = f"{URL}/send/tg-123/"

Call = Callable[[AsyncApichat], Awaitable[Any]]


@contextlib.asynccontextmanager
async def wire(**options: Any) -> AsyncGenerator[tuple[AsyncApichat, respx.Route, list[Any]]]:
    """Yield a client whose requests end in respx, the route of tg-123's sends, and the client's events."""
    events: list[Any] = []
    with respx.mock() as router:
        given_: dict[str, Any] = {"limiter": Unlimited(), "on_event": events.append, **options}
        async with AsyncApichat(TOKEN, **given_) as chat:
            yield chat, router.post(SENT), events


# On the wire


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (
            lambda chat: chat.send_text("tg-123", "Hello, „Welt“ 🎈"),
            {"message": {"type": "text", "message": "Hello, „Welt“ 🎈"}},
        ),
        (
            lambda chat: chat.send_text("tg-123", "Yes", payload="$0", customer={"name": "Ana", "plan": {"a": [1]}}),
            {
                "message": {"type": "text", "message": "Yes", "payload": "$0"},
                "customer": {"name": "Ana", "plan": {"a": [1]}},
            },
        ),
        (
            lambda chat: chat.send_text("tg-123", "Hi", customer={"name": None, "email": "", "phone": "34600"}),
            {
                "message": {"type": "text", "message": "Hi"},
                "customer": {"name": None, "email": "", "phone": "34600"},
            },
        ),
        (
            lambda chat: chat.send_image("tg-123", "https://x.example/a.png"),
            {"message": {"type": "image", "url": "https://x.example/a.png"}},
        ),
        *(
            (
                lambda chat, kind=kind: getattr(chat, f"send_{kind}")("tg-123", "https://x.example/a"),
                {"message": {"type": kind, "url": "https://x.example/a"}},
            )
            for kind in ("audio", "video", "document")
        ),
        (
            lambda chat: chat.send_location("tg-123", 41.4, -2, address="Plaça d'Orfila"),
            {"message": {"type": "location", "latitude": "41.4", "longitude": "-2", "address": "Plaça d'Orfila"}},
        ),
        (
            lambda chat: chat.send_location("tg-123", 0.00001, -1.5e-7),
            {"message": {"type": "location", "latitude": "0.00001", "longitude": "-0.00000015"}},
        ),
        (
            lambda chat: chat.send("tg-123", {"type": "sticker", "id": 5, "of": None}, customer={}),
            {"message": {"type": "sticker", "id": 5, "of": None}, "customer": {}},
        ),
    ],
)
async def test_on_the_wire(call: Call, body: object) -> None:
    async with wire() as (chat, route, _):
        route.mock(return_value=OK)
        assert await call(chat) is None
        [(request, _)] = route.calls
        assert json.loads(request.content) == body
        assert request.headers["authorization"] == f"Token {TOKEN}"
        assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("answer", [httpx.Response(204), httpx.Response(201, content=b"\n"), OK])
async def test_any_2xx_is_enough(answer: httpx.Response) -> None:
    async with wire() as (chat, route, _):
        route.mock(return_value=answer)
        await chat.send_text("tg-123", "Hi")
        assert route.call_count == 1


CUSTOMER = {"id": 7, "token": "tg-123", "name": "Ana", "phone": None, "email": "ana@x.example", "plan": "gold"}
EVERY_SEND: list[Call] = [
    lambda chat: chat.send_text("tg-123", "Hi"),
    lambda chat: chat.send_image("tg-123", "https://x.example/a"),
    lambda chat: chat.send_audio("tg-123", "https://x.example/a"),
    lambda chat: chat.send_video("tg-123", "https://x.example/a"),
    lambda chat: chat.send_document("tg-123", "https://x.example/a"),
    lambda chat: chat.send_location("tg-123", 1, 2),
    lambda chat: chat.send("tg-123", {"type": "sticker"}),
]


@pytest.mark.parametrize("call", EVERY_SEND)
async def test_a_send_returns_the_customer_if_landbot_does(call: Call) -> None:
    async with wire() as (chat, route, _):
        route.respond(201, json={"success": True, "customer": CUSTOMER})
        customer = await call(chat)
        assert (customer.id, customer.token, customer.name, customer.phone) == (7, "tg-123", "Ana", None)
        assert (customer.email, customer.extra) == ("ana@x.example", {"plan": "gold"})
        assert "tg-123" not in repr(customer)
        assert converter.unstructure(customer) == CUSTOMER


@pytest.mark.parametrize("nobody", [5, [], "x", {}, {"id": None}, {"id": "7"}, {"name": "Ana"}])
async def test_a_send_was_accepted_even_if_its_customer_cannot_be_read(nobody: object) -> None:
    async with wire() as (chat, route, events):
        route.respond(201, json={"success": True, "customer": nobody})
        assert await chat.send_text("tg-123", "Hi") is None
        [mismatch] = [each for each in events if isinstance(each, SchemaMismatch)]
        assert (mismatch.route, mismatch.model) == (SEND.template, "ChatCustomer")
        with pytest.raises(ResponseError) as caught:
            await chat.with_options(strict=True).send_text("tg-123", "Hi")
        assert caught.value.path.startswith("$.customer")
        assert caught.value.safe_to_retry is False


@pytest.mark.parametrize("strict", [False, True])
async def test_no_customer_is_none(strict: bool) -> None:
    async with wire(strict=strict) as (chat, route, _):
        route.respond(201, json={"success": True, "customer": None})
        assert await chat.send_text("tg-123", "Hi") is None


@pytest.mark.parametrize("call", EVERY_SEND)
async def test_no_frame_of_a_traceback_shows_the_customer_token(call: Call) -> None:
    async with wire(retry=RetryPolicy(attempts=1)) as (chat, route, _):
        route.respond(422, json={"error": "no customer tg-123"})
        with pytest.raises(LandbotError) as caught:
            await call(chat)
    assert "tg-123" not in shown_by(caught.value)


async def test_any_other_endpoint() -> None:
    """Making and reading customers exists, but its paths are not published."""
    answer = httpx.Response(201, json={"success": True, "customer": {"id": 1}})
    async with lent_to(AsyncApichat, lambda _: answer) as (chat, requests):
        assert await chat.request("POST", "/customers/", json={"token": "tg-1"}) == {
            "success": True,
            "customer": {"id": 1},
        }
        [request] = requests
        assert (request.method, str(request.url)) == ("POST", f"{URL}/customers/")
        with pytest.raises(ValueError, match="dot segments"):
            await chat.request("POST", "/send/../customers/", json={})
        with pytest.raises(ValueError, match="another server"):
            await chat.request("POST", "https://api.landbot.io/v1/customers/", json={})
        assert len(requests) == 1


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda chat: chat.send_text("", "Hi"), ValueError, "customer_token must not be empty"),
        (lambda chat: chat.send_text(" ", "Hi"), ValueError, "customer_token must not be empty"),
        (lambda chat: chat.send_text(".", "Hi"), ValueError, "customer_token must not be empty or a dot segment"),
        (lambda chat: chat.send_text("..", "Hi"), ValueError, "customer_token must not be empty or a dot segment"),
        (lambda chat: chat.send_text("a\ud800", "Hi"), ValueError, "customer_token must be text"),
        (lambda chat: chat.send_text("x" * 100_000, "Hi"), ValueError, "no URL"),
        (lambda chat: chat.send_text(123, "Hi"), TypeError, "customer_token must be a string, not int"),
        (lambda chat: chat.send_text(None, "Hi"), TypeError, "customer_token must be a string, not NoneType"),
        (lambda chat: chat.send_text(b"tg-1", "Hi"), TypeError, "customer_token must be a string, not bytes"),
        (lambda chat: chat.send_text("tg-1", ""), ValueError, "message must not be empty"),
        (lambda chat: chat.send_text("tg-1", "\n"), ValueError, "message must not be empty"),
        (lambda chat: chat.send_text("tg-1", None), TypeError, "message must be a string"),
        (lambda chat: chat.send_text("tg-1", "\ud800"), ValueError, "message must be text"),
        (lambda chat: chat.send_text("tg-1", "Hi", payload=""), ValueError, "payload must not be empty"),
        (lambda chat: chat.send_text("tg-1", "Hi", payload=0), TypeError, "payload must be a string"),
        (lambda chat: chat.send_text("tg-1", "Hi", customer="Ana"), TypeError, "customer must be a mapping"),
        (lambda chat: chat.send_text("tg-1", "Hi", customer={"name": 5}), TypeError, "customer name must be a string"),
        (lambda chat: chat.send_text("tg-1", "Hi", customer={"email": []}), TypeError, "customer email must be"),
        (lambda chat: chat.send_text("tg-1", "Hi", customer={"phone": 34600}), TypeError, "customer phone must be"),
        (lambda chat: chat.send_text("tg-1", "Hi", customer={1: 2}), TypeError, "customer must have strings for keys"),
        (lambda chat: chat.send_text("tg-1", "Hi", customer={"a": {1}}), TypeError, "customer must be JSON"),
        (lambda chat: chat.send_text("tg-1", "Hi", customer={"a": math.nan}), ValueError, "customer must be JSON"),
        (lambda chat: chat.send_image("tg-1", "a.png"), ValueError, "url must be an http"),
        (lambda chat: chat.send_image("tg-1", "file:///a.png"), ValueError, "url must be an http"),
        (lambda chat: chat.send_image("tg-1", None), TypeError, "url must be a string"),
        (lambda chat: chat.send_location("tg-1", 90.1, 0), ValueError, "latitude must be at most 90"),
        (lambda chat: chat.send_location("tg-1", 0, -181), ValueError, "longitude must be at least -180"),
        (lambda chat: chat.send_location("tg-1", math.nan, 0), ValueError, "latitude must be finite"),
        (lambda chat: chat.send_location("tg-1", "41.4", "2.2"), TypeError, "latitude must be a number"),
        (lambda chat: chat.send_location("tg-1", 0, True), TypeError, "longitude must be a number"),
        (lambda chat: chat.send_location("tg-1", 0, 0, address=" "), ValueError, "address must not be empty"),
        (lambda chat: chat.send("tg-1", "Hi"), TypeError, "message must be a mapping"),
        (lambda chat: chat.send("tg-1", {}), TypeError, "message type must be a string"),
        (lambda chat: chat.send("tg-1", {"type": ""}), ValueError, "message type must not be empty"),
        (lambda chat: chat.send("tg-1", {"message": {"type": "text"}}), TypeError, "message type must be a string"),
        (lambda chat: chat.send("tg-1", {"type": "text", "of": object()}), TypeError, "message must be JSON"),
    ],
)
async def test_bad_input_is_said_before_anything_is_sent(call: Call, error: type[Exception], says: str) -> None:
    async with lent_to(AsyncApichat, lambda _: OK) as (chat, requests):
        with pytest.raises(error, match=says):
            await call(chat)
        assert not requests


def test_there_is_no_other_method() -> None:
    public = {name for name, _ in inspect.getmembers(AsyncApichat, callable) if not name.startswith("_")}
    sends = {"send", "send_text", "send_image", "send_audio", "send_video", "send_document", "send_location"}
    assert public == {*sends, "request", "with_options", "aclose"}


# The customer token's place

hostile = st.lists(
    st.sampled_from(
        ["/", ".", "..", "%2e", "%2F", "\\", "?", "#", "@", ":", "%", "é", "。", "\n", "\r\n", " ", "tg-1"]
    ),
    max_size=6,
).map("".join)


@given(hostile | st.text() | st.text(st.characters(codec=None)))
@example("../../customers")
@example("%2e%2e")
@example("a/../b")
@example("a?b=c#d")
@example("//evil.example/")
@example("\\..\\..\\")
@example("tg-1\nX-Evil: 1")
@example("‥")
@example("．．")
def test_any_customer_token_is_one_segment_of_the_path(customer_token: str) -> None:
    requests: list[httpx.Request] = []

    async def send() -> None:
        async with lent_to(AsyncApichat, lambda _: OK) as (chat, sent):
            try:
                await chat.send_text(customer_token, "Hi")
            finally:
                requests.extend(sent)

    if customer_token.strip() in ("", ".", "..") or any("\ud800" <= char <= "\udfff" for char in customer_token):
        with pytest.raises(ValueError, match="customer_token"):
            anyio.run(send)
        assert not requests
        return
    anyio.run(send)
    [request] = requests
    path = request.url.raw_path
    assert re.fullmatch(rb"/v1/send/[^/?#\s\\]+/", path)
    assert path.count(b"/") == 4
    assert unquote(path.split(b"/")[3].decode()) == customer_token
    assert path.split(b"/")[3].lower() not in (b".", b"..", b"%2e", b"%2e%2e", b".%2e", b"%2e.")
    assert (request.url.scheme, request.url.host, request.url.port) == ("https", "chat.landbot.io", None)


# A place, in digits


class Shown(float):
    """A float that shows itself otherwise, as numpy's do."""

    def __repr__(self) -> str:
        return f"Shown({float(self)})"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e-5, "0.00001"),
        (-1e-5, "-0.00001"),
        (5e-324, f"0.{'0' * 323}5"),
        (41.38879, "41.38879"),
        (180, "180"),
        (-90.0, "-90.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (Shown(2.5e-7), "0.00000025"),
    ],
)
def test_digits_without_an_exponent(number: float, text: str) -> None:
    assert decimals(number) == text


@given(st.floats(-180, 180) | st.integers(-180, 180))
def test_any_place_is_said_exactly(number: float) -> None:
    text = decimals(number)
    assert re.fullmatch(r"-?\d+(\.\d+)?", text)
    assert float(text) == number
    assert type(number)(Decimal(text)) == number


# Errors


@pytest.mark.parametrize(
    ("status", "error"),
    ERRORS_BY_STATUS,
)
async def test_each_error_has_its_class_and_apichat_s_words(status: int, error: type[APIStatusError]) -> None:
    async with wire(retry=RetryPolicy(attempts=1, max_wait=0)) as (chat, route, _):
        route.respond(status, json={"success": False, "error": "No, not so."})
        with pytest.raises(error, match=r"No, not so\.") as caught:
            await chat.send_text("tg-123", "Hi")
        assert route.call_count == 1
    told = caught.value
    assert type(told) is error
    assert (told.status, told.errors, told.message) == (status, {}, "No, not so.")
    assert told.body == {"success": False, "error": "No, not so."}
    assert (told.method, told.route, told.attempts) == ("POST", ROUTE, 1)
    assert told.safe_to_retry == (400 <= status < 500)
    assert told.transient == (status in (429, 500, 503))


async def test_a_401_names_both_tokens() -> None:
    async with wire() as (chat, route, _):
        route.respond(401, json={"detail": "Invalid token."})
        with pytest.raises(AuthenticationError, match=r"Invalid token.*agent token.*channel token"):
            await chat.send_text("tg-123", "Hi")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"success": false, "error": "No."}', "$.success"),
        (b"<html>", "$"),
        (b"[]", "$"),
        (b"OK", "$"),
        (b'{"success"', "$"),
    ],
)
async def test_a_2xx_that_is_no_answer(body: bytes, path: str) -> None:
    async with wire() as (chat, route, _):
        route.respond(200, content=body)
        with pytest.raises(ResponseError) as caught:
            await chat.send_text("tg-123", "Hi")
        assert (caught.value.path, caught.value.safe_to_retry, route.call_count) == (path, False, 1)


# What is repeated


@pytest.mark.parametrize(
    ("failure", "repeated", "error"),
    [
        (httpx.ConnectError("no"), True, APIConnectionError),
        (httpx.ConnectTimeout("slow"), True, APITimeoutError),
        (httpx.PoolTimeout("full"), True, APITimeoutError),
        (httpx.Response(500), False, ServerError),
        (httpx.Response(503), False, ServerError),
        (httpx.ReadError("cut"), False, APIConnectionError),
        (httpx.ReadTimeout("slow"), False, APITimeoutError),
        (httpx.WriteError("cut"), False, APIConnectionError),
        (httpx.WriteTimeout("slow"), False, APITimeoutError),
        (httpx.RemoteProtocolError("half"), False, APIConnectionError),
    ],
)
async def test_a_send_is_made_at_most_once(
    failure: Exception | httpx.Response, repeated: bool, error: type[LandbotError]
) -> None:
    async with wire() as (chat, route, _):
        route.side_effect = [failure, OK]
        if repeated:
            await chat.send_text("tg-123", "Hi")
        else:
            with pytest.raises(error) as caught:
                await chat.send_text("tg-123", "Hi")
            assert (caught.value.safe_to_retry, caught.value.transient) == (False, True)
        assert route.call_count == (2 if repeated else 1)
        route.side_effect = [failure, OK]
        await chat.with_options(retry=RetryPolicy(sends="at_least_once")).send_text("tg-123", "Hi")


@pytest.mark.parametrize("idempotent", [None, True])
async def test_so_is_a_request_unless_it_is_said_to_be_safe(idempotent: bool | None) -> None:
    async with wire() as (chat, route, _):
        route.side_effect = [httpx.ReadError("cut"), OK]
        send = chat.request("POST", "/send/tg-123/", json={}, idempotent=idempotent)
        if idempotent:
            assert await send == {"success": True}
        else:
            with pytest.raises(APIConnectionError):
                await send


async def test_a_429_is_tried_again_and_pauses_the_limiter() -> None:
    limiter = Unlimited()
    async with wire(limiter=limiter) as (chat, route, _):
        route.side_effect = [httpx.Response(429), httpx.Response(429, headers={"Retry-After": "7"}), OK]
        await chat.send_text("tg-123", "Hi")
        assert limiter.pauses == [0.1, 7.0]
        assert route.call_count == 3


# Its own limit


async def test_the_two_apis_have_a_bucket_each_even_with_one_token() -> None:
    async with (
        lent_to(AsyncApichat, lambda _: OK, limiter=None) as (chat, sent),
        lent_to(AsyncApichat, lambda _: OK, limiter=None) as (again, also_sent),
        lent(lambda _: OK, limiter=None) as (landbot, elsewhere),
    ):
        begun = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(chat.send_text, f"tg-{number}", "Hi")
                tasks.start_soon(again.send_text, f"tg-{number}", "Hi")
                tasks.start_soon(landbot.customers.send_text, 1, "Hi")
        taken = anyio.current_time() - begun
        assert (len(sent), len(also_sent), len(elsewhere)) == (10, 10, 10)
        # Twenty go through APIchat's bucket at ten a second, in which time the ten others went through theirs.
        assert 1.9 <= taken < 2.2


async def test_one_429_does_not_pause_the_other_api() -> None:
    refused, begun = [httpx.Response(429, headers={"Retry-After": "30"}), OK], anyio.current_time()
    async with (
        lent_to(AsyncApichat, lambda _: refused.pop(0), limiter=None) as (chat, _),
        lent(lambda _: OK, limiter=None) as (landbot, _),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(chat.send_text, "tg-1", "Hi")
        await anyio.sleep(1)
        await landbot.customers.send_text(1, "Hi")
        assert anyio.current_time() - begun < 1.5
    assert anyio.current_time() - begun >= 30


# Cancellation and time


@pytest.mark.parametrize(("moment", "safe"), [("place", True), ("ticket", True), ("wire", False), ("back-off", True)])
async def test_it_is_told_whether_a_cancelled_send_may_have_been_sent(moment: str, safe: bool) -> None:
    events: list[Any] = []
    bucket = TokenBucket()

    async def answer(request: httpx.Request) -> httpx.Response:
        if moment == "back-off":
            return httpx.Response(429, headers={"Retry-After": "50"})
        return await never(request)

    async with lent_to(AsyncApichat, answer, limiter=bucket, on_event=events.append) as (chat, requests):
        if moment == "place":
            chat._engine.connection.places = PrioritySemaphore(0)
        if moment == "ticket":
            await bucket.pause(100)
        with anyio.move_on_after(1) as scope:
            await chat.send_text("tg-1", "Hi")
        assert scope.cancelled_caught
        [failed] = [event for event in events if isinstance(event, CallFailed)]
        assert (failed.route, failed.safe_to_retry) == (ROUTE, safe)
        assert bool(requests) == (moment in ("wire", "back-off"))
        assert chat._engine.connection.places.held == 0


async def test_a_total_time_out() -> None:
    async with lent_to(AsyncApichat, never, total_timeout=2.0) as (chat, _):
        with pytest.raises(TotalTimeoutError) as caught:
            await chat.send_text("tg-1", "Hi")
        assert not caught.value.safe_to_retry


async def test_a_closed_client_sends_nothing() -> None:
    async with lent_to(AsyncApichat, lambda _: OK) as (chat, requests):
        await chat.with_options(strict=True).aclose()
        await chat.send_text("tg-1", "Hi")
        await chat.aclose()
        with pytest.raises(ClientClosedError):
            await chat.send_text("tg-1", "Hi")
        assert len(requests) == 1


async def test_a_copy_is_an_apichat_over_the_same_connection() -> None:
    async with lent_to(AsyncApichat, lambda _: OK) as (chat, requests):
        copy = chat.with_options(total_timeout=5.0)
        assert type(copy) is AsyncApichat
        assert copy._engine.connection is chat._engine.connection
        await copy.send_text("tg-1", "Hi")
        assert len(requests) == 1


# What is told, and what is not


async def test_events_log_lines_and_spans_have_the_template_and_never_a_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "landbot_async")
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider, base_url=f"{URL}/")
    events: list[Any] = []

    def listen(event: Any) -> None:
        events.append(event)
        log_event(event)
        tracing(event)

    async with wire(on_event=listen) as (chat, route, _):
        route.side_effect = [httpx.Response(429), httpx.ConnectError("no"), OK, httpx.ReadError("cut")]
        await chat.send_text("tg-123", "Hush")
        with pytest.raises(APIConnectionError):
            await chat.send_text("tg-123", "Hush")
        assert route.call_count == 4
    assert {event.route for event in events} == {ROUTE}
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == [f"POST {ROUTE}"] * 4
    assert [(span.attributes or {})["server.address"] for span in spans] == ["chat.landbot.io"] * 4
    told = caplog.text + repr(events) + "".join(span.to_json() for span in spans)
    assert ROUTE in told
    for hidden in (TOKEN, "tg-123", "Hush"):
        assert hidden not in told


async def test_no_error_shows_a_token_or_whose_message_it_was() -> None:
    async with wire() as (chat, route, _):
        for answer in (
            httpx.Response(422, json={"success": False, "error": "No."}),
            httpx.Response(500),
            httpx.ReadError("cut"),
        ):
            route.side_effect = [answer]
            with pytest.raises(LandbotError) as caught:
                await chat.send_text("tg-123", "Hush")
            for hidden in (TOKEN, "tg-123", "Hush"):
                assert hidden not in f"{caught.value} {caught.value!r} {chat!r}"
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            # The tests' own frames come first, with respx's between them and ours.
            ours = [str(frame.locals) for frame in shown.stack if "landbot_async" in frame.filename]
            assert ours
            assert TOKEN not in "".join(ours)
