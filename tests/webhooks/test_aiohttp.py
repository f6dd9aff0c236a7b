import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from landbot_async.webhooks import Inbox, Message
from tests.helpers import breath
from tests.webhooks.deliveries import TOKEN, delivery, headers

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.real_time,
    pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True),
]


@contextlib.asynccontextmanager
async def serving(
    **options: Any,
) -> AsyncGenerator[tuple[TestClient[web.Request, web.Application], Inbox, list[Message]]]:
    inbox, got = Inbox(TOKEN, settle=0, **options), list[Message]()

    @inbox.on()
    async def take(message: Message) -> None:
        got.append(message)

    async def opened(_: web.Application) -> AsyncGenerator[None]:
        async with inbox:
            yield

    app = web.Application()
    app.cleanup_ctx.append(opened)
    app.router.add_route("*", "/landbot", inbox.aiohttp)
    app.router.add_post("/post", inbox.aiohttp)
    async with breath(), TestClient(TestServer(app)) as client:
        yield client, inbox, got


async def test_the_same_as_everywhere() -> None:
    async with serving() as (client, _, got):
        for path in ("/landbot", "/post"):
            for trace, token, body, status in (
                (path, TOKEN, delivery(), 200),
                (path, TOKEN, delivery(), 200),
                ("other", "wrong", delivery(), 401),
                ("other", None, delivery(), 401),
                ("other", TOKEN, b"rubbish", 400),
                ("other", TOKEN, b"", 400),
            ):
                async with client.post(path, data=body, headers=headers(trace, token)) as answer:
                    assert (answer.status, await answer.read()) == (status, b"")
            for method in ("GET", "HEAD", "PUT"):
                async with client.request(method, path) as answer:
                    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert [each.delivery_id for each in got] == ["/landbot", "/post"]


async def test_a_body_in_parts() -> None:
    async def parts() -> AsyncGenerator[bytes]:
        body = delivery()
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    async with serving() as (client, _, got), client.post("/landbot", data=parts(), headers=headers("d1")) as answer:
        assert answer.status == 200
    assert len(got) == 1


@pytest.mark.parametrize("said", [True, False])
async def test_too_large(said: bool) -> None:
    async def parts() -> AsyncGenerator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    async with serving(max_body=1000) as (client, _, _):
        body = b"x" * 1001 if said else parts()
        async with client.post("/landbot", data=body, headers=headers("d1")) as answer:
            assert answer.status == 413


async def test_its_own_limit_is_not_asked() -> None:
    async with serving(max_body=3_000_000) as (client, _, got):
        large = delivery("x" * 2_000_000)
        async with client.post("/landbot", data=io.BytesIO(large), headers=headers("d1")) as answer:
            assert answer.status == 200
    assert len(got) == 1


async def chunked(body: bytes) -> AsyncGenerator[bytes]:
    """Yield a body whose length no header tells."""
    yield body


async def test_a_body_that_a_middleware_has_read() -> None:
    @web.middleware
    async def reads(request: web.Request, handler: Any) -> Any:
        seen.append(len(await request.read()))
        return await handler(request)

    inbox, got, seen = Inbox(TOKEN, settle=0, max_body=1000), list[Message](), list[int]()

    @inbox.on()
    async def take(message: Message) -> None:
        got.append(message)

    app = web.Application(middlewares=[reads])
    app.router.add_post("/landbot", inbox.aiohttp)
    async with inbox, TestClient(TestServer(app)) as client:
        for body, status in ((delivery(), 200), (b"", 400), (b"x" * 1001, 413)):
            async with client.post("/landbot", data=chunked(body), headers=headers("d1")) as answer:
                assert answer.status == status
    assert len(got) == 1
    assert seen[1:] == [0, 1001]


async def test_not_open() -> None:
    inbox = Inbox(TOKEN)
    app = web.Application()
    app.router.add_post("/landbot", inbox.aiohttp)
    async with (
        TestClient(TestServer(app)) as client,
        client.post("/landbot", data=delivery(), headers=headers("d1")) as answer,
    ):
        assert answer.status == 503


async def test_who_goes_away_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (client, inbox, got):
        body = delivery()
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = (
            f"POST /landbot HTTP/1.1\r\nHost: x\r\nAuthorization: Token {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body[:50])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)
        assert inbox._open is not None
        assert inbox._open.dispatcher.held == 0
        async with client.post("/landbot", data=body, headers=headers("d1")) as answer:
            assert answer.status == 200
    assert len(got) == 1
    assert caplog.records == []
