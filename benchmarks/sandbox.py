"""Requests per second that the served sandbox handles, and the time it takes to make up many customers.

* Requests a second: `landbot sandbox --window off` in a process of its own on one core, as users start it (plain
  uvicorn, neither httptools nor uvloop), asked by 16 connections from another core that send their next request when
  the last is answered. Beside it the least that any ASGI application can do: one that answers the same bytes to
  everything, on the same server and the same core. CPU is the server's own, so that other programs do not count: the
  target is judged by it, because a busy machine gives a server only part of its core.
* Seeding: `Sandbox(customers=100_000)`, in fresh processes.

Rounds are interleaved and medians are taken, because machines are noisy. Not measured: TLS, a page that looks on, hooks
that are told.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from stage import TOKEN, Target, table, verdict

# The targets.
LEAST_REQUESTS: Final = 1000  # a second, on one core
MOST_SEEDING: Final = 5.0  # seconds for 100,000 customers

CONNECTIONS: Final = 16
LENGTH: Final = re.compile(rb"content-length: (\d+)")


class Kind(NamedTuple):
    """A request that is repeated."""

    name: str
    method: str
    path: str
    body: bytes = b""

    def encoded(self) -> bytes:
        """Return the request as bytes on the wire."""
        head = (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


KINDS: Final = (
    Kind("GET a customer", "GET", "/v1/customers/42/"),
    Kind("GET a page of 20 customers", "GET", "/v1/customers/?offset=500&limit=20"),
    Kind("POST send_text", "POST", "/v1/customers/42/send_text/", b'{"message": "Hello from the API"}'),
)


# Servers


class Served:
    """A server in a process of its own, on the first core."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {**os.environ, "LANDBOT_API_TOKEN": TOKEN}
        self._process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert self._process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self._process.stdout.readline())
        if found is None:
            raise RuntimeError("the server did not start")
        self.port = int(found[1])
        os.sched_setaffinity(self._process.pid, {min(os.sched_getaffinity(0))})

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        with open(f"/proc/{self._process.pid}/stat", encoding="ascii") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """Stop the server."""
        self._process.terminate()
        self._process.communicate()


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the smallest possible ASGI application."""
    body = b'{"success": true}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve_bare() -> None:
    """Serve it as the sandbox is served."""
    import uvicorn  # noqa: PLC0415  # only the process that serves needs it
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415  # as above

    from landbot_async.sandbox.server.uvicorn_server import listen  # noqa: PLC0415  # as above

    listening = listen("127.0.0.1", 0)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
    config = uvicorn.Config(bare, http=H11Protocol, loop="asyncio", log_config=None, access_log=False, lifespan="off")
    uvicorn.Server(config).run([listening])


# Load


class _Client(asyncio.Protocol):
    """A client that sends the next request when it has the response."""

    def __init__(self, request: bytes) -> None:
        self._request, self._received = request, b""
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        transport.write(self._request)  # type: ignore[attr-defined]  # a socket's transport writes

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < int(LENGTH.search(head)[1]):  # type: ignore[index]  # every answer has a length
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        self.answers, self._received = self.answers + 1, b""
        self._transport.write(self._request)


async def _load(port: int, request: bytes, seconds: float) -> tuple[int, float]:
    """Return the number of responses and the seconds they took."""
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    pairs = [await loop.create_connection(lambda: _Client(request), "127.0.0.1", port) for _ in range(CONNECTIONS)]
    await asyncio.sleep(seconds)
    answers = sum(client.answers for _, client in pairs)
    taken = time.perf_counter() - begun
    for transport, _ in pairs:
        transport.close()
    return answers, taken


def measure_requests(rounds: int, seconds: float) -> list[Target]:
    cores = sorted(os.sched_getaffinity(0))
    options = ["--port", "0", "--customers", "1000", "--window", "off"]
    sandbox, least = Served(["-m", "landbot_async", "sandbox", *options]), Served([__file__, "--serve-bare"])
    os.sched_setaffinity(0, set(cores[1:]) or set(cores))
    runs = [(kind.name, sandbox, kind.encoded()) for kind in KINDS]
    runs.append(("the least: the same bytes to all", least, KINDS[0].encoded()))
    speeds: dict[str, list[float]] = {name: [] for name, _, _ in runs}
    costs: dict[str, list[float]] = {name: [] for name, _, _ in runs}
    try:
        for turn in range(rounds + 1):
            for name, server, request in runs:
                before = server.cpu()
                answers, taken = asyncio.run(_load(server.port, request, seconds if turn else 0.3))
                if turn:  # the first warms up
                    speeds[name].append(answers / taken)
                    costs[name].append((server.cpu() - before) / answers)
    finally:
        sandbox.end()
        least.end()
        os.sched_setaffinity(0, set(cores))
    speed = {name: statistics.median(all_of_it) for name, all_of_it in speeds.items()}
    rows = [[name, f"{speed[name]:,.0f}", f"{statistics.median(costs[name]) * 1e6:.0f} µs"] for name in speeds]
    table(f"Requests a second on one core (medians of {rounds} rounds)", ["", "requests/s", "CPU each"], rows)
    slowest = 1 / max(statistics.median(costs[kind.name]) for kind in KINDS)
    promise = f"at least {LEAST_REQUESTS:,} requests in a second of one core's time, with the limit off"
    return [Target(promise, f"{slowest:,.0f}", slowest >= LEAST_REQUESTS)]


# Seeding


def measure_seeding(rounds: int) -> list[Target]:
    code = (
        "import time; from landbot_async.sandbox import Sandbox; Sandbox; begun = time.perf_counter()\n"
        "Sandbox(customers=100_000); print(time.perf_counter() - begun)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(rounds)
    ]
    taken = statistics.median(times)
    table(f"Seeding (median of {rounds})", ["", "seconds"], [["100,000 customers", f"{taken:.2f}"]])
    return [Target(f"100,000 customers in under {MOST_SEEDING:g} s", f"{taken:.2f} s", taken < MOST_SEEDING)]


def main() -> None:
    parser = argparse.ArgumentParser(description="How much the served sandbox takes.")
    parser.add_argument("--quick", action="store_true", help="a fast look: fewer and shorter rounds")
    parser.add_argument("--serve-bare", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve_bare:
        serve_bare()
        return
    quick: bool = given.quick
    verdict([*measure_requests(3 if quick else 9, 1.0 if quick else 3.0), *measure_seeding(1 if quick else 5)])


if __name__ == "__main__":
    main()
