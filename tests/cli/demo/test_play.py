"""The demo's work and judgement, in virtual time."""

from typing import Any

import pytest
from attrs import evolve

from landbot_async import ResponseReceived, RetryPolicy
from landbot_async._core.retry import Outcome
from landbot_async.cli.demo.play import (
    FAIR_WEATHER,
    FOUL_WEATHER,
    PLANS,
    THING,
    WHAT,
    WHY,
    Fate,
    Figures,
    Job,
    each_second,
    play,
    promises,
    rate,
)
from landbot_async.sandbox import Sandbox

GOOD = Figures(customers=9, sent=9, distinct=9, rate=9.9, requests=200, refused=2, retries=0, lost=0, doubled=0)


@pytest.mark.anyio
async def test_in_fair_weather_everybody_gets_one_message_at_the_full_rate() -> None:
    report = await play(Job(FAIR_WEATHER))
    figures = report.figures
    assert (figures.sent, figures.distinct, figures.lost, figures.doubled) == (180, 180, 0, 0)
    assert 9.7 < figures.rate <= 10
    assert (figures.refused, figures.retries, list(report.raised)) == (0, 0, [])
    assert report.kept


@pytest.mark.anyio
async def test_in_foul_weather_the_unknown_ones_are_said_and_settled() -> None:
    job = Job(FOUL_WEATHER)
    report = await play(job)
    assert report.kept
    assert report.figures.sent == report.figures.distinct == 45
    assert report.retries == {
        ("GET", "server error"): 1,
        ("GET", "unknown"): 1,
        ("POST", "never sent"): 3,
        ("POST", "refused"): 2,
    }
    assert [each.error.safe_to_retry for each in report.raised] == [False] * 7
    assert sum(each.arrived for each in report.raised) == 3
    assert {fate: list(job.fates.values()).count(fate) for fate in Fate} == {
        Fate.WAITING: 0,
        Fate.UNDER_WAY: 0,
        Fate.SENT: 38,
        Fate.UNKNOWN: 0,
        Fate.FOUND: 3,
        Fate.SENT_AGAIN: 4,
    }


@pytest.mark.anyio
async def test_a_message_sent_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(sandbox: Sandbox, **options: Any) -> object:
        return client(sandbox, retry=RetryPolicy(sends="at_least_once"), **options)

    client = Sandbox.client
    monkeypatch.setattr(Sandbox, "client", careless)
    # The demo has no word for a retry that the client's own rule forbids.
    monkeypatch.setattr("landbot_async.cli.demo.play.WHY", {(m, r): "" for m in THING for r in WHAT})
    report = await play(Job(FOUL_WEATHER))
    assert report.figures.doubled == 3
    assert not report.kept


def test_every_reason_and_method_the_client_repeats_has_its_words() -> None:
    assert {outcome.value for outcome in Outcome} == set(WHAT)
    assert set(WHY) == {(method, reason) for method in THING for reason in WHAT} - {
        ("POST", "server error"),
        ("POST", "unknown"),
    }


@pytest.mark.parametrize(("starts", "expected"), [([], 0), ([1], 0), ([1, 1], 0), ([1, 1.1], 10), ([0, 0.1, 1], 2)])
def test_rate(starts: list[float], expected: float) -> None:
    assert rate(starts) == pytest.approx(expected)


def test_each_second() -> None:
    assert each_second([]) == []
    assert each_second([5, 5.9, 6, 8.5]) == [2, 1, 0, 1]


def test_the_promises_hold() -> None:
    assert all(promise.kept for promise in promises(GOOD, fair=True))


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        ({"sent": 8}, "messages sent"),
        ({"distinct": 8}, "distinct customers"),
        ({"rate": 8.9}, "requests a second"),
        ({"rate": 10.1}, "requests a second"),
        ({"refused": 3}, "429s"),
        ({"lost": 1}, "lost"),
        ({"doubled": 1}, "doubled"),
    ],
)
def test_a_broken_promise_is_seen(broken: dict[str, Any], name: str) -> None:
    assert [each.name for each in promises(evolve(GOOD, **broken), fair=True) if not each.kept] == [name]


def test_rate_and_429s_are_promised_in_fair_weather_alone() -> None:
    assert all(promise.kept for promise in promises(evolve(GOOD, rate=1.0, refused=9), fair=False))


def test_a_job_takes_only_what_it_needs_from_the_events() -> None:
    job = Job(FAIR_WEATHER)
    job.record(ResponseReceived("GET", "/customers/", 1, 200, 0.1))
    assert (job.starts, job.log, job.remaining) == ([], [], None)


def test_the_parts_are_told_apart_by_their_weather() -> None:
    assert [bool(plan.sending) for plan in PLANS] == [False, True]
