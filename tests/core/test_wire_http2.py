"""The wire over HTTP/2, which borrowed clients may speak: streams, cancelled calls, and pools."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anyio
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from anyio import create_task_group
from anyio.abc import SocketStream

from landbot_async import (
    APIConnectionError,
    AsyncLandbot,
    RetryPolicy,
)
from landbot_async._core.trace import Trace
from tests.helpers import HTTP, Unlimited, until

from .sockets import ANSWER, ONCE, all_work, borrower, receive_request, server

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


class H2:
    """A server that speaks HTTP/2 without TLS. It leaves requests without a response while `silent` is set."""

    def __init__(self) -> None:
        self.silent = False
        self.resumed = anyio.Event()  # responses wait for it
        self.resumed.set()
        self.most = 0
        self.connections = 0

    async def handle(self, stream: SocketStream) -> None:
        self.connections += 1
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        in_progress: set[int] = set()
        sending = anyio.Lock()

        async def flush() -> None:
            async with sending:
                await stream.send(state.data_to_send())

        async def respond(stream_id: int) -> None:
            await self.resumed.wait()
            in_progress.discard(stream_id)
            state.send_headers(stream_id, [(":status", "200"), ("content-type", "application/json")])
            state.send_data(stream_id, b'{"success": true}', end_stream=True)
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await flush()

        state.initiate_connection()
        await flush()
        async with create_task_group() as tasks:
            # A request that is cancelled between its headers and its body ends without one: servers close for that.
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError, h2.exceptions.ProtocolError):
                while True:
                    for event in state.receive_data(await stream.receive()):
                        if isinstance(event, h2.events.StreamEnded):
                            in_progress.add(event.stream_id)
                            self.most = max(self.most, len(in_progress))
                            if not self.silent:
                                tasks.start_soon(respond, event.stream_id)
                    await flush()


def http2(**options: Any) -> Any:
    return HTTP.AsyncClient(http1=False, http2=True, **options)


# httpx leaves the socket of an HTTP/2 connection that it was making when a waiting call left to the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
class TestHTTP2:
    @pytest.mark.parametrize("kind", ["cancelled", "timed out"])
    async def test_it_works_after_any_number_of_calls_without_a_response(self, kind: str) -> None:
        """Their streams stay open, and a connection takes a hundred: every call would fail for good."""
        peer = H2()
        async with server(peer.handle) as url, http2() as client:
            landbot = borrower(client, url, retry=RetryPolicy(attempts=12, base=0.05))
            # While a connection is made, httpcore takes a cancelled call that waits for it as a failure to connect.
            await landbot.customers.archive(1)
            peer.silent = True
            for _ in range(5):
                async with create_task_group() as tasks:
                    for _ in range(30):
                        tasks.start_soon(self._in_vain, landbot, kind)
            peer.silent = False
            await all_work(landbot, 40)
            await landbot.customers.send_text(1, "Hi")

    async def _in_vain(self, landbot: AsyncLandbot, kind: str) -> None:
        if kind == "cancelled":
            # While others keep the full connection open, it takes no request.
            with anyio.move_on_after(0.05), suppress(APIConnectionError):
                await landbot.customers.send_text(1, "Hi")
        else:
            with pytest.raises(APIConnectionError):
                await landbot.with_options(timeout=0.05, retry=ONCE).customers.send_text(1, "Hi")

    @pytest.mark.parametrize("moment", ["started", "complete"])
    async def test_a_call_that_is_cancelled_while_its_connection_begins_harms_no_other(
        self, moment: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Httpcore counts the streams of a new connection then, and once counted one too many."""
        told, scope = Trace.__call__, anyio.CancelScope()

        async def tell(trace: Trace, name: str, info: Mapping[str, Any]) -> None:
            await told(trace, name, info)
            if name == f"http2.send_connection_init.{moment}":
                scope.cancel()

        monkeypatch.setattr(Trace, "__call__", tell)
        async with server(H2().handle) as url, http2() as client:
            landbot = borrower(client, url)
            with scope:
                await landbot.customers.send_text(1, "Hi")
            assert scope.cancelled_caught
            await all_work(landbot, 10)

    async def test_a_call_that_finds_no_stream_was_never_sent(self) -> None:
        peer = H2()
        async with server(peer.handle) as url, http2() as client:
            landbot = borrower(client, url, retry=ONCE)
            await landbot.customers.archive(1)
            peer.silent = True
            async with create_task_group() as tasks:
                for _ in range(120):
                    tasks.start_soon(self._cancelled, client, url)
                await until(lambda: peer.most == 100)
                tasks.cancel_scope.cancel()
            peer.silent = False
            with pytest.raises(APIConnectionError) as caught:
                await landbot.customers.send_text(1, "Hi")
            assert caught.value.safe_to_retry
            await landbot.customers.send_text(1, "Hi")
            assert peer.connections == 2

    async def _cancelled(self, client: Any, url: str) -> None:
        with suppress(HTTP.LocalProtocolError):
            # Without a body, whose generator httpx leaves to the collector.
            await client.get(url + "customers/1/", timeout=60)

    async def test_one_connection_serves_many_calls_once_it_is_known(self) -> None:
        peer = H2()
        async with server(peer.handle) as url, http2(limits=HTTP.Limits(max_connections=2)) as client:
            landbot = borrower(client, url)
            assert landbot._engine.connection.places.places == 2
            await landbot.customers.archive(1)
            peer.resumed = anyio.Event()
            async with create_task_group() as tasks:
                tasks.start_soon(all_work, landbot, 60)
                await until(lambda: peer.most == 32)
                await anyio.sleep(0.1)  # for those that should not come
                peer.resumed.set()
            assert peer.most == 32
            assert peer.connections == 1

    async def test_a_small_pool_that_meets_http_1_lets_nobody_wait_with_a_ticket(self) -> None:
        """Tickets that wait in the pool all go out when it has room: 35 requests in one second."""
        limiter = Tickets()
        arrived = 0

        async def slow(stream: SocketStream) -> None:
            nonlocal arrived
            while True:
                await receive_request(stream)
                arrived += 1
                limiter.unused -= 1
                await anyio.sleep(0.5 if arrived <= 3 else 0)
                await stream.send(ANSWER)

        async with server(slow) as url:
            lent = HTTP.AsyncClient(http2=True, limits=HTTP.Limits(max_connections=3))
            async with lent, borrower(lent, url, limiter=limiter) as landbot:
                await all_work(landbot, 45)
        assert arrived == 45
        assert limiter.most <= 3


class Tickets(Unlimited):
    """A limiter that counts the tickets whose requests have not arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = self.most = 0

    async def acquire(self) -> None:
        await super().acquire()
        self.unused += 1
        self.most = max(self.most, self.unused)
