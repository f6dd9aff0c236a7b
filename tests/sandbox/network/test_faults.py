"""What goes wrong, how often and where."""

from collections import Counter

import pytest

from landbot_async.sandbox.network.faults import Fault, FaultName, Faults

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
