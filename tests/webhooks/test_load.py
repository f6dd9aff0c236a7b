"""10,000 deliveries: 2,500 messages, each made four times and out of order, over 50 connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import anyio
import httpx
import pytest
import uvicorn
from aiohttp import web
from anyio import sleep
from starlette.applications import Starlette

from landbot_async.webhooks import Inbox, TextMessage
from tests.helpers import until
from tests.webhooks.deliveries import NOON, TOKEN, delivery, headers

pytestmark = pytest.mark.anyio

CUSTOMERS, EACH, COPIES, CONNECTIONS = 250, 10, 4, 50
MESSAGES = CUSTOMERS * EACH
SETTLE = 0.2


class Made(NamedTuple):
    """A delivery, and when it is made."""

    when: float
    text: str
    body: bytes
    headers: dict[str, str]


def made(disorder: float, spread: float, seed: int) -> list[Made]:
    """All deliveries, a second for each round of all customers.

    The first of each message is made up to `disorder` seconds after the message was written, the others up to `spread`
    later still.
    """
    chance = random.Random(seed)
    found: list[Made] = []
    for round_ in range(EACH):
        for customer in range(CUSTOMERS):
            written = round_ + customer / CUSTOMERS
            text, first = f"{customer}-{round_}", written + chance.random() * disorder
            body = delivery(text, customer=customer + 1, at=NOON + written, uuid=text)
            for copy in range(COPIES):
                # What retries share is the header; a second hook on the channel brings another, and the same message.
                head = headers(f"{text}-{copy // 3}")
                found.append(Made(first + (chance.random() * spread if copy else 0), text, body, head))
    return sorted(found)


class Handled:
    """An inbox whose handler takes its time, and what it was given."""

    def __init__(self, **options: Any) -> None:
        self.inbox = Inbox(TOKEN, **options)
        self.texts: list[str] = []
        self.late = 0
        chance = random.Random(7)

        @self.inbox.on(TextMessage)
        async def take(message: TextMessage) -> None:
            self.late += message.late
            await sleep(chance.random() * 0.01)
            self.texts.append(message.text)

    def check(self) -> None:
        assert self.late == 0
        assert len(self.texts) == len(set(self.texts)) == MESSAGES
        for customer in range(CUSTOMERS):
            own = [each for each in self.texts if each.startswith(f"{customer}-")]
            assert own == [f"{customer}-{number}" for number in range(EACH)]

    @asynccontextmanager
    async def lifespan(self, _: Any) -> AsyncGenerator[None]:
        async with self.inbox:
            yield


@pytest.mark.once
async def test_a_starlette_application_in_virtual_time() -> None:
    handled = Handled()
    app = Starlette(lifespan=handled.lifespan)
    app.add_route("/landbot", handled.inbox)
    deliveries = made(SETTLE - 0.001, 30, seed=1)
    begun = anyio.current_time()

    async def connection(client: httpx.AsyncClient, own: list[Made]) -> None:
        for each in own:
            await anyio.sleep_until(begun + each.when)
            answer = await client.post("/landbot", content=each.body, headers=each.headers)
            assert answer.status_code == 200

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
        anyio.create_task_group() as group,
    ):
        for number in range(CONNECTIONS):
            group.start_soon(connection, client, deliveries[number::CONNECTIONS])
    handled.check()


# Over sockets, as fast as they go: disorder is counted in deliveries, and settling is long enough for slow machines.

PATIENT = {"settle": 3.0, "queue_size": MESSAGES}


class Connection:
    """HTTP/1.1 with keep-alive, as little of it as a delivery needs."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def post(self, each: Made) -> int:
        head = "".join(f"{name}: {value}\r\n" for name, value in each.headers.items())
        length = len(each.body)
        self.writer.write(
            f"POST /landbot HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{head}\r\n".encode() + each.body
        )
        answer = await self.reader.readuntil(b"\r\n\r\n")
        return int(answer.split(b" ", 2)[1])


async def deliver(port: int, deliveries: Iterator[Made], told: Callable[[Made, int], Awaitable[None]]) -> None:
    """Make all deliveries over 50 connections."""

    async def work() -> None:
        async with Connection(port) as connection:
            for each in deliveries:
                await told(each, await connection.post(each))

    async with anyio.create_task_group() as group:
        for _ in range(CONNECTIONS):
            group.start_soon(work)


async def taken(_: Made, status: int) -> None:
    assert status == 200


@asynccontextmanager
async def starlette_application(handled: Handled) -> AsyncGenerator[int]:
    app = Starlette(lifespan=handled.lifespan)
    app.add_route("/landbot", handled.inbox)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listening])
            await until(lambda: server.started)
            yield listening.getsockname()[1]
            server.should_exit = True


@asynccontextmanager
async def aiohttp_application(handled: Handled) -> AsyncGenerator[int]:
    app = web.Application()
    app.cleanup_ctx.append(handled.lifespan)
    app.router.add_post("/landbot", handled.inbox.aiohttp)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.once
@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("serving", [starlette_application, aiohttp_application])
async def test_an_application_over_sockets(serving: Any) -> None:
    handled = Handled(**PATIENT)
    async with serving(handled) as port:
        # 250 messages are a second of `made`: shuffled among the next 75, and the copies among the next 750.
        await deliver(port, iter(made(0.3, 3, seed=3)), taken)
    handled.check()


KILLED = """
import os, socket, sys
import anyio, uvicorn
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from landbot_async.webhooks import Inbox, TextMessage

inbox = Inbox(os.environ["LANDBOT_HOOK_TOKEN"], durable=sys.argv[1], concurrency=16, settle=0.05, queue_size=5000)
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@inbox.on(TextMessage)
async def take(message):
    os.write(log, f"begun {message.text} {message.redelivered}\\n".encode())
    await anyio.sleep(0.005)
    os.write(log, f"handled {message.text} {message.redelivered}\\n".encode())

@asynccontextmanager
async def lifespan(app):
    async with inbox:
        print(listening.getsockname()[1], flush=True)
        yield

app = Starlette(lifespan=lifespan)
app.add_route("/landbot", inbox)
with socket.socket() as listening:
    listening.bind(("127.0.0.1", 0))
    listening.listen(100)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none")).run(sockets=[listening])
"""


class Killed:
    """A durable inbox in a process of its own, which runs this program."""

    def __init__(self, path: Path, program: str) -> None:
        self.path = path
        self.program = program
        self.log = path / "log"
        self.environment = {**os.environ, "LANDBOT_HOOK_TOKEN": TOKEN}

    def arguments(self, *more: str) -> list[str]:
        return [sys.executable, "-c", self.program, str(self.path / "inbox.db"), str(self.log), *more]

    @asynccontextmanager
    async def running(self, *more: str) -> AsyncGenerator[int]:
        """Run it and yield its port; at the end it is terminated, unless it has been killed."""
        async with await anyio.open_process(self.arguments(*more), env=self.environment, stderr=None) as self.process:
            try:
                assert self.process.stdout is not None
                yield int(await self.process.stdout.receive())
                self.process.terminate()
                await self.process.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()

    def lines(self, what: str) -> list[tuple[str, bool]]:
        found = (line.split() for line in self.log.read_text().splitlines())
        return [(text, redelivered == "True") for kind, text, redelivered in found if kind == what]


@pytest.mark.once
@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("after", [150, 1500])
async def test_killed_in_the_middle_nothing_acknowledged_is_lost(tmp_path: Path, after: int) -> None:
    killed, deliveries, acknowledged = Killed(tmp_path, KILLED), made(0.3, 3, seed=after), set[str]()

    async def told(each: Made, status: int) -> None:
        assert status == 200
        acknowledged.add(each.text)
        if len(acknowledged) == after:
            killed.process.kill()

    with pytest.raises(ExceptionGroup) as raised:
        async with killed.running() as port:
            await deliver(port, iter(deliveries), told)
    assert raised.value.split((ConnectionError, asyncio.IncompleteReadError))[1] is None
    begun_before, handled_before = killed.lines("begun"), killed.lines("handled")
    assert len(handled_before) < len(acknowledged) < MESSAGES

    async with killed.running() as port:
        # Landbot makes all deliveries again that it saw no 2xx for, and some that it had.
        await deliver(port, iter(deliveries), taken)
        await until(lambda: len({text for text, _ in killed.lines("handled")}) == MESSAGES)

    begun = Counter(text for text, _ in killed.lines("begun"))
    twice = {text for text, times in begun.items() if times > 1}
    assert begun.keys() == {each.text for each in deliveries} >= acknowledged
    assert max(begun.values()) <= 2
    # Handlers were running for these, or had ended so shortly before the kill that the deletion was not yet written.
    running = {text for text, _ in begun_before} - {text for text, _ in handled_before}
    assert len(running) <= 16
    assert running <= twice <= running | {text for text, _ in handled_before[-200:]}
    assert {text for text, redelivered in killed.lines("begun") if redelivered} >= twice


STOPPED = """
import os, socket, sys
import anyio, uvicorn
from aiohttp import web
from landbot_async.webhooks import Inbox, TextMessage

_, file, log, server, seconds = sys.argv
inbox = Inbox(os.environ["LANDBOT_HOOK_TOKEN"], durable=file, settle=0.05, queue_size=5000, handler_timeout=3600)
log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@inbox.on(TextMessage)
async def take(message):
    await anyio.sleep(float(seconds))
    os.write(log, f"handled {message.text} {message.redelivered}\\n".encode())

async def finish():
    async with inbox:
        await inbox.idle()

async def opened(app):
    async with inbox:
        yield

if server == "none":
    anyio.run(finish)
else:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        print(listening.getsockname()[1], flush=True)
        if server == "uvicorn":
            uvicorn.Server(uvicorn.Config(inbox, log_level="critical", ws="none")).run(sockets=[listening])
        else:
            app = web.Application()
            app.cleanup_ctx.append(opened)
            app.router.add_post("/landbot", inbox.aiohttp)
            web.run_app(app, sock=listening, access_log=None, print=None, shutdown_timeout=60)
"""


@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize(
    ("server", "signals"),
    [("uvicorn", (signal.SIGTERM, signal.SIGTERM)), ("aiohttp", (signal.SIGINT, signal.SIGTERM))],
)
async def test_stopped_twice_nothing_acknowledged_is_lost(
    tmp_path: Path, server: str, signals: tuple[signal.Signals, ...]
) -> None:
    """Handlers take longer than anybody waits, so a second signal meets them all."""
    stopped, acknowledged, to_send = Killed(tmp_path, STOPPED), set[str](), [*signals]

    async def told(each: Made, status: int) -> None:
        acknowledged.update([each.text] * (status == 200))  # after the first signal it may be 503
        if len(acknowledged) == 100 and to_send:
            to_send.clear()
            with anyio.CancelScope(shield=True):  # other connections may break meanwhile
                for number in signals:
                    with contextlib.suppress(ProcessLookupError):  # on a busy machine it may have ended by the second
                        stopped.process.send_signal(number)
                    await sleep(0.1)

    with pytest.raises(ExceptionGroup) as raised:
        async with stopped.running(server, "600") as port:
            await deliver(port, iter(made(0.3, 3, seed=5)), told)
    assert raised.value.split((ConnectionError, asyncio.IncompleteReadError))[1] is None
    assert 100 <= len(acknowledged) < MESSAGES
    assert not stopped.log.read_text()
    await anyio.run_process(stopped.arguments("none", "0"), env=stopped.environment)
    handled = Counter(text for text, _ in stopped.lines("handled"))
    assert handled.keys() >= acknowledged
    assert set(handled.values()) == {1}
