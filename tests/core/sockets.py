"""Servers on this machine, and calls to them, for the tests of the wire."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio import create_task_group
from anyio.abc import SocketStream

from landbot_async import (
    AsyncLandbot,
    RetryPolicy,
)
from tests.helpers import TOKEN, Unlimited

Handle = Callable[[SocketStream], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
ANSWER = HEAD + b'content-length: 17\r\n\r\n{"success": true}'
ONCE = RetryPolicy(attempts=1)


def customer(number: int) -> bytes:
    body = b'{"success": true, "customer": {"id": %d}}' % number
    return HEAD + b"content-length: %d\r\n\r\n" % len(body) + body


@asynccontextmanager
async def server(handle: Handle) -> AsyncGenerator[str]:
    """Serve on this machine, and yield the base URL."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def serve(stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await handle(stream)

    async with listener, create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/v1/"
        tasks.cancel_scope.cancel()


async def receive_request(stream: SocketStream) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    while length and len(body) < int(length[1]):
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


def borrower(client: Any, url: str, **options: Any) -> AsyncLandbot:
    given: dict[str, Any] = {"limiter": Unlimited(), "timeout": 20, **options}
    return AsyncLandbot(TOKEN, base_url=url, http_client=client, **given)


async def all_work(landbot: AsyncLandbot, calls: int) -> None:
    with anyio.fail_after(30):
        async with create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(landbot.customers.archive, 1)
