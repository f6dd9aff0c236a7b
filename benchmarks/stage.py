"""Shared parts of the benchmarks: virtual time, servers in another process, customers as Landbot sends them, tables."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import re
import selectors
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, cast

from landbot_async.sandbox.network.windows import WINDOWS, Gcra, Window

RATE, PER = 10, 1.0
TOKEN = "0123456789abcdef0123456789abcdef01234567"  # no secret: 40 hex digits like Landbot's

ACCEPTED = b'{"success":true}'
REFUSED = b'{"errors":{"rate":["Too many requests"]}}'


# Windows


class Count(NamedTuple):
    """Counts of one server: accepted, refused, the share of ten a second, and the most that came in any second."""

    accepted: int
    refused: int
    share: float
    most: int


class StrictGcra(Gcra):
    """A leaky bucket without a burst: no two requests may be closer than the gap."""

    def __init__(self, rate: int, per: float) -> None:
        super().__init__(rate, per)
        self._depth = self._gap


# Every way to count ten requests a second that the benchmarks use, by name.
COUNTING: Final[Mapping[str, Callable[[int, float], Window]]] = {
    "sliding": WINDOWS["sliding"],
    "counting": WINDOWS["counting"],
    "fixed": WINDOWS["fixed"],
    "gcra(10)": WINDOWS["gcra"],
    "gcra(1)": StrictGcra,
    "off": WINDOWS["off"],
}


class Arrivals:
    """A window, and the requests that reached it."""

    def __init__(self, window: str) -> None:
        self._window = COUNTING[window](RATE, PER)
        self._all: list[float] = []
        self._accepted = 0

    def admit(self, now: float) -> bool:
        """Return true if a request that arrives at `now` is accepted."""
        accepted = self._window.admit(now)
        self._all.append(now)
        self._accepted += accepted
        return accepted

    def count(self) -> Count:
        """Return the counts so far. The share is taken from the first arrival to the last."""
        most, first = 0, 0
        between = self._all[-1] - self._all[0] if self._all else 0.0
        for index, now in enumerate(self._all):
            while self._all[first] <= now - PER:
                first += 1
            most = max(most, index - first + 1)
        share = (self._accepted - 1) / between / (RATE / PER) if between else 0.0
        return Count(self._accepted, len(self._all) - self._accepted, share, most)


# Virtual time


class _NoWaiting(selectors.DefaultSelector):
    """A selector that advances the clock instead of waiting.

    A turn of the loop takes a microsecond: some limiters go round until the clock has moved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(timeout or 0.0, 1e-6)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that never waits: ten minutes of requests take seconds, and each run with a seed is the same."""

    def __init__(self) -> None:
        self._virtual = _NoWaiting()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.now


# Servers


class _Server:
    """One address and its window. It decides when a request has arrived completely."""

    def __init__(self, window: str, found: bytes) -> None:
        self.arrivals = Arrivals(window)
        self._created, self._found = _answer(b"200 OK", ACCEPTED), _answer(b"200 OK", found)
        self.refused = _answer(b"429 Too Many Requests", REFUSED)

    def answer(self, request: bytes) -> bytes:
        if not self.arrivals.admit(time.monotonic()):
            return self.refused
        return self._found if request.startswith(b"GET") else self._created


class _Http(asyncio.Protocol):
    """A minimal HTTP/1.1 with keep-alive."""

    def __init__(self, server: _Server, takes: tuple[float, float]) -> None:
        self._server, self._takes = server, takes
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head := self._received.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"content-length: *(\d+)", self._received[:head], re.IGNORECASE)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._received) < end:
                break
            request = bytes(self._received[:end])
            del self._received[:end]
            answer = self._server.answer(request)
            if self._takes[1] and answer is not self._server.refused:
                asyncio.get_running_loop().call_later(random.uniform(*self._takes), self._transport.write, answer)
            else:
                self._transport.write(answer)


def _answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


async def _serve(names: Sequence[str], found: bytes, takes: tuple[float, float], pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    servers = [_Server(name, found) for name in names]
    listening = [
        await loop.create_server(partial(_Http, server, takes), "127.0.0.1", 0, backlog=1024) for server in servers
    ]
    pipe.send([each.sockets[0].getsockname()[1] for each in listening])
    while await asyncio.to_thread(pipe.recv):
        pipe.send([server.arrivals.count() for server in servers])


def _run_servers(names: Sequence[str], found: bytes, takes: tuple[float, float], pipe: Connection) -> None:
    asyncio.run(_serve(names, found, takes, pipe))


class Servers:
    """A server for each window, all in one other process, so that client and servers do not block each other.

    A response takes a time between the two in `takes` (seconds); a refusal comes at once.
    """

    def __init__(
        self, names: Sequence[str], found: bytes = ACCEPTED, *, takes: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run_servers, args=(names, found, takes, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.base_urls = [f"http://127.0.0.1:{port}/v1/" for port in self._pipe.recv()]
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pipe.send(False)
        self._process.join()

    def counts(self) -> list[Count]:
        """Return the counts of each server so far."""
        self._pipe.send(True)
        counts: list[Count] = self._pipe.recv()
        return counts


# Customers


def customer(number: int) -> dict[str, Any]:
    """Return a customer as Landbot sends one: the usual keys, and two custom fields shown twice."""
    city, plan = ("València", "Barcelona", "Sevilla")[number % 3], ("free", "team")[number % 2]
    return {
        "id": 100_000 + number,
        "name": f"Ava Chen {number}",
        "channel_id": 9,
        "agent_id": None if number % 4 else 31,
        "archived": False,
        "unread": number % 2 == 0,
        "email": None if number % 3 else f"ava.{number}@example.com",
        "phone": f"34696{number:06d}",
        "opt_in": True,
        "blocked": False,
        "last_message": 1747943104.006807 + number,
        "register_date": 1485789228 + number,
        "avatar": None,
        "meta_data": {"api_payload": ""},
        "custom_fields": {
            "city": {"name": "city", "type": "string", "value": city},
            "plan": {"name": "plan", "type": "string", "value": plan},
        },
        "city": city,
        "plan": plan,
    }


# Reports


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns, the first aligned left and the others right."""
    texts = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    print(f"\n{title}")
    for index, row in enumerate(texts):
        cells = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())
        if index == 0:
            print("  " + "  ".join("-" * width for width in widths))


class Target(NamedTuple):
    """A target and the measured value."""

    promise: str
    measured: str
    met: bool


def verdict(targets: Sequence[Target]) -> None:
    """Print every target with its result."""
    table(
        "Targets",
        ["promise", "measured", "verdict"],
        [[target.promise, target.measured, "met" if target.met else "MISSED"] for target in targets],
    )
    missed = sum(not target.met for target in targets)
    print(f"\n{len(targets) - missed} of {len(targets)} targets met.")
