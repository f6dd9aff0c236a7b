"""Faults really happen on the wire: looked at with a bare socket."""

import socket

import anyio
import pytest
from anyio.to_thread import run_sync

from landbot_async.sandbox import FaultName, Sandbox
from landbot_async.sandbox.server import responses as wire

from .serving import CONTROL, served

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # uvicorn knows no other


def say(root: str, data: bytes) -> tuple[bytes, str]:
    """Send bytes; what comes back, and how it ends."""
    host, _, port = root.removeprefix("http://").rstrip("/").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        try:
            while more := connection.recv(65536):
                received += more
        except ConnectionResetError:
            return received, "reset"
        return received, "closed"


def request(sandbox: Sandbox, method: str, path: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {sandbox.token}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


SEND = b'{"message": "Hello"}'


@pytest.mark.parametrize(
    ("fault", "end", "reached"),
    [("cut", "closed", 0), ("lost_answer", "closed", 1), ("refused", "reset", 0)],
)
async def test_a_broken_connection_has_no_answer(fault: FaultName, end: str, reached: int) -> None:
    sandbox = Sandbox(customers=1)
    sandbox.fault(fault)
    async with served(sandbox) as (root, _):
        answer = await run_sync(say, root, request(sandbox, "POST", "/v1/customers/1/send_text/", SEND))
        assert answer == (b"", end)
        assert len(sandbox.sent) == reached
        # and the next one is whole
        whole, _ = await run_sync(say, root, request(sandbox, "GET", "/v1/customers/1/"))
        assert whole.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_half_a_body_is_shorter_than_was_promised() -> None:
    sandbox = Sandbox(customers=1)
    async with served(sandbox) as (root, _):
        asked = request(sandbox, "GET", "/v1/customers/1/")
        whole, _ = await run_sync(say, root, asked)
        sandbox.fault("half_body")
        half, end = await run_sync(say, root, asked)
    head, _, body = half.partition(b"\r\n\r\n")
    _, _, whole_body = whole.partition(b"\r\n\r\n")
    assert f"content-length: {len(whole_body)}".encode() in head
    assert body == whole_body[: len(whole_body) // 2]
    assert end == "closed"


async def test_latency_comes_before_the_answer() -> None:
    sandbox = Sandbox(customers=1, latency=0.3)
    async with served(sandbox) as (root, _):
        begun = anyio.current_time()
        await run_sync(say, root, request(sandbox, "GET", "/v1/channels/"))
        assert anyio.current_time() - begun >= 0.3


async def test_a_client_that_hangs_up_in_the_midst_asks_nothing() -> None:
    sandbox = Sandbox(customers=1)
    async with served(sandbox) as (root, _):
        whole = request(sandbox, "POST", "/v1/customers/1/send_text/", SEND)

        def hang_up() -> None:
            host, _, port = root.removeprefix("http://").rstrip("/").partition(":")
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(whole[:-5])

        await run_sync(hang_up)
        await run_sync(say, root, request(sandbox, "GET", "/v1/channels/"))
        assert sandbox.received == 1
    assert not sandbox.sent


async def test_nor_does_one_on_the_control_path() -> None:
    sandbox = Sandbox()
    async with served(sandbox) as (root, _):
        host, _, port = root.removeprefix("http://").rstrip("/").partition(":")
        head = f"POST /_sandbox/customers HTTP/1.1\r\nHost: localhost\r\nX-Sandbox-Token: {CONTROL}\r\n"

        def hang_up() -> None:
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(f"{head}Content-Length: 20\r\n\r\n".encode() + b'{"na')
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1000)

        await run_sync(hang_up)
        await run_sync(say, root, request(sandbox, "GET", "/v1/channels/"))
    assert not sandbox.customers


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    sandbox = Sandbox(customers=1)
    async with served(sandbox) as (root, _):
        asked = request(sandbox, "POST", "/v1/customers/1/send_text/", b"x" * 1_500_000)
        answer, _ = await run_sync(say, root, asked)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'{"errors": {"body": ["The body is too large."]}}' in answer


async def test_nor_is_one_on_the_control_path() -> None:
    async with served(Sandbox()) as (root, _):
        head = f"POST /_sandbox/tick HTTP/1.1\r\nHost: localhost\r\nX-Sandbox-Token: {CONTROL}\r\nConnection: close\r\n"
        asked = f"{head}Content-Length: 1500000\r\n\r\n".encode() + b" " * 1_500_000
        answer, _ = await run_sync(say, root, asked)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'{"error":"The body is too large"}')


async def test_answers_are_not_held_back_until_the_client_acknowledges() -> None:
    async with served(Sandbox()) as (root, server):
        host, _, port = root.removeprefix("http://").rstrip("/").partition(":")
        async with await anyio.connect_tcp(host, int(port)) as connection:
            await connection.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await connection.receive()
            (protocol,) = server.server_state.connections
            accepted: socket.socket = protocol.transport.get_extra_info("socket")
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_what_still_comes_is_passed_over_until_the_connection_is_gone() -> None:
    class Transport:
        aborted = False

        def abort(self) -> None:
            self.aborted = True

    transport = Transport()
    messages: list[dict[str, object]] = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    await wire.cut({"state": {"transport": transport}}, receive)
    assert transport.aborted
    assert not messages


async def test_a_body_is_cut_behind_the_first_byte_too_many() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"abc", "more_body": True}

    assert await wire.read_body(receive, 5) == b"abcabc"
