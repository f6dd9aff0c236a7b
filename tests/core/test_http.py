"""Clients of our own and borrowed ones, without a network. What needs one is in `test_wire`."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import FunctionType
from typing import Any, NoReturn

import anyio
import httpx
import pytest
import respx
from anyio import create_task_group

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    AsyncLandbot,
    BadRequestError,
    CallFailed,
    ClientClosedError,
    Event,
    LandbotError,
    NotFoundError,
    RateLimitError,
    ResponseError,
    RetryPolicy,
    ServerError,
    TokenBucket,
    TotalTimeoutError,
)
from landbot_async._core import body as body_module
from landbot_async._core.http import NO_CONTENT, PLACES, Content, Response, Wire, _stream_of, parsed_url, timeouts
from landbot_async._core.secret import Secret
from landbot_async._core.trace import Trace
from tests.helpers import HTTP, OK, TOKEN, Unlimited

URL = "https://api.landbot.io/v1/"


class TestTimeouts:
    @pytest.mark.parametrize(
        ("timeout", "phases"),
        [
            (5, {"connect": 5, "read": 5, "write": 5, "pool": 5}),
            (0.5, {"connect": 0.5, "read": 0.5, "write": 0.5, "pool": 0.5}),
            (httpx.Timeout(9.0, connect=1.0), {"connect": 1.0, "read": 9.0, "write": 9.0, "pool": 9.0}),
            (httpx.Timeout(None), {"connect": None, "read": None, "write": None, "pool": None}),
        ],
    )
    def test_phases(self, timeout: Any, phases: dict[str, float | None]) -> None:
        assert timeouts(timeout) == phases

    @pytest.mark.parametrize("timeout", [0, -1, httpx.Timeout(5, read=0), float("nan")])
    def test_out_of_range(self, timeout: Any) -> None:
        with pytest.raises(ValueError, match="timeout must be above 0"):
            timeouts(timeout)

    @pytest.mark.parametrize("timeout", [None, True, "5", [5]])
    def test_wrong_type(self, timeout: Any) -> None:
        with pytest.raises(TypeError, match="timeout must be"):
            timeouts(timeout)


class TestURLs:
    def test_a_masked_one_leads_where_it_says_and_shows_something_else(self) -> None:
        url = parsed_url("https://x.example/wa/W-secret/opt_in?phone=%2B34600", "https://x.example/wa/***")
        assert (
            f"{url} {url!r} {[url]}"
            == "https://x.example/wa/*** URL('https://x.example/wa/***') [URL('https://x.example/wa/***')]"
        )
        assert url.raw_path == b"/wa/W-secret/opt_in?phone=%2B34600"
        assert httpx.URL(url).raw_path == url.raw_path

    def test_one_that_is_no_url(self) -> None:
        with pytest.raises(ValueError, match="make no URL"):
            parsed_url("https://x.example/" + "x" * 70_000)


def wire(client: Any = None) -> Wire:
    made = Wire(client, Secret(TOKEN), URL, (), lambda _: None)
    made.open()
    return made


class TestWire:
    def test_its_client(self) -> None:
        one = wire()
        client = one._client
        one.open()
        assert one._client is client
        assert client is not wire()._client
        lent = HTTP.AsyncClient()
        assert wire(lent)._client is lent

    def test_the_connections_of_a_borrowed_client_where_they_can_be_seen(self) -> None:
        limits = HTTP.Limits(max_connections=7)
        assert wire(HTTP.AsyncClient(limits=limits)).connections == 7
        assert wire(HTTP.AsyncClient(limits=limits, http2=True)).connections == 7
        assert wire(HTTP.AsyncClient(limits=limits, proxy="http://127.0.0.1:1")).connections == 7
        assert wire(HTTP.AsyncClient(transport=HTTP.MockTransport(lambda _: OK))).connections is None
        assert Wire(None, Secret(TOKEN), URL, (), lambda _: None).connections is None
        assert PLACES == 32

    def test_a_subclass_or_a_stand_in_may_be_lent(self) -> None:
        class AsyncClient(HTTP.AsyncClient):  # type: ignore[misc]  # HTTP is Any
            pass

        assert wire(AsyncClient())._library is HTTP
        assert wire(object())._library is httpx

    @pytest.mark.anyio
    async def test_ours_is_closed_and_a_borrowed_one_is_not(self) -> None:
        ours, unused = wire(), Wire(None, Secret(TOKEN), URL, (), lambda _: None)
        client = ours._client
        await ours.aclose()
        await unused.aclose()
        assert client.is_closed
        assert ours.closed
        assert not unused.closed
        async with HTTP.AsyncClient() as lender:
            borrowed = wire(lender)
            await borrowed.aclose()
            assert not borrowed.closed
        assert borrowed.closed

    def test_nothing_shows_a_body(self) -> None:
        assert "secret" not in repr([Content(b"secret"), Response(200, {}, b"secret")])


def ok() -> Any:
    return HTTP.Response(200, json={"success": True})


def lender(handler: Callable[[Any], Any], **options: Any) -> Any:
    """Return a client to be borrowed, whose requests end in `handler`."""
    return HTTP.AsyncClient(transport=HTTP.MockTransport(handler), **options)


def borrower(client: Any, **options: Any) -> AsyncLandbot:
    return AsyncLandbot(TOKEN, http_client=client, limiter=Unlimited(), **options)


@pytest.mark.anyio
class TestHooks:
    @pytest.mark.parametrize("closes", [True, False])
    async def test_a_response_that_it_takes_away_is_unknown(self, closes: bool) -> None:
        async def take(response: Any) -> None:
            if closes:
                await response.aclose()
            else:
                async for _ in response.aiter_raw():
                    pass

        async def pieces() -> AsyncIterator[bytes]:
            yield b'{"success": true}'

        hooks = {"response": [take]}
        async with lender(lambda _: HTTP.Response(200, content=pieces()), event_hooks=hooks) as client:
            with pytest.raises(APIConnectionError, match="got no complete response") as caught:
                await borrower(client).customers.send_text(1, "Hi")
        assert (caught.value.attempts, caught.value.safe_to_retry) == (1, False)

    async def test_a_failure_of_its_own_after_the_send_is_no_proof(self) -> None:
        """The hook meets a ConnectError of its own, but the message was sent: it must not be sent again."""
        sent = 0

        async def answer(request: Any) -> Any:
            nonlocal sent
            await request.extensions["trace"]("http11.send_request_headers.started", {"request": request})
            sent += 1
            return ok()

        async def log_server_is_down(_: Any) -> None:
            raise HTTP.ConnectError("the log server is down")

        async with lender(answer, event_hooks={"response": [log_server_is_down]}) as client:
            with pytest.raises(APIConnectionError) as caught:
                await borrower(client).customers.send_text(1, "Hi")
        assert sent == 1
        assert caught.value.safe_to_retry is False

    @pytest.mark.parametrize("kind", ["request", "response"])
    @pytest.mark.parametrize("status", [None, 200, 404, 429, 503])
    async def test_a_failing_call_of_its_own_is_not_taken_for_ours(self, kind: str, status: int | None) -> None:
        """Its audit server answers 429, or is away: the message must not go out four times."""
        sent: list[str] = []

        def answer(request: Any) -> Any:
            sent.append(request.url.host)
            if request.url.host == "api.landbot.io":
                return ok()
            if status is None:
                raise HTTP.ConnectError("the audit server is away")
            return HTTP.Response(status)

        async def audit(_: Any) -> None:
            async with lender(answer) as auditor:
                (await auditor.post("https://audit.example/")).raise_for_status()

        async with lender(answer, event_hooks={kind: [audit]}) as client:
            if status == 200:
                await borrower(client).customers.send_text(1, "Hi")
                return
            with pytest.raises(APIConnectionError) as caught:
                await borrower(client).customers.send_text(1, "Hi")
        assert caught.value.safe_to_retry is False
        assert sent.count("audit.example") == 1
        assert sent.count("api.landbot.io") == (kind == "response")

    async def test_one_that_raises_for_status_changes_nothing(self) -> None:
        async def raise_for_status(response: Any) -> None:
            response.raise_for_status()

        answers = [429, 503, 200, 404]
        async with lender(
            lambda _: HTTP.Response(answers.pop(0)), event_hooks={"response": [raise_for_status]}
        ) as client:
            landbot = borrower(client)
            await landbot.customers.archive(1)
            with pytest.raises(NotFoundError):
                await landbot.customers.archive(1)

    async def test_one_may_read_the_response(self) -> None:
        async def read(response: Any) -> None:
            await response.aread()

        async with lender(lambda _: ok(), event_hooks={"response": [read]}) as client:
            await borrower(client).customers.archive(1)

    async def test_a_bug_in_one_passes_untouched(self) -> None:
        async def bug(_: Any) -> None:
            raise ZeroDivisionError

        async with lender(lambda _: ok(), event_hooks={"request": [bug]}) as client:
            with pytest.raises(ZeroDivisionError):
                await borrower(client).customers.archive(1)

    @pytest.mark.parametrize("stubborn", [False, True])
    @pytest.mark.parametrize("kind", ["request", "response"])
    async def test_none_delays_a_time_out_or_a_cancellation(self, kind: str, stubborn: bool) -> None:
        ended: list[float] = []

        async def slow(_: Any) -> None:
            with anyio.CancelScope(shield=stubborn):
                try:
                    await anyio.sleep(5)
                finally:
                    ended.append(anyio.current_time())

        sent: list[Any] = []
        events: list[Event] = []

        def answer(request: Any) -> Any:
            sent.append(request)
            return ok()

        async with lender(answer, event_hooks={kind: [slow]}) as client:
            landbot = borrower(client, on_event=events.append)
            begun = anyio.current_time()
            with pytest.raises(TotalTimeoutError) as caught:
                await landbot.with_options(total_timeout=1.0).customers.send_text(1, "Hi")
            assert anyio.current_time() - begun <= 1.05
            assert caught.value.safe_to_retry is False, "a transport without a trace proves nothing"
            with anyio.move_on_after(1):
                await landbot.customers.send_text(1, "Hi")
            assert anyio.current_time() - begun <= 2.1
            assert isinstance(events[-1], CallFailed)
            await anyio.sleep(10)
            assert len(ended) == 2, "it has ended by now"
            assert len(sent) == (0 if kind == "request" else 2), "and nothing was sent after the caller had left"
            assert not landbot._engine.connection.wire._running


@pytest.mark.anyio
class TestCookies:
    async def test_a_borrowed_jar_stays_as_it_was(self) -> None:
        """A balancer in front of Landbot sets cookies; the lender's jar is not for them."""

        async def answer(request: Any) -> Any:
            await anyio.sleep(0.1)
            number = request.url.path.split("/")[-3]
            cookies = [f"AWSALB={number}; Path=/", f"own={number}", "mine=theirs; Path=/", "kept=1; Path=/"]
            return HTTP.Response(200, headers=[("set-cookie", cookie) for cookie in cookies])

        async with lender(answer) as client:
            for name in ("mine", "kept"):
                client.cookies.set(name, "1", domain="api.landbot.io", path="/")
            landbot = borrower(client)
            async with create_task_group() as tasks:
                for number in range(1, 20):
                    tasks.start_soon(landbot.customers.archive, number)
                    await anyio.sleep(0.03)
            assert {cookie.name: cookie.value for cookie in client.cookies.jar} == {"mine": "1", "kept": "1"}
            assert not list(landbot._engine.connection.wire._strays), "nothing piles up"

    async def test_those_of_two_calls_at_a_time_in_slow_hooks_are_no_originals(self) -> None:
        async def slow(response: Any) -> None:
            await anyio.sleep(float(response.request.url.path.split("/")[-3]))

        def answer(_: Any) -> Any:
            return HTTP.Response(200, headers={"set-cookie": "balancer=1; Path=/"})

        async with lender(answer, event_hooks={"response": [slow]}) as client:
            landbot = borrower(client)
            async with create_task_group() as tasks:
                tasks.start_soon(landbot.customers.archive, 3)
                await anyio.sleep(1)
                tasks.start_soon(landbot.customers.archive, 9)
            assert not list(client.cookies.jar)

    async def test_a_jar_that_refuses_them_is_left_alone(self) -> None:
        jar = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        async with lender(lambda _: HTTP.Response(200, headers={"set-cookie": "a=b"}), cookies=jar) as client:
            await borrower(client).customers.archive(1)
            assert not list(client.cookies.jar)

    async def test_our_own_client_keeps_none(self, respx_mock: respx.Router) -> None:
        respx_mock.put(f"{URL}customers/1/archive/").respond(200, headers={"set-cookie": "a=b; Path=/"})
        async with AsyncLandbot(TOKEN, limiter=Unlimited()) as landbot:
            await landbot.customers.archive(1)
            assert not list(landbot._engine.connection.wire._client.cookies.jar)


LOCATIONS = ["mailto:somebody@example.org", "http://xn--/", "http://[::1", "//", "https://evil.example/", "\udcff", ""]


@pytest.mark.anyio
class TestResponses:
    @pytest.mark.parametrize("location", LOCATIONS)
    @pytest.mark.parametrize("traced", [True, False])
    async def test_a_redirect_is_an_error_of_ours_wherever_it_leads(self, location: str, traced: bool) -> None:
        async def answer(request: Any) -> Any:
            headers = [(b"location", location.encode("utf-8", "surrogateescape"))]
            if traced:
                trace = request.extensions["trace"]
                await trace("http11.send_request_headers.started", {"request": request})
                received = {"return_value": (b"HTTP/1.1", 302, b"Found", headers)}
                await trace("http11.receive_response_headers.complete", received)
            return HTTP.Response(302, headers=headers)

        async with lender(answer) as client:
            with pytest.raises(LandbotError) as caught:
                await borrower(client).customers.send_text(1, "Hi")
        assert caught.value.safe_to_retry is False
        assert isinstance(caught.value, APIStatusError if traced else (APIStatusError, APIConnectionError))
        assert getattr(caught.value, "status", 302) == 302

    @pytest.mark.parametrize("status", [200, 201, 404, 500])
    async def test_one_that_is_too_large_is_said_so(self, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(body_module, "MOST", 1000)
        body = b'{"detail": "%b"}' % (b"x" * 1000)
        async with lender(lambda _: HTTP.Response(status, content=body)) as client:
            with pytest.raises((ResponseError, APIStatusError)) as caught:
                await borrower(client).customers.send_text(1, "Hi")
        error = caught.value
        assert isinstance(error, ResponseError) is (status < 300)
        assert vars(error)["status"] == status
        assert error.safe_to_retry is (status == 404)
        assert len(str(error)) < 400
        if isinstance(error, ResponseError):
            assert "larger than 64 MB" in str(error)

    @pytest.mark.parametrize("status", [200, 400, 429, 503])
    async def test_a_status_says_what_it_says_whatever_becomes_of_the_body(self, status: int) -> None:
        async def half() -> AsyncIterator[bytes]:
            yield b'{"errors": {'
            raise HTTP.ReadError("cut off")

        headers = {"retry-after": "90"}
        async with lender(lambda _: HTTP.Response(status, headers=headers, content=half())) as client:
            with pytest.raises(LandbotError) as caught:
                await borrower(client).customers.send_text(1, "Hi")
        error = caught.value
        assert (
            type(error)
            is {200: APIConnectionError, 400: BadRequestError, 429: RateLimitError, 503: ServerError}[status]
        )
        assert error.safe_to_retry is (status in (400, 429))
        if isinstance(error, RateLimitError):
            assert error.retry_after == 90

    async def test_a_proxy_s_protocol_is_the_wire_s(self) -> None:
        """Httpcore lets errors of socksio through."""

        def read() -> NoReturn:
            raise RuntimeError("Malformed reply")

        reply = FunctionType(read.__code__, {"__name__": "socksio.connection"})

        async def answer(request: Any) -> Any:
            await request.extensions["trace"]("socks.setup_socks5_connection.failed", {})
            reply()

        async with lender(answer) as client:
            with pytest.raises(APIConnectionError, match="was never sent") as caught:
                await borrower(client, retry=RetryPolicy(attempts=2)).customers.send_text(1, "Hi")
        assert (caught.value.attempts, caught.value.safe_to_retry) == (2, True)

    async def test_one_that_belongs_to_another_request_is_an_error(self) -> None:
        answers: dict[str, Any] = {
            "channels/8/": {"channel": {"id": 9}},
            "channels/8/message_hooks/3/": {"hook": {"id": 4}},
            "customers/1/": {"customer": {"id": 2}},
            "customers/1/fields/city/": {"field": {"name": "age", "value": 5}},
        }

        def answer(request: Any) -> Any:
            return HTTP.Response(200, json={"success": True, **answers[request.url.path.removeprefix("/v1/")]})

        async with lender(answer) as client:
            landbot = borrower(client)
            for call in (
                landbot.channels.get(8),
                landbot.hooks.get(8, 3),
                landbot.customers.get(1),
                landbot.fields.get(1, "city"),
            ):
                with pytest.raises(ResponseError, match="not the one that was asked for") as caught:
                    await call
                assert (caught.value.safe_to_retry, caught.value.transient) == (True, True)

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    @pytest.mark.parametrize("connected", [True, False])
    async def test_somebody_may_cancel_the_task_that_gets_it(self, connected: bool) -> None:
        async def answer(request: Any) -> Any:
            if not connected:
                await request.extensions["trace"]("connection.connect_tcp.failed", {})
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await anyio.sleep(1)

        async with lender(answer) as client:
            with pytest.raises(APIConnectionError) as caught:
                await borrower(client, retry=RetryPolicy(attempts=1)).customers.send_text(1, "Hi")
        assert caught.value.safe_to_retry is not connected

    async def test_one_that_is_not_packed_as_it_says_is_no_whole_response(self) -> None:
        class Chunks(HTTP.AsyncByteStream):  # type: ignore[misc]  # HTTP is Any
            async def __aiter__(self) -> AsyncIterator[bytes]:
                yield b'{"success": true}'

        async with lender(
            lambda _: HTTP.Response(200, headers={"content-encoding": "gzip"}, stream=Chunks())
        ) as client:
            with pytest.raises(APIConnectionError) as caught:
                await borrower(client).customers.send_text(1, "Hi")
        assert caught.value.safe_to_retry is False


@pytest.mark.anyio
class TestClosed:
    async def test_one_that_was_closed_is_said_before_anything_is_sent(self) -> None:
        client = HTTP.AsyncClient()
        await client.aclose()
        events: list[Event] = []
        landbot = AsyncLandbot(TOKEN, http_client=client, on_event=events.append)
        with pytest.raises(ClientClosedError) as caught:
            await landbot.customers.archive(1)
        assert (caught.value.method, caught.value.route) == ("PUT", "/customers/{customer_id}/archive/")
        assert (caught.value.safe_to_retry, caught.value.attempts) == (True, 0)
        assert [type(event) for event in events] == [CallFailed]

    async def test_one_that_is_closed_while_calls_queue(self) -> None:
        bucket = TokenBucket()
        await bucket.pause(5)
        async with lender(lambda _: ok()) as client:
            landbot = AsyncLandbot(TOKEN, http_client=client, limiter=bucket)

            async def send() -> None:
                with pytest.raises(ClientClosedError) as caught:
                    await landbot.customers.send_text(1, "Hi")
                assert (caught.value.safe_to_retry, caught.value.attempts) == (True, 0)

            async with create_task_group() as tasks:
                for _ in range(40):
                    tasks.start_soon(send)
                await anyio.sleep(1)
                await client.aclose()

    async def test_one_that_is_closed_just_when_a_request_goes_out(self) -> None:
        async with lender(lambda _: ok()) as client:
            landbot = borrower(client, retry=RetryPolicy(attempts=1))
            async with create_task_group() as tasks:
                tasks.start_soon(client.aclose)
                with pytest.raises((ClientClosedError, APIConnectionError)) as caught:
                    await landbot.customers.send_text(1, "Hi")
                assert caught.value.safe_to_retry


@pytest.mark.anyio
async def test_the_url_that_is_logged_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[bytes] = []

    def answer(request: Any) -> Any:
        seen.append(request.url.raw_path)
        return ok()

    async with lender(answer) as client:
        url = parsed_url(URL + "wa/W-s3cret/opt_in?phone=%2B34600", URL + "wa/***")
        result = await wire(client).exchange("POST", url, NO_CONTENT, timeouts(5), Trace())
    assert isinstance(result, Response)
    assert seen == [b"/v1/wa/W-s3cret/opt_in?phone=%2B34600"]
    assert "HTTP Request: POST https://api.landbot.io/v1/wa/***" in caplog.text
    assert not [each for each in ("s3cret", "34600") if each in caplog.text]


@pytest.mark.anyio
async def test_a_body_is_one_piece_however_it_is_iterated() -> None:
    # httpcore takes the iterator itself, httpcore2 iterates over it once more.
    iterator = aiter(_stream_of(HTTP)(b"body"))
    assert [piece async for piece in iterator] == [b"body"]
    assert [piece async for piece in iterator] == []
