"""Deliveries over HTTP, to this machine; and where they may not go."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from landbot_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

TOKEN = "hook-s3cret"


@asynccontextmanager
async def listening(answer: bytes) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """A server on this machine that gives one answer, and what it received."""
    received: list[bytes] = []

    async def serve(stream: SocketStream) -> None:
        async with stream:
            request = b""
            while not request.endswith(b"}"):
                request += await stream.receive()
            received.append(request)
            await stream.send(answer)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}", received
        group.cancel_scope.cancel()


def answer(status: str, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", "Content-Length: 0", "Connection: close", *headers, "", "")).encode()


async def delivered(url: str, **options: Any) -> list[tuple[str, int | None, str | None, bool]]:
    """What became of the first attempt to deliver one message to `url`."""
    async with Sandbox(customers=1, bot=False, **options) as sandbox:
        sandbox._workspace.add_hook(8, url, TOKEN, None, created=0.0)
        sandbox.write(1, "Hello")
        async with sandbox.feed.subscribe() as stream:
            while not sandbox.deliveries:
                await anext(stream)
        assert TOKEN not in repr((sandbox.deliveries, sandbox.feed.since(0)))
        return [(each.url, each.status, each.error, each.next_at is None) for each in sandbox.deliveries]


@pytest.mark.real_time
async def test_over_http() -> None:
    async with listening(answer("204 No Content")) as (url, received):
        assert await delivered(f"{url}/landbot?key=x") == [(f"{url}/landbot", 204, None, True)]
    head, _, body = received[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /landbot?key=x http/1.1"
    assert {"user-agent: landbot/webhooks", f"authorization: token {TOKEN}"} <= set(lines)
    assert b'"Hello"' in body


@pytest.mark.real_time
async def test_redirects_are_not_followed() -> None:
    async with (
        listening(answer("200 OK")) as (elsewhere, received),
        listening(answer("307 Temporary Redirect", f"Location: {elsewhere}")) as (url, _),
    ):
        assert await delivered(url) == [(url, 307, None, False)]
    assert received == []


@pytest.mark.real_time
async def test_nobody_listens() -> None:
    async with listening(b"") as (url, _):
        pass
    assert await delivered(url) == [(url, None, "ConnectError", False)]


@pytest.mark.real_time
async def test_what_is_no_answer() -> None:
    async with listening(b"rubbish\r\n\r\n") as (url, _):
        assert await delivered(url) == [(url, None, "RemoteProtocolError", False)]


@pytest.mark.real_time
async def test_no_more_of_an_answer_is_read_than_is_needed() -> None:
    for length in (b"Content-Length: 1000000000", b"X-Length: unknown"):
        async with listening(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n" + b"x" * 100_000) as (url, _):
            with anyio.fail_after(5):
                assert await delivered(url) == [(url, 200, None, True)]


@pytest.mark.real_time
@pytest.mark.parametrize("port", ["0", "99999"])
async def test_what_an_event_loop_makes_of_a_port_that_is_none(port: str) -> None:
    [(_, status, error, ended)] = await delivered(f"http://127.0.0.1:{port}/")
    assert (status, ended) == (None, False)
    assert error  # asyncio and trio call it different names


async def test_an_application_that_answers_nothing() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    async with Sandbox(customers=1, bot=False) as sandbox:
        sandbox.mount("http://bot.example/", silent)
        sandbox._workspace.add_hook(8, "http://bot.example/", None, None, created=0.0)
        sandbox.write(1, "Hello")
        await sandbox.settled()
        assert [(each.status, each.error) for each in sandbox.deliveries] == [(None, "AssertionError")] * 6


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://bot.example/a?b=c", "https://bot.example/a"),
        ("http://user:pass@bot.example:81/", "http://bot.example:81/"),
        ("http://localhost.example/", "http://localhost.example/"),
        ("http://127.0.0.1.example/", "http://127.0.0.1.example/"),
        ("http://127.0.0.1@bot.example/", "http://bot.example/"),
        ("http://[2001:db8::1]/", "http://[2001:db8::1]/"),
        ("http://0.0.0.0/", "http://0.0.0.0/"),
        ("http://[bad", "(no URL)"),
        ("http://", "http://"),
    ],
)
async def test_not_beyond_this_machine(url: str, shown: str) -> None:
    [(told, status, error, ended)] = await delivered(url)
    assert (told, status, ended) == (shown, None, True)
    assert error is not None
    assert "external_deliveries=True" in error


async def test_a_url_that_is_none_is_told_where_all_are_allowed() -> None:
    [(_, status, error, ended)] = await delivered("http://bot.example:port/", external_deliveries=True)
    assert (status, error, ended) == (None, "InvalidURL", False)


async def test_beyond_it_where_allowed() -> None:
    """Without sending anything there: it is the same client that reaches this machine."""
    sandbox = Sandbox(external_deliveries=True)
    reached = [sandbox._courier._client(url) for url in ("https://bot.example/", "http://127.0.0.1/")]
    assert reached[0] is reached[1] is not None
    assert Sandbox()._courier._client("https://bot.example/") is None
    with pytest.raises(TypeError, match="external_deliveries"):
        Sandbox(external_deliveries="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
