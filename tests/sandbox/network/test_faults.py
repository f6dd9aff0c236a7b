"""Faults: their effects, how often and where."""

import contextlib
import re
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.network.faults import FAULTS, STATUS, Fault, FaultConnection, FaultKind, FaultName, Faults
from tests.sandbox.server.serving import asgi, served

SEND = "/customers/{customer_id}/send_text/"
LIST = "/customers/"


def fault(
    what: int | FaultName = 503,
    *,
    times: int | None = 1,
    probability: float = 1.0,
    method: str | None = None,
    route: str | None = None,
) -> Fault:
    return Fault(what, times, probability, method, route, after_the_work=False)


def planned(*faults: Fault, seed: int = 0) -> Faults:
    plan = Faults(seed)
    for each in faults:
        plan.plan(each)
    return plan


def struck(plan: Faults, count: int, method: str = "POST", route: str = SEND) -> list[int | str | None]:
    found = [plan.next(method, route) for _ in range(count)]
    return [None if each is None else each.what for each in found]


@pytest.mark.parametrize(("times", "expected"), [(1, 1), (3, 3), (None, 10)])
def test_times_count_down(times: int | None, expected: int) -> None:
    assert struck(planned(fault(times=times)), 10) == [503] * expected + [None] * (10 - expected)


def test_one_after_the_other_as_planned() -> None:
    plan = planned(fault("cut", times=2), fault("lost_answer"), fault(500))
    assert struck(plan, 5) == ["cut", "cut", "lost_answer", 500, None]


@pytest.mark.parametrize(
    ("method", "route", "strikes"),
    [
        (None, None, {("POST", SEND), ("GET", LIST), ("GET", SEND)}),
        ("POST", None, {("POST", SEND)}),
        (None, LIST, {("GET", LIST)}),
        ("GET", SEND, {("GET", SEND)}),
        ("DELETE", LIST, set[tuple[str, str]]()),
    ],
)
def test_filters(method: str | None, route: str | None, strikes: set[tuple[str, str]]) -> None:
    asked = (("POST", SEND), ("GET", LIST), ("GET", SEND))
    found = {each for each in asked if planned(fault(method=method, route=route)).next(*each)}
    assert found == strikes


def test_a_request_that_does_not_match_uses_nothing_up() -> None:
    plan = planned(fault(route=SEND), fault(500, method="GET"))
    assert struck(plan, 2, "GET", LIST) == [500, None]
    assert struck(plan, 2) == [503, None]


@pytest.mark.parametrize(("probability", "low", "high"), [(0.0, 0, 0), (0.3, 240, 360), (1.0, 1000, 1000)])
def test_probability(probability: float, low: int, high: int) -> None:
    plan = planned(fault(times=None, probability=probability))
    assert low <= Counter(struck(plan, 1000))[503] <= high


def test_chances_can_be_repeated() -> None:
    def run(seed: int) -> list[int | str | None]:
        return struck(planned(fault(times=None, probability=0.5), seed=seed), 64)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_missed_chance_costs_no_times() -> None:
    plan = planned(fault(times=3, probability=0.2))
    assert Counter(struck(plan, 500))[503] == 3


@pytest.mark.parametrize(("times", "expected"), [(1, [503, None]), (None, [503, 503])])
def test_put_back_leaves_it_for_another(times: int | None, expected: list[int | None]) -> None:
    plan = planned(fault(times=times))
    plan.put_back(plan.next("POST", SEND))
    assert struck(plan, 2) == expected


def test_nothing_to_put_back() -> None:
    plan = planned()
    plan.put_back(plan.next("POST", SEND))
    assert struck(plan, 1) == [None]


def test_clear() -> None:
    plan = planned(fault(times=None), fault("cut"))
    plan.clear()
    assert struck(plan, 2) == [None, None]
    plan.plan(fault(500))
    assert struck(plan, 2) == [500, None]


# The table


# Each row, with `after_the_work` as far as it takes it.
ROWS = [
    (what, kind, after)
    for what, kind in [*FAULTS.items(), (503, STATUS)]
    for after in ((False, True) if kind.strikes == "either" else (False,))
]
# How each way to treat a connection ends for a client, in this process and over HTTP.
ENDS: dict[FaultConnection, tuple[tuple[type[Exception], ...], tuple[type[Exception], ...]]] = {
    "refuse": ((httpx.ConnectError,), (httpx.ReadError,)),
    "close": ((httpx.ReadError,), (httpx.ReadError, httpx.RemoteProtocolError)),
    "half": ((httpx.RemoteProtocolError,), (httpx.RemoteProtocolError,)),
    "keep": ((), ()),
}


@contextlib.asynccontextmanager
async def in_process(sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=sandbox._transport, base_url="https://sandbox.invalid/") as client:
        yield client


@contextlib.asynccontextmanager
async def over_http(sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(sandbox) as (root, _), httpx.AsyncClient(base_url=root, trust_env=False) as client:
        yield client


@pytest.mark.anyio
@pytest.mark.real_time
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("carrier", [in_process, over_http])
@pytest.mark.parametrize(("what", "kind", "after"), ROWS)
async def test_every_row_on_both_carriers(what: Any, kind: FaultKind, after: bool, carrier: Any) -> None:
    sandbox = Sandbox(customers=1, window="off", bot=False)
    sandbox.fault(what, after_the_work=after, latency=0.05 if what == "latency" else 0.0)
    headers = {"Authorization": f"Token {sandbox.token}"}
    async with carrier(sandbox) as client:

        async def send() -> httpx.Response:
            response: httpx.Response = await client.post(
                "v1/customers/1/send_text/", json={"message": "Hello"}, headers=headers
            )
            return response

        errors = ENDS[kind.connection][carrier is over_http]
        if errors:
            with pytest.raises(errors):
                await send()
        else:
            expected = {
                "own": (200, "application/json"),
                "page": (200, "text/html"),
                "error": (503, "application/json"),
            }
            response = await send()
            assert (response.status_code, response.headers["content-type"]) == expected[kind.response]
        assert len(sandbox.sent) == (after if kind.strikes == "either" else kind.strikes == "after")
        # Used up, and the next request is whole.
        assert not sandbox.faults
        assert (await send()).json() == {"success": True}


@pytest.mark.parametrize("connection", get_args(FaultConnection))
def test_each_way_to_treat_a_connection_is_some_faults(connection: FaultConnection) -> None:
    assert connection in {kind.connection for kind in FAULTS.values()}


def test_the_names_and_the_documents_are_the_tables() -> None:
    assert set(get_args(FaultName)) == set(FAULTS)
    document = (Path(__file__).parents[3] / "docs" / "testing.md").read_text("utf-8")
    rows = re.findall(r"^\| `\"(\w+)\"` \| (.*?) \|$", document, re.MULTILINE)
    assert rows == [(name, kind.meaning) for name, kind in FAULTS.items()]


WRONG: list[dict[str, Any]] = [
    {"what": "lost_awnser"},
    {"what": "LOST_ANSWER"},
    {"what": ""},
    {"what": None},
    {"what": True},
    {"what": 199},
    {"what": 600},
    {"what": 503.0},
    {"what": "cut", "after_the_work": True},
    {"what": "latency"},
    {"what": 503, "times": 0},
    {"what": 503, "times": -1},
    {"what": 503, "probability": 1.5},
    {"what": 503, "latency": -1},
    {"what": 503, "method": "FETCH"},
    {"what": 503, "route": "/nowhere/"},
]


@pytest.mark.anyio
@pytest.mark.parametrize("arguments", WRONG)
async def test_a_fault_that_could_never_strike_is_refused_everywhere(arguments: dict[str, Any]) -> None:
    sandbox = Sandbox()
    with pytest.raises((ValueError, TypeError)):
        sandbox.fault(**arguments)
    async with asgi(sandbox) as client:
        answer = await client.post("/_sandbox/faults", json=arguments)
    assert answer.status_code == 422
    assert not sandbox.faults


@pytest.mark.parametrize("what", ["nonsense", 99])
def test_nor_can_one_be_made_by_hand(what: Any) -> None:
    with pytest.raises(ValueError, match="what must be"):
        Fault(what, 1, 1.0, None, None, after_the_work=False)


def test_a_status_in_quotes_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(
        ValueError, match=r"^what must be a status \(a whole number\) or one of 'refused', .*, not '503'$"
    ):
        Sandbox().fault("503")  # type: ignore[arg-type]  # what is wrong is the test


def test_a_late_response_without_its_seconds_is_refused_with_the_argument_that_is_missing() -> None:
    with pytest.raises(ValueError, match=r"^the fault 'latency' needs latency=, the seconds"):
        Sandbox().fault("latency")
