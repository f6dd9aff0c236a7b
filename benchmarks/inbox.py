"""Deliveries per second and how soon they are acknowledged: an `Inbox` beside a route that only reads the body.

* Each server is uvicorn in a process of its own on 127.0.0.1; the deliveries come from this process over 50 connections
  that are kept open, each making its next one when the last is acknowledged. So the servers are always busy, and the
  times are mostly waiting for the others' turns: the worst that can be asked of them.
* The bare route is a function of Starlette's that awaits `request.body()` and answers 200 with nothing.
* The inbox stands in Starlette too. It checks the token, reads the message, drops duplicates, sorts, and calls a
  handler that counts: all of that is in its time, since one core does it all. Each delivery is a new message.
* The durable inbox does the same with every message on disk (fsync) before its 2xx, so it is as fast as the disk.
* Memory: what a process holds after 100,000 deliveries, when the memory of what was seen is full, and 100,000 later.

Rounds are interleaved (bare, inbox, bare, inbox …) and ratios are taken within each, because machines are noisy.
`--parser` chooses uvicorn's HTTP reader: h11, which a plain install has, or the faster httptools, which makes all else
weigh more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import uvicorn
from stage import Target, table, verdict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from landbot_async.webhooks import Inbox, TextMessage

TOKEN = "hook-0123456789abcdef"  # no secret
CONNECTIONS = 50
CUSTOMERS = 500

# The targets.
LEAST_SHARE = 0.7  # of the bare route's deliveries per second
MOST_P99 = 2.0  # times the bare route's
MOST_MEMORY = 3e6  # bytes for 100,000 more deliveries

Kind = Literal["bare route", "inbox", "durable inbox"]
Parser = Literal["h11", "httptools"]


def message(number: int) -> bytes:
    """Return the documented delivery of a text, from one of some hundred customers."""
    customer, at = 473548616 + number % CUSTOMERS, 1747943104.006807 + number / 1000
    body = {
        "type": "text",
        "timestamp": at,
        "data": {"body": f"hello world {number}"},
        "sender": {"id": customer, "name": f"Visitor #{customer}", "type": "customer"},
        "customer": {
            "id": customer,
            "agent_id": None,
            "archived": False,
            "name": "Ava",
            "country": "Spain",
            "is_external": "False",
            "webchat_type": "Native",
            "url": "https://shop.example/",
            "city": "València",
        },
        "channel": {"id": 2955840, "name": "New bot", "type": "landbot"},
        "_raw": {
            "uuid": f"f00627c8-0000-4000-8000-{number:012}",
            "type": "text",
            "chat": 473716610,
            "channel": 2955840,
            "timestamp": at,
            "author_type": "user",
            "author_uuid": None,
            "read": False,
            "seq": None,
            "rich_text": None,
            "message": f"hello world {number}",
            "extra": {},
            "ui_key": None,
        },
    }
    return json.dumps({"messages": [body]}).encode()


def trace(number: int) -> str:
    return f"{number:032x}-{number:016x}-1"


# Servers


class Counting:
    """An inbox whose handler counts."""

    def __init__(self, durable: str | None) -> None:
        self.inbox = Inbox(TOKEN, durable=durable, queue_size=50_000)
        self.count = 0
        self.inbox.on(TextMessage)(self.take)

    async def take(self, _: TextMessage) -> None:
        self.count += 1


async def _bare(request: Request) -> Response:
    await request.body()
    return Response()


def _run_server(kind: Kind, parser: Parser, durable: str | None, pipe: Connection) -> None:
    counting = Counting(durable)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with counting.inbox:
            asyncio.get_running_loop().add_reader(pipe.fileno(), tell)
            yield

    def tell() -> None:
        if pipe.recv():
            pipe.send(Spent(counting.count, time.process_time()))
        else:
            server.should_exit = True

    app = Starlette(lifespan=lifespan)
    if kind == "bare route":
        app.add_route("/landbot", _bare, methods=["POST"])
    else:
        app.add_route("/landbot", counting.inbox)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none", http=parser))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        pipe.send(listening.getsockname()[1])
        server.run(sockets=[listening])


class Spent(NamedTuple):
    """Counts of a server so far."""

    handled: int
    cpu: float  # seconds


class Server:
    """One of the servers, in its own process."""

    def __init__(self, kind: Kind, parser: Parser, durable: Path | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        path = None if durable is None else str(durable)
        self._process = context.Process(target=_run_server, args=(kind, parser, path, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.port: int = self._pipe.recv()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pipe.send(False)
        self._process.join()

    def spent(self) -> Spent:
        """Return its counts so far."""
        self._pipe.send(True)
        spent: Spent = self._pipe.recv()
        return spent


# The load


class _Client(asyncio.Protocol):
    """A connection that makes one delivery after another."""

    def __init__(self, requests: list[bytes], times: list[float], done: asyncio.Future[None]) -> None:
        self._requests, self._times, self._done = requests, times, done

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._times.append(time.perf_counter() - self._begun)
        # An answer without a body comes in one piece.
        if not data.startswith(b"HTTP/1.1 200"):
            self._done.set_exception(RuntimeError(data[:80].decode("latin-1")))
        else:
            self._next()

    def _next(self) -> None:
        if self._requests:
            self._begun = time.perf_counter()
            self._transport.write(self._requests.pop())
        else:
            self._transport.close()
            self._done.set_result(None)


class Round(NamedTuple):
    """The result of one round."""

    rate: float  # deliveries per second
    median: float  # seconds until the acknowledgement
    p99: float
    cpu: float = 0.0  # seconds of the server's for a delivery, its handler included


async def _deliver(port: int, first: int, count: int) -> Round:
    requests: list[bytes] = []
    for number in reversed(range(first, first + count)):
        body = message(number)
        head = (
            f"POST /landbot HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: landbot/webhooks\r\n"
            f"Content-Type: application/json\r\nAuthorization: Token {TOKEN}\r\nsentry-trace: {trace(number)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    loop, times = asyncio.get_running_loop(), list[float]()
    done = [loop.create_future() for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    for each in done:
        await loop.create_connection(partial(_Client, requests, times, each), "127.0.0.1", port)
    await asyncio.gather(*done)
    taken = time.perf_counter() - begun
    return Round(count / taken, statistics.median(times), statistics.quantiles(times, n=100)[98])


def _round(server: Server, kind: Kind, first: int, count: int) -> Round:
    before = server.spent()
    found = asyncio.run(_deliver(server.port, first, count))
    if kind != "bare route":
        deadline = time.monotonic() + 60
        while (missing := first + count - server.spent().handled) > 0:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{missing} messages were not handled")
            time.sleep(0.01)
    return found._replace(cpu=(server.spent().cpu - before.cpu) / count)


def measure_rates(rounds: int, count: int, parser: Parser) -> list[Target]:
    kinds: tuple[Kind, ...] = ("bare route", "inbox", "durable inbox")
    found: dict[Kind, list[Round]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        file = Path(directory) / "inbox.db"
        servers: dict[Kind, Server] = {
            kind: stack.enter_context(Server(kind, parser, file if kind == "durable inbox" else None)) for kind in kinds
        }
        for turn in range(rounds + 1):
            for kind, server in servers.items():
                taken = _round(server, kind, turn * count, count)
                if turn:  # the first warms up
                    found[kind].append(taken)
    rows: list[list[str]] = []
    for kind, each in found.items():
        share, slower = _beside(each, found["bare route"])
        rate, median, p99, cpu = (statistics.median(one[column] for one in each) for column in range(4))
        times = [f"{median * 1e3:.1f} ms", f"{p99 * 1e3:.1f} ms", f"{slower:.2f}", f"{cpu * 1e6:.0f} µs"]
        rows.append([kind, f"{rate:,.0f}", f"{share:.2f}", *times])
    head = ["", "deliveries/s", "share", "median", "p99", "times bare", "CPU"]
    table(f"Over {CONNECTIONS} connections, {parser} (medians of {rounds} rounds of {count})", head, rows)
    share, slower = _beside(found["inbox"], found["bare route"])
    return [
        Target(
            f"at least {LEAST_SHARE} of the bare route's deliveries ({parser})", f"{share:.2f}", share >= LEAST_SHARE
        ),
        Target(f"p99 of the acknowledgement within {MOST_P99} times its", f"{slower:.2f}", slower <= MOST_P99),
    ]


def _beside(taken: Sequence[Round], bare: Sequence[Round]) -> tuple[float, float]:
    pairs = list(zip(taken, bare, strict=True))
    return statistics.median(a.rate / b.rate for a, b in pairs), statistics.median(a.p99 / b.p99 for a, b in pairs)


# Memory


async def _held(before: int, more: int) -> list[int]:
    """Return the peak memory of this process in bytes, after so many deliveries and after so many more."""
    counting, sizes = Counting(None), list[int]()
    async with counting.inbox:
        number = 0
        for until in (before, before + more):
            while number < until:
                given = {"Authorization": f"Token {TOKEN}", "sentry-trace": trace(number)}
                # As fast as they are handled.
                if await counting.inbox.receive(message(number), given) == 200:
                    number += 1
                if number % 100 == 0:
                    await asyncio.sleep(0)
                if number - counting.count > 2000:
                    await asyncio.sleep(0.01)
            sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    if counting.count != before + more:
        raise RuntimeError(f"{counting.count} messages were handled of {before + more}")
    return sizes


def _measure_held(before: int, more: int) -> list[int]:
    return asyncio.run(_held(before, more))


def measure_memory(before: int, more: int) -> list[Target]:
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        first, last = pool.apply(_measure_held, (before, more))
    rows = [[f"{before:,}", f"{first / 1e6:.1f} MB"], [f"{before + more:,}", f"{last / 1e6:.1f} MB"]]
    table("Memory (RSS at the most)", ["deliveries", ""], rows)
    promise = f"{more:,} more deliveries take at most {MOST_MEMORY / 1e6:.0f} MB more"
    return [Target(promise, f"{(last - first) / 1e6:+.1f} MB", last - first <= MOST_MEMORY)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Deliveries per second and how soon they are acknowledged.")
    parser.add_argument("--quick", action="store_true", help="a fast look: fewer rounds and deliveries")
    parser.add_argument("--parser", choices=("h11", "httptools"), default="h11", help="uvicorn's HTTP reader")
    given = parser.parse_args()
    quick: bool = given.quick
    verdict(
        [
            *measure_rates(3 if quick else 15, 5000 if quick else 10_000, given.parser),
            *measure_memory(100_000, 10_000 if quick else 100_000),
        ]
    )


if __name__ == "__main__":
    main()
