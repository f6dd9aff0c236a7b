"""The wire over real sockets of this machine: faults, proxies, pools and protocols, with our own and borrowed clients.

`HTTP_LIBRARY=httpx2` runs them with borrowed clients of httpx2; `nox -s httpx2` does.
"""

import asyncio
import gc
import json
import random
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import h11
import pytest
from anyio import create_task_group
from anyio.abc import SocketStream

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncLandbot,
    CallFailed,
    Event,
    LandbotError,
    ResponseError,
    RetryPolicy,
)
from tests.helpers import HTTP, TOKEN, until

from .sockets import ANSWER, HEAD, ONCE, Handle, all_work, borrower, customer, receive_request, server

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]
# Seconds, in real time on a busy machine; test_exchange.py and test_http.py have the exact bounds in virtual time.
AT_ONCE = 5


async def keep_alive(stream: SocketStream) -> None:
    """Answer each request on a connection."""
    while True:
        await receive_request(stream)
        await stream.send(ANSWER)


async def break_after_reading(stream: SocketStream) -> None:
    await receive_request(stream)


async def half_a_response(stream: SocketStream) -> None:
    await receive_request(stream)
    await stream.send(ANSWER[:-5])


async def garbage(stream: SocketStream) -> None:
    await receive_request(stream)
    await stream.send(b"SSH-2.0-OpenSSH_9.2\r\n")


async def silence(_: SocketStream) -> None:
    await anyio.sleep_forever()


def says(answer: bytes) -> Handle:
    async def handle(stream: SocketStream) -> None:
        await receive_request(stream)
        await stream.send(answer)

    return handle


@asynccontextmanager
async def lendable(size: int | None) -> AsyncGenerator[Any]:
    """Yield a client to be borrowed, with this many connections; None yields none."""
    if size is None:
        yield None
    else:
        async with HTTP.AsyncClient(limits=HTTP.Limits(max_connections=size)) as client:
            yield client


def connections(landbot: AsyncLandbot) -> list[str]:
    """Return the connections of the pool in use."""
    wire: Any = landbot._engine.connection.wire
    return [each.info() for each in wire._client._transport._pool.connections]


class TestFaults:
    @pytest.mark.parametrize("lent", [False, True], ids=["ours", "lent"])
    @pytest.mark.parametrize("handle", [break_after_reading, half_a_response, garbage, silence])
    async def test_the_request_was_read_so_the_outcome_is_unknown(self, handle: Handle, lent: bool) -> None:
        patience = HTTP.Timeout(20, read=0.2 if handle is silence else 20)
        async with server(handle) as url, lendable(5 if lent else None) as client:
            async with borrower(client, url, timeout=patience) as landbot:
                with pytest.raises(APIConnectionError) as caught:
                    await landbot.customers.send_text(1, "Hi")
            assert caught.value.safe_to_retry is False
            assert caught.value.attempts == 1
            assert isinstance(caught.value, APITimeoutError) is (handle is silence)

    @pytest.mark.parametrize("lent", [False, True], ids=["ours", "lent"])
    async def test_nobody_listens_so_nothing_was_sent(self, lent: bool) -> None:
        async with server(keep_alive) as url:
            pass
        async with lendable(5 if lent else None) as client:
            landbot = borrower(client, url, retry=RetryPolicy(attempts=3, base=0.0))
            with pytest.raises(APIConnectionError) as caught:
                await landbot.customers.send_text(1, "Hi")
            await landbot.aclose()
        assert caught.value.safe_to_retry is True
        assert caught.value.attempts == 3

    async def test_what_goes_over_the_wire(self) -> None:
        received: list[bytes] = []

        async def note(stream: SocketStream) -> None:
            received.append(await receive_request(stream))
            await stream.send(ANSWER)

        async with server(note) as url, borrower(None, url) as landbot:
            await landbot.customers.send_text(7, "Grüße 🎈")
        [request] = received
        assert request.startswith(b"POST /v1/customers/7/send_text/ HTTP/1.1\r\n")
        assert f"authorization: token {TOKEN}".encode() in request.lower()
        assert b"accept-encoding: gzip, deflate\r\n" in request.lower()
        assert b"cookie" not in request.lower()
        assert request.endswith('{"message":"Grüße 🎈"}'.encode())

    @pytest.mark.parametrize("lent", [False, True], ids=["ours", "lent"])
    @pytest.mark.parametrize("location", [b"mailto:a@b", b"http://xn--/", b"http://[::1", b"//", b"\xff", b""])
    async def test_a_redirect_is_its_status_wherever_it_leads(self, location: bytes, lent: bool) -> None:
        answer = b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: " + location + b"\r\n\r\n"
        async with (
            lendable(5 if lent else None) as client,
            server(says(answer)) as url,
            borrower(client, url) as landbot,
        ):
            with pytest.raises(APIStatusError) as caught:
                await landbot.customers.send_text(1, "Hi")
        assert (caught.value.status, caught.value.attempts, caught.value.safe_to_retry) == (302, 1, False)

    async def test_a_page_of_errors_stops_nobody(self) -> None:
        async def large(stream: SocketStream) -> None:
            await receive_request(stream)
            await stream.send(b"HTTP/1.1 422 No\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

        body = json.dumps({"errors": {f"field {n}": ["x" * 1000] for n in range(20_000)}}).encode()
        async with server(large) as url, borrower(None, url) as landbot:
            with pytest.raises(APIStatusError) as caught:
                await landbot.customers.send_text(1, "Hi")
        assert len(str(caught.value)) < 1000
        assert caught.value.body == body[: 64 * 1024].decode(), "not parsed, which would take a second"

    @pytest.mark.parametrize("lent", [False, True], ids=["ours", "lent"])
    async def test_a_response_without_an_end_is_cut_off(self, lent: bool) -> None:
        sent = 0

        async def endless(stream: SocketStream) -> None:
            nonlocal sent
            await receive_request(stream)
            await stream.send(HEAD + b"content-length: 99999999999\r\n\r\n")
            while True:
                await stream.send(bytes(1_000_000))
                sent += 1

        async with lendable(5 if lent else None) as client, server(endless) as url, borrower(client, url) as landbot:
            with pytest.raises(ResponseError, match="larger than 64 MB"):
                await landbot.customers.archive(1)
            assert not connections(landbot), "its connection cannot be used again"
        assert 67 <= sent < 80

    @pytest.mark.parametrize("lent", [False, True], ids=["ours", "lent"])
    async def test_a_mistake_of_a_library_leaves_the_outcome_unknown(
        self, lent: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with server(silence) as url, lendable(5 if lent else None) as client:
            landbot = borrower(client, url, retry=ONCE)
            monkeypatch.setattr(h11.Connection, "send", staticmethod(partial(int, "a TypeError")))
            with pytest.raises(APIConnectionError) as caught:
                await landbot.customers.send_text(1, "Hi")
            assert isinstance(caught.value.__cause__, TypeError)
            assert not caught.value.safe_to_retry


class TestMixedUp:
    """Two responses in one segment leave the second for the next call, and so on for good."""

    @pytest.mark.parametrize("lent", [False, True], ids=["ours", "lent"])
    async def test_the_response_to_another_request_is_an_error_and_its_connection_is_dropped(self, lent: bool) -> None:
        async def twice(stream: SocketStream) -> None:
            while True:
                request = await receive_request(stream)
                number = int(request.split()[1].split(b"/")[3])
                await stream.send(customer(number) + (customer(number) if number == 111 else b""))

        async with lendable(1 if lent else None) as client, server(twice) as url, borrower(client, url) as landbot:
            assert (await landbot.customers.get(111)).id == 111
            with pytest.raises(ResponseError) as caught:
                await landbot.customers.get(222)
            assert caught.value.path == "$.customer.id"
            assert (caught.value.safe_to_retry, caught.value.transient) == (True, True)
            assert (await landbot.customers.get(222)).id == 222
            assert (await landbot.customers.get(333)).id == 333


# What a proxy may do when it is asked for a tunnel.
REFUSALS: dict[str, Handle] = {
    "407": says(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"),
    "403": says(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnope"),
    "502": says(b"HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n"),
    "302": says(b"HTTP/1.1 302 Found\r\nlocation: http://login.example/\r\ncontent-length: 0\r\n\r\n"),
    "hang-up": break_after_reading,
    "half a line": says(b"HTTP/1.1 20"),
    "rubbish": garbage,
    "silence": silence,
    "no TLS behind it": says(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-OpenSSH_9.2\r\n"),
}


class TestProxies:
    @pytest.mark.parametrize("refusal", REFUSALS)
    async def test_a_tunnel_that_is_refused_carries_nothing(self, refusal: str) -> None:
        asked: list[bytes] = []

        async def proxy(stream: SocketStream) -> None:
            asked.append(await receive_request(stream))
            rest = REFUSALS[refusal]
            await rest(_Replayed(stream, asked[-1]))  # type: ignore[arg-type]  # as much of a stream as it needs

        async with server(proxy) as url:
            proxied = HTTP.AsyncClient(proxy=url.removesuffix("/v1/"))
            options = {
                "retry": RetryPolicy(attempts=3, base=0.0),
                "timeout": HTTP.Timeout(20, read=0.3 if refusal == "silence" else 20),
            }
            async with proxied, borrower(proxied, "https://127.0.0.1:9/v1/", **options) as landbot:
                with pytest.raises(APIConnectionError) as caught:
                    await landbot.customers.send_text(1, "Hi")
        assert caught.value.safe_to_retry is True
        assert "was never sent" in str(caught.value)
        assert caught.value.attempts == len(asked) == 3
        assert not [each for each in asked if TOKEN.encode() in each]

    async def test_a_call_that_is_cancelled_while_the_tunnel_is_made_was_not_sent(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # On a busy machine the exchange may take longer to end, and until then nothing is proved.
        monkeypatch.setattr("landbot_async._core.exchange.GRACE", 20)
        asked = anyio.Event()

        async def silent_proxy(stream: SocketStream) -> None:
            await receive_request(stream)
            asked.set()
            await anyio.sleep_forever()

        events: list[Event] = []
        async with server(silent_proxy) as url:
            proxied = HTTP.AsyncClient(proxy=url.removesuffix("/v1/"))
            landbot = borrower(proxied, "https://127.0.0.1:9/v1/", on_event=events.append)
            async with proxied, create_task_group() as tasks:
                tasks.start_soon(landbot.customers.send_text, 1, "Hi")
                await asked.wait()
                tasks.cancel_scope.cancel()
        assert isinstance(events[-1], CallFailed)
        assert events[-1].safe_to_retry


class _Replayed:
    """A stream whose first bytes were read by somebody else."""

    def __init__(self, stream: SocketStream, received: bytes) -> None:
        self._stream = stream
        self._received = received
        self.send = stream.send

    async def receive(self) -> bytes:
        received, self._received = self._received, b""
        return received or await self._stream.receive()


async def cancelled_waves(landbot: AsyncLandbot, calls: int) -> None:
    """Many calls at a time, cancelled after each number of steps of the event loop in turn."""
    for steps in range(40):
        async with create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(landbot.customers.archive, 1)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()


async def natively_cancelled(landbot: AsyncLandbot, chance: random.Random) -> None:
    """One call, cancelled at any moment in one of asyncio's ways."""
    call = landbot.customers.send_text(1, "Hi")
    seconds = chance.random() * 0.01
    with suppress(asyncio.CancelledError, TimeoutError):
        if chance.random() < 0.3:
            async with asyncio.timeout(seconds):
                await call
        elif chance.random() < 0.3:
            await asyncio.wait_for(call, seconds)
        else:
            task = asyncio.create_task(call)
            for _ in range(chance.randrange(50)):
                await asyncio.sleep(0)
            task.cancel()
            await task


class TestCancellation:
    @pytest.mark.parametrize("size", [None, 1, 3, 10, 100], ids=lambda size: f"pool of {size}")
    async def test_cancelled_calls_cost_no_connection(self, size: int | None) -> None:
        """With httpx 0.28.1, calls cancelled in the pool cost connections, until every call is a PoolTimeout."""
        async with server(keep_alive) as url, lendable(size) as client:
            async with borrower(client, url, timeout=HTTP.Timeout(20, pool=2)) as landbot:
                await cancelled_waves(landbot, 60)
                await all_work(landbot, 40)
            assert client is None or not client.is_closed

    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    @pytest.mark.parametrize("size", [None, 3, 10, 32], ids=lambda size: f"pool of {size}")
    async def test_nor_do_calls_that_asyncio_itself_cancels(self, size: int | None) -> None:
        """Its cancellation ignores shields: 280 of them were the end of a pool of 32."""
        chance = random.Random(size)
        async with lendable(size) as client, server(keep_alive) as url:
            landbot = borrower(client, url, timeout=HTTP.Timeout(20, pool=2))

            async def work() -> None:
                for _ in range(20):
                    await natively_cancelled(landbot, chance)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(40):
                    tasks.create_task(work())
            await all_work(landbot, 100)
            await until(lambda: not landbot._engine.connection.wire._running)
            await until(lambda: all("IDLE" in each for each in connections(landbot)))
            await landbot.aclose()

    async def test_others_may_fill_a_lent_pool(self) -> None:
        """Its owner's calls queue beside ours: none of ours loses a connection when it is cancelled."""
        async with server(keep_alive) as url, HTTP.AsyncClient(limits=HTTP.Limits(max_connections=3)) as client:
            landbot = borrower(client, url, timeout=2)
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
            await until(lambda: not landbot._engine.connection.wire._running)
            assert "CONNECTING" not in connections(landbot)
            await all_work(landbot, 10)

    async def test_a_full_lent_pool_delays_no_cancellation(self) -> None:
        async with server(silence) as url, HTTP.AsyncClient(limits=HTTP.Limits(max_connections=2)) as client:
            landbot = borrower(client, url, timeout=60, retry=ONCE)
            async with create_task_group() as tasks:
                for _ in range(2):
                    tasks.start_soon(client.get, url)
                await until(lambda: len(connections(landbot)) == 2)
                begun = anyio.current_time()
                with anyio.move_on_after(0.1):
                    await landbot.customers.archive(1)
                with pytest.raises(LandbotError):
                    await landbot.with_options(total_timeout=0.1).customers.archive(1)
                assert anyio.current_time() - begun < AT_ONCE
                patience = HTTP.Timeout(60, pool=0.7)
                with pytest.raises(APITimeoutError) as caught:
                    await landbot.with_options(timeout=patience).customers.send_text(1, "Hi")
                assert anyio.current_time() - begun >= 0.7
                assert caught.value.safe_to_retry
                tasks.cancel_scope.cancel()

    async def test_a_hung_server_delays_no_cancellation(self) -> None:
        async with server(silence) as url, HTTP.AsyncClient() as client:
            landbot = borrower(client, url, timeout=60)
            for _ in range(3):
                begun = anyio.current_time()
                with anyio.move_on_after(0.05):
                    await landbot.customers.archive(1)
                assert anyio.current_time() - begun < AT_ONCE
            with pytest.raises(LandbotError):
                await landbot.with_options(total_timeout=0.05).customers.archive(1)


class TestLoops:
    @pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
    async def test_no_closed_event_loop_is_kept(self) -> None:
        """Neither by the shared limiter nor by a client that is still there."""
        loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
        clients: list[AsyncLandbot] = []

        async def main() -> None:
            loops.append(weakref.ref(asyncio.get_running_loop()))
            landbot = AsyncLandbot(TOKEN, base_url="http://127.0.0.1:9/v1/", retry=ONCE)
            with pytest.raises(APIConnectionError):
                await landbot.customers.archive(1)
            with suppress(TimeoutError):
                await asyncio.wait_for(landbot.customers.archive(1), 0.001)
            await landbot.aclose()
            clients.append(landbot)

        for _ in range(5):
            await asyncio.to_thread(asyncio.run, main())
        gc.collect()
        assert [loop() for loop in loops] == [None] * 5
