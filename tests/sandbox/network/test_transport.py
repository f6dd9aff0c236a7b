"""The way to the sandbox and back: time, the limit, faults and cancellation."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
import pytest

from landbot_async.sandbox.apis.platform import Platform
from landbot_async.sandbox.clock import Clock
from landbot_async.sandbox.feed import Feed
from landbot_async.sandbox.network.faults import Fault, FaultName, Faults
from landbot_async.sandbox.network.network import Network
from landbot_async.sandbox.network.transport import SandboxTransport
from landbot_async.sandbox.network.windows import Off, Sliding, Window
from landbot_async.sandbox.pace import Pace
from landbot_async.sandbox.workspace.workspace import Workspace

BASE = "https://sandbox.invalid/v1"
SEND = "/customers/1/send_text/"
TOKEN = {"authorization": "Token T"}


class Wire:
    """A transport with all its parts in reach, and a plain httpx client on it."""

    def __init__(
        self, *, window: Callable[[], Window] = Off, latency: float = 0.0, jitter: float = 0.0, seed: int = 0
    ) -> None:
        self.workspace = Workspace(customers=3, seed=0)
        self.faults = Faults(0)
        self.network = Network(
            [Platform(self.workspace, "T")],
            window,
            self.faults,
            Clock(0.0),
            Feed(),
            pace=Pace(latency=latency, jitter=jitter, realistic=False, seed=seed),
        )
        self.http = httpx.AsyncClient(transport=SandboxTransport(self.network), headers=TOKEN, timeout=None)

    def fault(self, what: int | FaultName, times: int | None = 1, *, after: bool = False) -> None:
        self.faults.plan(Fault(what, times, 1.0, None, None, after))

    async def send(self, **options: Any) -> httpx.Response:
        return await self.http.post(BASE + SEND, json={"message": "Hi"}, **options)

    async def get(self, path: str = "/customers/", **options: Any) -> httpx.Response:
        return await self.http.get(BASE + path, **options)


class Trace:
    """The names of the wire's events."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def __call__(self, name: str, info: dict[str, object]) -> None:
        self.names.append(name)


@pytest.mark.anyio
async def test_a_request_and_its_answer() -> None:
    wire = Wire()
    answer = await wire.get(params={"limit": 1, "offset": 1})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert [row["id"] for row in answer.json()["customers"]] == [2]
    assert (wire.network.received, wire.network.refused) == (1, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["https://sandbox.invalid/v2/customers/", "https://sandbox.invalid/customers/", BASE])
async def test_nothing_is_beside_the_base_path(url: str) -> None:
    answer = await Wire().http.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html")


@pytest.mark.anyio
async def test_a_body_that_comes_in_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"message": '
        await anyio.sleep(2)
        yield b'"Hi"}'

    wire = Wire()
    assert (await wire.http.post(BASE + SEND, content=pieces())).status_code == 200
    # It has arrived when its last piece has.
    (sent,) = wire.workspace.sent
    assert sent.text == "Hi"
    assert sent.at == pytest.approx(2.0)


# Time


@pytest.mark.anyio
@pytest.mark.parametrize("latency", [0.0, 0.4, 30.0])
async def test_latency_is_for_both_ways(latency: float) -> None:
    wire = Wire(latency=latency)
    begin = anyio.current_time()
    await wire.send()
    assert anyio.current_time() - begin == pytest.approx(latency)
    assert wire.workspace.sent[0].at - begin == pytest.approx(latency / 2)


async def trips(seed: int) -> list[tuple[float, float]]:
    wire = Wire(latency=0.2, jitter=0.1, seed=seed)
    found: list[tuple[float, float]] = []
    for number in range(50):
        begin = anyio.current_time()
        await wire.send()
        there = wire.workspace.sent[number].at - begin
        found.append((round(there, 6), round(anyio.current_time() - begin - there, 6)))
    return found


@pytest.mark.anyio
async def test_jitter_spreads_each_way_evenly() -> None:
    ways = [way for trip in await trips(0) for way in trip]
    assert all(0.1 <= way <= 0.2 for way in ways)
    assert len(set(ways)) > 90
    assert sum(ways) / len(ways) == pytest.approx(0.15, abs=0.01)


@pytest.mark.anyio
async def test_jitter_can_be_repeated() -> None:
    assert await trips(1) == await trips(1)
    assert await trips(1) != await trips(2)


@pytest.mark.anyio
async def test_requests_travel_side_by_side() -> None:
    wire = Wire(latency=1.0)
    begin = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(wire.send)
    assert anyio.current_time() - begin == pytest.approx(1.0)
    assert len(wire.workspace.sent) == 20


@pytest.mark.anyio
async def test_others_run_meanwhile_even_without_latency() -> None:
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await Wire().get()
        assert ran == ["other"]


# The limit


@pytest.mark.anyio
async def test_the_limit_refuses_as_documented() -> None:
    wire = Wire(window=lambda: Sliding(2, 1.0))
    answers = [await wire.send() for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 429]
    assert answers[2].content == b'{"errors": {"rate": ["Too many requests"]}}'
    assert answers[2].headers["content-type"] == "application/json"
    assert "retry-after" not in answers[2].headers
    assert (wire.network.received, wire.network.refused) == (5, 3)
    assert len(wire.workspace.sent) == 2
    await anyio.sleep(1.0)
    assert (await wire.send()).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("stranger", [{"authorization": "Token no"}, {"authorization": ""}])
async def test_strangers_do_not_count(stranger: dict[str, str]) -> None:
    wire = Wire(window=lambda: Sliding(2, 1.0))
    assert [(await wire.get(headers=stranger)).status_code for _ in range(20)] == [401] * 20
    assert (wire.network.received, wire.network.refused) == (20, 0)
    assert [(await wire.get()).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.anyio
async def test_no_token_at_all() -> None:
    wire = Wire()
    del wire.http.headers["authorization"]
    answer = await wire.get()
    assert (answer.status_code, answer.json()) == (401, {"detail": "Authentication credentials were not provided."})


@pytest.mark.anyio
async def test_what_fails_counts_against_the_limit() -> None:
    wire = Wire(window=lambda: Sliding(3, 1.0))
    paths = ["/nowhere/", "/customers/99/", "/customers/1/archive/", "/customers/"]
    assert [(await wire.get(path)).status_code for path in paths] == [404, 404, 405, 429]


@pytest.mark.anyio
async def test_it_is_the_arrival_that_counts() -> None:
    wire = Wire(window=lambda: Sliding(1, 1.0), latency=4.0)
    assert (await wire.get()).status_code == 200
    assert (await wire.get()).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/customers/1/send_text/", "/nowhere/"])
async def test_a_firewall_stands_before_all(path: str) -> None:
    wire = Wire(window=lambda: Sliding(1, 100.0))
    wire.fault(503)
    for token in (TOKEN, {"authorization": "Token no"}):
        answer = await wire.http.post(BASE + path, json={"message": "Hello #{name}"}, headers=token)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "text/html")
    # It neither counts against the limit nor meets a fault.
    assert (await wire.send()).status_code == 503
    assert (await wire.send()).status_code == 429
    assert not wire.workspace.sent


# Faults


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("what", "after", "done", "received", "error"),
    [
        (503, False, False, 1, None),
        (503, True, True, 1, None),
        (400, False, False, 1, None),
        ("lost_answer", False, True, 1, httpx.ReadError),
        ("cut", False, False, 1, httpx.ReadError),
        ("refused", False, False, 0, httpx.ConnectError),
    ],
)
async def test_fault(
    what: int | FaultName, after: bool, done: bool, received: int, error: type[Exception] | None
) -> None:
    wire = Wire(latency=1.0)
    wire.fault(what, after=after)
    begin = anyio.current_time()
    if error is None:
        answer = await wire.send()
        assert (answer.status_code, list(answer.json())) == (what, ["errors"])
    else:
        with pytest.raises(error, match="the sandbox"):
            await wire.send()
    # Where nobody listens, nothing travels.
    assert anyio.current_time() - begin == pytest.approx(1.0 * received)
    assert len(wire.workspace.sent) == done
    assert wire.network.received == received
    assert (await wire.send()).status_code == 200


@pytest.mark.anyio
async def test_a_429_on_demand_looks_like_the_limits() -> None:
    wire = Wire()
    wire.fault(429)
    answer = await wire.send()
    assert (answer.status_code, answer.content) == (429, b'{"errors": {"rate": ["Too many requests"]}}')
    # But it is not the limit's.
    assert wire.network.refused == 0
    assert not wire.workspace.sent


@pytest.mark.anyio
async def test_a_rule_speaks_before_an_answer_is_lost() -> None:
    wire = Wire()
    wire.workspace.customer(1).blocked = True
    wire.fault("lost_answer")
    with pytest.raises(httpx.ReadError):
        await wire.send()
    assert not wire.workspace.sent


@pytest.mark.anyio
@pytest.mark.parametrize("what", [503, "lost_answer"])
async def test_what_the_limit_refuses_meets_no_fault(what: int | FaultName) -> None:
    wire = Wire(window=lambda: Sliding(1, 1.0))
    await wire.send()
    wire.fault(what, times=1, after=what == 503)
    assert (await wire.send()).status_code == 429
    await anyio.sleep(1.0)
    # It waited for a request that comes through.
    try:
        assert (await wire.send()).status_code == 503
    except httpx.ReadError:
        assert what == "lost_answer"
    await anyio.sleep(1.0)
    assert (await wire.send()).status_code == 200
    assert len(wire.workspace.sent) == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("refused", ["connection.connect_tcp.started", "connection.connect_tcp.failed"]),
        ("cut", ["http11.send_request_headers.started"]),
        ("lost_answer", ["http11.send_request_headers.started"]),
    ],
)
async def test_the_trace_tells_what_was_sent(what: FaultName, names: list[str]) -> None:
    wire, trace = Wire(), Trace()
    wire.fault(what)
    with pytest.raises(httpx.TransportError):
        await wire.send(extensions={"trace": trace})
    assert trace.names == names


# Cancellation


@pytest.mark.anyio
@pytest.mark.parametrize(("after", "arrived"), [(0.0, 0), (0.4, 0), (0.6, 1)])
async def test_cancelled_on_the_way(after: float, arrived: int) -> None:
    """Before it arrives nothing has happened; once it has, all of it has."""
    wire = Wire(window=lambda: Sliding(1, 100.0), latency=1.0)
    with anyio.move_on_after(after) as scope:
        await wire.send()
    assert scope.cancelled_caught
    await anyio.sleep(10)
    assert (wire.network.received, wire.network.refused) == (arrived, 0)
    assert len(wire.workspace.sent) == arrived
    # Its place in the window is taken only if it arrived.
    assert (await wire.send()).status_code == (429 if arrived else 200)


@pytest.mark.anyio
@pytest.mark.parametrize(("after", "statuses"), [(0.4, [503, 200]), (0.6, [200, 200])])
async def test_cancelled_before_it_arrives_it_uses_up_no_fault(after: float, statuses: list[int]) -> None:
    wire = Wire(latency=1.0)
    wire.fault(503)
    with anyio.move_on_after(after):
        await wire.send()
    assert [(await wire.send()).status_code for _ in range(2)] == statuses


@pytest.mark.anyio
async def test_cancelled_before_it_begins_even_without_latency() -> None:
    wire = Wire()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await wire.send()
    assert scope.cancelled_caught
    assert wire.network.received == 0


@pytest.mark.anyio
@pytest.mark.parametrize(("patience", "done"), [(0.4, 0), (0.9, 1)])
async def test_an_attempt_has_a_time_out(patience: float, done: int) -> None:
    """It may end before the request arrives, or before its answer does."""
    wire = Wire(latency=1.0)
    begin = anyio.current_time()
    with pytest.raises(httpx.ReadTimeout, match="the sandbox"):
        await wire.send(timeout=patience)
    assert anyio.current_time() - begin == pytest.approx(patience)
    await anyio.sleep(10)
    assert len(wire.workspace.sent) == done
    assert (await wire.send(timeout=httpx.Timeout(0.1, read=1.1))).status_code == 200


@pytest.mark.anyio
async def test_half_a_body() -> None:
    wire = Wire()
    wire.fault("half_body", times=2)
    with pytest.raises(httpx.RemoteProtocolError, match="the sandbox"):
        await wire.send()
    assert len(wire.workspace.sent) == 1
    async with wire.http.stream("GET", BASE + "/customers/") as answer:
        received = b""
        with pytest.raises(httpx.RemoteProtocolError):
            async for piece in answer.aiter_raw():
                received += piece
    assert (answer.status_code, len(received)) == (200, int(answer.headers["content-length"]) // 2)


@pytest.mark.anyio
async def test_nothing_has_no_half() -> None:
    wire = Wire()
    wire.fault("half_body")
    with pytest.raises(httpx.ReadError):
        await wire.http.delete(BASE + "/customers/1/")
    assert 1 not in wire.workspace.customers


@pytest.mark.anyio
@pytest.mark.parametrize("after", [False, True])
async def test_a_page_of_something_else(after: bool) -> None:
    wire = Wire()
    wire.fault("html", after=after)
    answer = await wire.send()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert len(wire.workspace.sent) == after


@pytest.mark.anyio
@pytest.mark.parametrize(("what", "status"), [("latency", 200), (503, 503)])
async def test_late(what: int | FaultName, status: int) -> None:
    """The work is done in time; the answer is what comes late."""
    wire = Wire(latency=1.0)
    wire.faults.plan(Fault(what, 1, 1.0, None, None, after_the_work=what == 503, latency=3.0))
    begin = anyio.current_time()
    assert (await wire.send()).status_code == status
    assert anyio.current_time() - begin == pytest.approx(4.0)
    assert wire.workspace.sent[0].at - begin == pytest.approx(0.5)


@pytest.mark.anyio
@pytest.mark.parametrize("what", [503, "html"])
async def test_a_fault_beside_the_api(what: int | FaultName) -> None:
    wire = Wire()
    wire.fault(what)
    assert (await wire.http.get("https://sandbox.invalid/else")).status_code == (503 if what == 503 else 200)
