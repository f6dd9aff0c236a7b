import importlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from landbot_async import (
    APIConnectionError,
    AsyncLandbot,
    ConfigurationError,
    LandbotError,
    NotFoundError,
    RateLimitError,
    ResponseError,
    RetryPolicy,
    ServerError,
    TokenBucket,
    TotalTimeoutError,
)
from landbot_async.otel import Tracing
from landbot_async.sandbox import Sandbox
from tests.helpers import OK, TOKEN, lent, never, wire

SEND = "/customers/{customer_id}/send_text/"
CALL: dict[str, Any] = {
    "http.request.method": "POST",
    "url.template": SEND,
    "server.address": "api.landbot.io",
    "server.port": 443,
}
WAITED = {"landbot.limiter.wait": 0.0}


class Spans:
    """The exported spans, in the order in which they ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(self.provider)

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def attributes(self) -> list[dict[str, Any]]:
        return [dict(span.attributes or {}) for span in self.all]

    def check_nothing_is_left(self) -> None:
        assert (self.tracing._spans, self.tracing._waited) == ({}, {})


@pytest.fixture
def spans() -> Spans:
    return Spans()


async def send(landbot: AsyncLandbot) -> None:
    await landbot.customers.send_text(1, "Hello")


# One call


@pytest.mark.anyio
async def test_a_call_is_a_client_span_below_the_current_one(spans: Spans) -> None:
    async with wire(on_event=spans.tracing) as (landbot, router, _):
        router.post("/customers/1/send_text/").mock(return_value=OK)
        with trace.get_tracer("app", tracer_provider=spans.provider).start_as_current_span("job"):
            await send(landbot)
    call, job = spans.all
    assert (call.name, call.kind, call.status.status_code) == (f"POST {SEND}", SpanKind.CLIENT, StatusCode.UNSET)
    assert spans.attributes[0] == {**CALL, **WAITED, "http.response.status_code": 200}
    assert call.parent is not None
    assert call.parent == job.get_span_context()
    assert call.instrumentation_scope is not None
    assert call.instrumentation_scope.name == "landbot_async"
    spans.check_nothing_is_left()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answers", "error", "expected"),
    [
        (
            [httpx.Response(429), OK],
            None,
            [
                {"http.response.status_code": 429, "error.type": "429"},
                {"http.request.resend_count": 1, "http.response.status_code": 200},
            ],
        ),
        (
            [httpx.ConnectError("no"), OK],
            None,
            [{"error.type": "never sent"}, {"http.request.resend_count": 1, "http.response.status_code": 200}],
        ),
        (
            [httpx.Response(404)],
            NotFoundError,
            [{"http.response.status_code": 404, "error.type": "404"}],
        ),
        (
            [httpx.Response(503)],
            ServerError,
            [{"http.response.status_code": 503, "error.type": "503"}],
        ),
        (
            [httpx.Response(429, headers={"retry-after": "999"})],
            RateLimitError,
            [{"http.response.status_code": 429, "error.type": "429"}],
        ),
        (
            [httpx.ReadError("cut")],
            APIConnectionError,
            [{"error.type": "APIConnectionError", "landbot.safe_to_retry": False}],
        ),
        (
            [httpx.Response(200, text="<html>")],
            ResponseError,
            [
                {"http.response.status_code": 200},
                {"error.type": "ResponseError", "landbot.safe_to_retry": False},
            ],
        ),
    ],
)
async def test_every_attempt_is_a_span(
    answers: list[Any], error: type[LandbotError] | None, expected: list[dict[str, Any]], spans: Spans
) -> None:
    async with wire(on_event=spans.tracing) as (landbot, router, _):
        router.post("/customers/1/send_text/").mock(side_effect=answers)
        if error is None:
            await send(landbot)
        else:
            with pytest.raises(error):
                await send(landbot)
    on_wire = [span for span in spans.all if span.kind is SpanKind.CLIENT]
    assert len(on_wire) == len(answers)
    seen = [
        {name: value for name, value in each.items() if name != "landbot.limiter.wait"} for each in spans.attributes
    ]
    assert seen == [{**CALL, **each} for each in expected]
    for span, each in zip(spans.all, expected, strict=True):
        assert span.status.status_code is (StatusCode.ERROR if "error.type" in each else StatusCode.UNSET)
        assert span.name == f"POST {SEND}"
    spans.check_nothing_is_left()


@pytest.mark.anyio
async def test_a_mismatch_is_no_error(spans: Spans) -> None:
    async with wire(on_event=spans.tracing) as (landbot, router, _):
        router.get("/customers/1/").respond(200, json={"success": True, "customer": {"id": 1, "name": 5}})
        assert (await landbot.customers.get(1)).name is None
    [span] = spans.all
    assert span.status.status_code is StatusCode.UNSET


# Waiting, and ending early


@pytest.mark.anyio
async def test_the_wait_is_visible(spans: Spans) -> None:
    async with lent(lambda _: OK, limiter=TokenBucket(rate=1), on_event=spans.tracing) as (landbot, _):
        for _ in range(2):
            await send(landbot)
    assert [each["landbot.limiter.wait"] for each in spans.attributes] == pytest.approx([0, 1], abs=0.02)


@pytest.mark.anyio
@pytest.mark.parametrize("stop", ["cancelled", "too late"])
async def test_a_call_that_ends_on_the_wire(stop: str, anyio_backend_name: str, spans: Spans) -> None:
    async with lent(never, on_event=spans.tracing, total_timeout=5 if stop == "too late" else None) as (landbot, _):
        with anyio.move_on_after(5 if stop == "cancelled" else 10):
            if stop == "cancelled":
                await send(landbot)
            with pytest.raises(TotalTimeoutError):
                await send(landbot)
    cancelled = {"asyncio": "CancelledError", "trio": "Cancelled"}[anyio_backend_name]
    error = cancelled if stop == "cancelled" else "TotalTimeoutError"
    assert spans.attributes == [{**CALL, **WAITED, "error.type": error, "landbot.safe_to_retry": False}]
    assert spans.all[0].kind is SpanKind.CLIENT
    spans.check_nothing_is_left()


@pytest.mark.anyio
async def test_a_call_that_ends_in_the_queue_is_no_request(spans: Spans) -> None:
    async with lent(lambda _: OK, limiter=TokenBucket(rate=1), on_event=spans.tracing) as (landbot, requests):
        await send(landbot)
        with pytest.raises(TotalTimeoutError):
            await send(landbot.with_options(total_timeout=0.5))
        with anyio.move_on_after(0.5):
            await send(landbot)
        assert len(requests) == 1
    assert [span.kind for span in spans.all] == [SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.INTERNAL]
    assert spans.attributes[1] == {**CALL, "error.type": "TotalTimeoutError", "landbot.safe_to_retry": True}
    spans.check_nothing_is_left()


@pytest.mark.anyio
async def test_a_call_that_ends_in_a_back_off(spans: Spans) -> None:
    answers = iter([httpx.Response(503, headers={"retry-after": "9"})])
    policy = RetryPolicy(sends="at_least_once")
    async with lent(lambda _: next(answers), on_event=spans.tracing, retry=policy) as (landbot, _):
        with anyio.move_on_after(1):
            await send(landbot)
    assert [each["error.type"] for each in spans.attributes][:1] == ["503"]
    assert [span.kind for span in spans.all] == [SpanKind.CLIENT, SpanKind.INTERNAL]
    spans.check_nothing_is_left()


# Many calls


@pytest.mark.anyio
async def test_many_calls_at_a_time(spans: Spans) -> None:
    """Each span ends with its own answer and stays below its own parent, also where answers overtake each other."""
    tracer = trace.get_tracer("app", tracer_provider=spans.provider)
    async with (
        Sandbox(customers=60, latency=0.2, jitter=2.0, window="off") as sandbox,
        sandbox.client(on_event=spans.tracing) as landbot,
    ):
        sandbox.fault("cut", times=5)
        sandbox.fault(503, times=5)
        sandbox.fault(429, times=1)

        async def job(number: int) -> None:
            with tracer.start_as_current_span(f"job {number}"):
                assert (await landbot.customers.get(number)).id == number

        async with anyio.create_task_group() as group:
            for number in range(1, 61):
                group.start_soon(job, number)
    jobs = [span for span in spans.all if span.name.startswith("job")]
    calls = [span for span in spans.all if not span.name.startswith("job")]
    assert len(jobs) == 60
    assert {span.kind for span in calls} == {SpanKind.CLIENT}
    errors = [(span.attributes or {}).get("error.type") for span in calls]
    assert [errors.count(each) for each in (None, "unknown", "503", "429")] == [60, 5, 5, 1]
    assert len(errors) == 71
    for each in jobs:
        attempts = [span.attributes or {} for span in calls if span.parent == each.get_span_context()]
        resent = [attributes.get("http.request.resend_count", 0) for attributes in attempts]
        assert resent == list(range(len(attempts)))
        assert [attributes.get("http.response.status_code") for attributes in attempts].count(200) == 1
    spans.check_nothing_is_left()


@pytest.mark.anyio
async def test_no_token_no_id_no_text(spans: Spans) -> None:
    async with wire(on_event=spans.tracing) as (landbot, router, _):
        router.post("/customers/473548616/send_text/").mock(side_effect=httpx.ReadError(TOKEN))
        with pytest.raises(APIConnectionError):
            await landbot.customers.send_text(473548616, "Hello Ava")
    shown = "".join(span.to_json() for span in spans.all)
    assert not [secret for secret in (TOKEN, "473548616", "Hello", "Ava") if secret in shown]


@pytest.mark.anyio
async def test_an_opt_in_goes_to_another_server(spans: Spans) -> None:
    async with wire(on_event=spans.tracing) as (landbot, router, _):
        router.post("https://messages.landbot.io/wa/W-1/opt_in").respond(200, json={"customer": {"id": 1}})
        await landbot.customers.opt_in("W-1", "34600000001")
    [attributes] = spans.attributes
    assert attributes["url.template"] == "/wa/{opt_in_token}/opt_in"
    assert not [name for name in attributes if name.startswith("server.")]


# Set up


def _server(tracing: Tracing) -> Mapping[str, Any]:
    return tracing._server


@pytest.mark.parametrize(
    ("make", "address", "port"),
    [
        (Tracing, "api.landbot.io", 443),
        (lambda: Tracing(base_url="http://127.0.0.1:8000/v1/"), "127.0.0.1", 8000),
        (lambda: Tracing(base_url="http://localhost"), "localhost", 80),
    ],
)
def test_the_server(make: Callable[[], Tracing], address: str, port: int) -> None:
    assert _server(make()) == {"server.address": address, "server.port": port}
    assert repr(make()) == f"Tracing(server='{address}')"


def test_the_server_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDBOT_BASE_URL", "https://eu.example.org/")
    assert _server(Tracing())["server.address"] == "eu.example.org"


def test_a_base_url_that_cannot_be_right() -> None:
    with pytest.raises(ConfigurationError):
        Tracing(base_url="ftp://example.org")


def test_the_library_does_not_import_it() -> None:
    code = (
        "import sys, landbot_async, landbot_async.sandbox, landbot_async.logging;"
        "landbot_async.Customer; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    monkeypatch.delitem(sys.modules, "landbot_async.otel")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'landbot-async\[otel\]'") as missing:
        importlib.import_module("landbot_async.otel")
    assert missing.value.name == "opentelemetry.trace"
