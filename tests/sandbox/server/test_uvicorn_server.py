"""The shell: how it listens, and how it ends."""

import logging
import signal
import socket

import anyio
import httpx
import pytest

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.apis.base import SandboxDisconnect, SandboxRequest, SandboxResponse
from landbot_async.sandbox.server.uvicorn_server import listen

from .serving import CONTROL, served

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # uvicorn knows no other


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_at_once_with_streams_and_slow_answers_under_way(
    how: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    arrived = anyio.Event()

    class Slow(Sandbox):
        async def handle(self, request: SandboxRequest) -> SandboxResponse | SandboxDisconnect:
            arrived.set()
            while True:
                await anyio.sleep_forever()

    ends: list[str] = []

    async def slow(root: str) -> None:
        async with httpx.AsyncClient(timeout=None) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"{root}v1/channels/")
        ends.append("slow")

    async def stream(root: str, open: anyio.Event) -> None:
        async with (
            httpx.AsyncClient(timeout=None, headers={"X-Sandbox-Token": CONTROL}) as client,
            client.stream("GET", f"{root}_sandbox/events") as events,
        ):
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in events.aiter_bytes():
                    open.set()
        ends.append("stream")

    with caplog.at_level(logging.WARNING), anyio.fail_after(5):
        async with served(Slow()) as (root, server), anyio.create_task_group() as group:
            opened = anyio.Event()
            group.start_soon(slow, root)
            group.start_soon(stream, root, opened)
            await opened.wait()
            await arrived.wait()
            signal.raise_signal(how)
            signal.raise_signal(how)  # impatience changes nothing
    assert sorted(ends) == ["slow", "stream"]
    assert server.ended_by == how
    assert not caplog.records


async def test_other_signals_are_what_they_were_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    async with served(Sandbox()) as (_, server):
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert server.ended_by == 0


async def test_answers_do_not_say_what_serves_them() -> None:
    async with served(Sandbox()) as (root, _), httpx.AsyncClient() as client:
        assert "server" not in (await client.get(root)).headers


def test_a_taken_port_is_an_error() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(("host", "family"), [("localhost", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_it_listens_where_it_is_told(host: str, family: socket.AddressFamily) -> None:
    with listen(host, 0) as listening:
        assert listening.family in {family, socket.AF_INET6}
