import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpcore
import httpx
import pytest
from anyio import create_task_group
from anyio.abc import SocketStream

from landbot_async import (
    APIConnectionError,
    APITimeoutError,
    AsyncLandbot,
    CallFailed,
    ClientClosedError,
    Event,
    LandbotError,
    NotFoundError,
    RetryPolicy,
)
from landbot_async._core.http import PLACES, Flight, Wire, timeouts
from landbot_async._core.secret import Secret
from tests.helpers import OK, TOKEN, Unlimited

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n{"success": true}'
URL = "https://api.landbot.io/v1/"


class TestFlight:
    @pytest.mark.anyio
    @pytest.mark.parametrize(
        ("trace", "never_sent"),
        [
            ([], False),
            (["connection.connect_tcp.started"], False),
            (["connection.connect_tcp.started", "connection.connect_tcp.failed"], True),
            (["connection.connect_tcp.failed", "connection.connect_tcp.started"], False),
            (["connection.connect_tcp.complete", "connection.start_tls.started", "connection.start_tls.failed"], True),
            (["connection.connect_tcp.complete"], False),
            (["http11.send_request_headers.started"], False),
            (["http2.send_request_headers.started", "http2.send_request_headers.failed"], False),
            (["http11.send_request_headers.started", "connection.connect_tcp.failed"], False),
        ],
    )
    async def test_only_a_failed_connection_proves_that_nothing_was_sent(
        self, trace: list[str], never_sent: bool
    ) -> None:
        flight = Flight()
        for event in trace:
            await flight(event, {})
        assert flight.never_sent is never_sent

    @pytest.mark.anyio
    async def test_what_a_proxy_is_told_first_is_nothing_of_the_request(self) -> None:
        flight = Flight()
        await flight("http11.send_request_headers.started", {"request": httpcore.Request(b"CONNECT", "https://x/")})
        await flight("connection.start_tls.failed", {})
        assert flight.never_sent

    @pytest.mark.anyio
    async def test_the_shield_opens_while_connecting_and_for_good_when_sending(self) -> None:
        scope = anyio.CancelScope(shield=True)
        flight = Flight()
        flight.scope = scope
        seen: list[bool] = []
        for event in (
            "connection.connect_tcp.started",
            "connection.connect_tcp.complete",
            "connection.start_tls.started",
            "connection.start_tls.complete",
            "http11.send_request_headers.started",
            "http11.send_request_headers.complete",
            "http11.receive_response_headers.started",
        ):
            await flight(event, {})
            seen.append(scope.shield)
        assert seen == [False, True, False, True, False, False, False]


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


def wire(client: httpx.AsyncClient | None = None) -> Wire:
    return Wire(client, Secret(TOKEN))


class TestWire:
    def test_one_ssl_context_in_a_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert wire().client
        monkeypatch.setattr(httpx, "create_ssl_context", None)
        one = wire()
        assert one.client is one.client
        assert one.client is not wire().client

    def test_the_connections_of_a_borrowed_client_where_they_can_be_seen(self) -> None:
        limits = httpx.Limits(max_connections=7)
        assert wire(httpx.AsyncClient(limits=limits)).connections(URL) == 7
        assert wire(httpx.AsyncClient(limits=limits, proxy="http://127.0.0.1:1")).connections(URL) == 7
        assert wire(httpx.AsyncClient(transport=httpx.MockTransport(lambda _: OK))).connections(URL) is None
        assert wire().connections(URL) is None
        assert PLACES == 32

    @pytest.mark.anyio
    async def test_ours_is_closed_and_a_borrowed_one_is_not(self) -> None:
        ours, unused = wire(), wire()
        client = ours.client
        await ours.aclose()
        await unused.aclose()
        assert client.is_closed
        assert ours.closed
        assert not unused.closed
        async with httpx.AsyncClient() as lender:
            borrowed = wire(lender)
            await borrowed.aclose()
            assert not borrowed.closed
        assert borrowed.closed


@pytest.mark.anyio
class TestBorrowed:
    async def test_a_hook_s_own_failure_after_the_send_is_no_proof(self) -> None:
        """The hook meets a ConnectError of its own, but the message was sent: it must not be sent again."""
        sent = 0

        async def answer(request: httpx.Request) -> httpx.Response:
            nonlocal sent
            await request.extensions["trace"]("http11.send_request_headers.started", {"request": request})
            sent += 1
            return OK

        async def log_server_is_down(_: httpx.Response) -> None:
            raise httpx.ConnectError("the log server is down")

        async with httpx.AsyncClient(
            transport=httpx.MockTransport(answer), event_hooks={"response": [log_server_is_down]}
        ) as client:
            landbot = AsyncLandbot(TOKEN, http_client=client, limiter=Unlimited())
            with pytest.raises(APIConnectionError) as caught:
                await landbot.customers.send_text(1, "Hi")
        assert sent == 1
        assert caught.value.safe_to_retry is False

    async def test_its_cookies_stay_as_they_were(self) -> None:
        """A balancer in front of Landbot sets cookies; the lender's jar is not for them."""

        async def answer(request: httpx.Request) -> httpx.Response:
            await anyio.sleep(0.1)
            number = request.url.path.split("/")[-3]
            headers = [("set-cookie", f"AWSALB={number}; Path=/"), ("set-cookie", "mine=theirs; Path=/")]
            return httpx.Response(200, headers=headers)

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            client.cookies.set("mine", "1", domain="api.landbot.io", path="/")
            landbot = AsyncLandbot(TOKEN, http_client=client, limiter=Unlimited())
            async with create_task_group() as tasks:
                for number in range(1, 20):
                    tasks.start_soon(landbot.customers.archive, number)
                    await anyio.sleep(0.03)
            assert {cookie.name for cookie in client.cookies.jar} == {"mine"}

    async def test_a_hook_that_raises_for_status_changes_nothing(self) -> None:
        async def raise_for_status(response: httpx.Response) -> None:
            response.raise_for_status()

        answers = [httpx.Response(429), httpx.Response(503), httpx.Response(200), httpx.Response(404)]
        async with httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _: answers.pop(0)), event_hooks={"response": [raise_for_status]}
        ) as client:
            landbot = AsyncLandbot(TOKEN, http_client=client, limiter=Unlimited())
            await landbot.customers.archive(1)
            with pytest.raises(NotFoundError):
                await landbot.customers.archive(1)

    async def test_one_that_was_closed_is_said_before_anything_is_sent(self) -> None:
        client = httpx.AsyncClient()
        await client.aclose()
        events: list[Event] = []
        landbot = AsyncLandbot(TOKEN, http_client=client, on_event=events.append)
        with pytest.raises(ClientClosedError) as caught:
            await landbot.customers.archive(1)
        assert (caught.value.method, caught.value.route) == ("PUT", "/customers/{customer_id}/archive/")
        assert (caught.value.safe_to_retry, caught.value.attempts) == (True, 0)
        assert [type(event) for event in events] == [CallFailed]


@asynccontextmanager
async def server(handle: Callable[[SocketStream], Awaitable[None]]) -> AsyncGenerator[str]:
    """A server on this machine, and its base URL."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/v1/"
        tasks.cancel_scope.cancel()


async def keep_alive(stream: SocketStream) -> None:
    """Answer each request on a connection."""
    async with stream:
        try:
            while True:
                await receive_request(stream)
                await stream.send(ANSWER)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass


def silent_after_one() -> Callable[[SocketStream], Awaitable[None]]:
    """A server that answers one request in all."""
    answered = False

    async def handle(stream: SocketStream) -> None:
        nonlocal answered
        async with stream:
            await receive_request(stream)
            if not answered:
                answered = True
                await stream.send(ANSWER)
            await anyio.sleep_forever()

    return handle


@asynccontextmanager
async def lendable(size: int | None) -> AsyncGenerator[httpx.AsyncClient | None]:
    """A client of the caller's with so many connections, or none."""
    if size is None:
        yield None
    else:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=size)) as client:
            yield client


async def cancelled_waves(landbot: AsyncLandbot, calls: int) -> None:
    """Many calls at a time, cancelled after each number of steps of the event loop in turn."""
    for steps in [*range(40)] * 2:
        async with create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(landbot.customers.archive, 1)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()


async def all_work(landbot: AsyncLandbot, calls: int) -> None:
    with anyio.fail_after(15):
        async with create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(landbot.customers.archive, 1)


async def receive_request(stream: SocketStream) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    while length and len(body) < int(length[1]):
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


async def break_after_reading(stream: SocketStream) -> None:
    async with stream:
        await receive_request(stream)


async def half_an_answer(stream: SocketStream) -> None:
    async with stream:
        await receive_request(stream)
        await stream.send(ANSWER[:-5])


async def garbage(stream: SocketStream) -> None:
    async with stream:
        await receive_request(stream)
        await stream.send(b"SSH-2.0-OpenSSH_9.2\r\n")


async def silence(stream: SocketStream) -> None:
    async with stream:
        await anyio.sleep_forever()


@pytest.mark.anyio
@pytest.mark.real_time
class TestRealFaults:
    @pytest.mark.parametrize("handle", [break_after_reading, half_an_answer, garbage, silence])
    async def test_the_request_was_read_so_the_outcome_is_unknown(
        self, handle: Callable[[SocketStream], Awaitable[None]]
    ) -> None:
        async with (
            server(handle) as url,
            AsyncLandbot(TOKEN, base_url=url, limiter=Unlimited(), timeout=0.2) as landbot,
        ):
            with pytest.raises(APIConnectionError) as caught:
                await landbot.customers.send_text(1, "Hi")
            assert caught.value.safe_to_retry is False
            assert caught.value.attempts == 1
            assert isinstance(caught.value, APITimeoutError) is (handle is silence)

    async def test_nobody_listens_so_nothing_was_sent(self) -> None:
        async with server(keep_alive) as url:
            pass
        retry = RetryPolicy(attempts=3, base=0.0)
        async with AsyncLandbot(TOKEN, base_url=url, limiter=Unlimited(), retry=retry) as landbot:
            with pytest.raises(APIConnectionError) as caught:
                await landbot.customers.send_text(1, "Hi")
        assert caught.value.safe_to_retry is True
        assert caught.value.attempts == 3

    async def test_what_goes_over_the_wire(self) -> None:
        received: list[bytes] = []

        async def note(stream: SocketStream) -> None:
            async with stream:
                received.append(await receive_request(stream))
                await stream.send(ANSWER)

        async with server(note) as url, AsyncLandbot(TOKEN, base_url=url, limiter=Unlimited()) as landbot:
            await landbot.customers.send_text(7, "Grüße 🎈")
        [request] = received
        assert request.startswith(b"POST /v1/customers/7/send_text/ HTTP/1.1\r\n")
        assert f"authorization: token {TOKEN}".encode() in request.lower()
        assert b"accept-encoding: gzip, deflate\r\n" in request.lower()
        assert request.endswith('{"message":"Grüße 🎈"}'.encode())

    @pytest.mark.parametrize("size", [None, 1, 3, 10, 100], ids=lambda size: f"pool of {size}")
    async def test_cancelled_calls_cost_no_connection(self, size: int | None) -> None:
        """httpx 0.28.1 loses the connections of calls cancelled in its pool, until every call is a PoolTimeout."""
        async with server(keep_alive) as url, lendable(size) as client:
            async with AsyncLandbot(
                TOKEN, base_url=url, limiter=Unlimited(), http_client=client, timeout=httpx.Timeout(20, pool=2)
            ) as landbot:
                await cancelled_waves(landbot, 60)
                await all_work(landbot, 40)
            assert client is None or not client.is_closed

    async def test_others_may_fill_a_lent_pool(self) -> None:
        """Its owner's calls queue beside ours: none of ours loses a connection when it is cancelled."""
        async with server(keep_alive) as url, httpx.AsyncClient(limits=httpx.Limits(max_connections=3)) as client:
            landbot = AsyncLandbot(TOKEN, base_url=url, limiter=Unlimited(), http_client=client, timeout=2)
            await landbot.customers.archive(1)

            over = anyio.Event()

            async def owner() -> None:
                while not over.is_set():
                    await client.put(f"{url}customers/1/archive/")
                    # Without a pause between its calls, httpcore would starve all that queue behind them.
                    await anyio.sleep(0.001)

            async with create_task_group() as tasks:
                for _ in range(6):
                    tasks.start_soon(owner)
                await cancelled_waves(landbot, 20)
                over.set()
            assert not [each for each in client._transport._pool.connections if each.info() == "CONNECTING"]  # type: ignore[attr-defined]  # httpx's own

    async def test_a_full_lent_pool_delays_a_cancellation_by_a_slice(self) -> None:
        async with (
            server(silent_after_one()) as url,
            httpx.AsyncClient(limits=httpx.Limits(max_connections=2)) as client,
        ):
            landbot = AsyncLandbot(TOKEN, base_url=url, limiter=Unlimited(), http_client=client, timeout=60)
            await landbot.customers.archive(1)
            async with create_task_group() as tasks:
                for _ in range(2):
                    tasks.start_soon(client.get, url)
                await anyio.sleep(0.05)
                begun = anyio.current_time()
                with anyio.move_on_after(0.1):
                    await landbot.customers.archive(1)
                assert anyio.current_time() - begun < 5
                with pytest.raises(APITimeoutError) as caught:
                    patience = httpx.Timeout(60, pool=0.7)
                    await landbot.with_options(timeout=patience, retry=RetryPolicy(attempts=1)).customers.archive(1)
                assert anyio.current_time() - begun >= 0.7
                assert caught.value.safe_to_retry
                tasks.cancel_scope.cancel()

    async def test_a_hung_server_delays_no_cancellation(self) -> None:
        async with server(silence) as url, httpx.AsyncClient() as client:
            landbot = AsyncLandbot(TOKEN, base_url=url, limiter=Unlimited(), http_client=client, timeout=60)
            for _ in range(3):
                begun = anyio.current_time()
                with anyio.move_on_after(0.05):
                    await landbot.customers.archive(1)
                assert anyio.current_time() - begun < 5
            with pytest.raises(LandbotError):
                await landbot.with_options(total_timeout=0.05).customers.archive(1)
