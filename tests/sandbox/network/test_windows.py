"""Windows are arithmetic. Times are whole 64ths of a second, so that sums are exact and a boundary is a boundary."""

from collections import Counter
from itertools import accumulate
from typing import NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.sandbox.network.windows import WINDOWS, Fixed, Gcra, Off, Sliding, Window, WindowName

TICK = 1 / 64


class Limit(NamedTuple):
    """A limit whose gap is a whole number of ticks."""

    rate: int
    gap: int

    @property
    def per(self) -> int:
        return self.rate * self.gap


limits = st.builds(Limit, rate=st.sampled_from((1, 2, 4, 8)), gap=st.sampled_from((1, 2, 8, 16)))
# Mostly close together, sometimes apart: windows fill, empty and are met at their edges.
arrivals = st.lists(st.sampled_from((0, 0, 0, 1, 2, 3, 8, 16, 64)), max_size=80).map(
    lambda gaps: list(accumulate(gaps))
)


def admitted(window: Window, ticks: list[int]) -> list[bool]:
    return [window.admit(tick * TICK) for tick in ticks]


def taken(window: Window, ticks: list[int]) -> list[int]:
    return [tick for tick, yes in zip(ticks, admitted(window, ticks), strict=True) if yes]


def most(ticks: list[int], length: int) -> int:
    """Return the most times in any half-open stretch of this length. The fullest one begins with a time."""
    return max((sum(first <= tick < first + length for tick in ticks) for first in ticks), default=0)


@given(limits, arrivals)
def test_sliding_never_takes_more_in_any_stretch(limit: Limit, ticks: list[int]) -> None:
    assert most(taken(Sliding(limit.rate, limit.per * TICK), ticks), limit.per) <= limit.rate


@given(limits, arrivals)
def test_sliding_refuses_only_a_full_window_and_forgets_the_refused(limit: Limit, ticks: list[int]) -> None:
    before: list[int] = []
    for tick, yes in zip(ticks, admitted(Sliding(limit.rate, limit.per * TICK), ticks), strict=True):
        full = sum(tick - limit.per < each for each in before) >= limit.rate
        assert yes is not full
        before += [tick] * yes


@given(limits, arrivals)
def test_counting_holds_the_refused_against_you(limit: Limit, ticks: list[int]) -> None:
    yes = admitted(Sliding(limit.rate, limit.per * TICK, counting=True), ticks)
    expected = [sum(tick - limit.per < each for each in ticks[:index]) < limit.rate for index, tick in enumerate(ticks)]
    assert yes == expected


@given(limits, arrivals)
def test_counting_takes_nothing_that_sliding_refuses(limit: Limit, ticks: list[int]) -> None:
    strict = admitted(Sliding(limit.rate, limit.per * TICK, counting=True), ticks)
    plain = admitted(Sliding(limit.rate, limit.per * TICK), ticks)
    assert all(yes or not no for yes, no in zip(plain, strict, strict=True))


@given(limits, arrivals)
def test_fixed_takes_the_first_of_each_aligned_window(limit: Limit, ticks: list[int]) -> None:
    seen: Counter[int] = Counter()
    for tick, yes in zip(ticks, admitted(Fixed(limit.rate, limit.per * TICK), ticks), strict=True):
        assert yes is (seen[tick // limit.per] < limit.rate)
        seen[tick // limit.per] += 1


@given(limits, arrivals)
def test_gcra_never_takes_more_than_a_burst_and_one_per_gap(limit: Limit, ticks: list[int]) -> None:
    through = taken(Gcra(limit.rate, limit.per * TICK), ticks)
    for first, begin in enumerate(through):
        for count, end in enumerate(through[first:], start=1):
            assert count <= limit.rate + (end - begin) // limit.gap


@given(limits, arrivals)
def test_gcra_is_a_bucket_that_leaks(limit: Limit, ticks: list[int]) -> None:
    level, last = 0, 0
    for tick, yes in zip(ticks, admitted(Gcra(limit.rate, limit.per * TICK), ticks), strict=True):
        level, last = max(0, level - (tick - last)), tick
        assert yes is (level + limit.gap <= limit.per)
        level += limit.gap * yes


def test_gcra_takes_ten_at_once_and_then_one_per_gap() -> None:
    window = Gcra(10, 1.0)
    assert [window.admit(0.0) for _ in range(11)] == [True] * 10 + [False]
    # A tenth is no exact float: the tolerance is for this.
    assert all(window.admit(0.1 * n) and not window.admit(0.1 * n) for n in range(1, 500))


@given(arrivals)
def test_off_takes_everything(ticks: list[int]) -> None:
    assert all(admitted(Off(), ticks))


@pytest.mark.parametrize(
    ("name", "taken_each_time"),
    [
        ("sliding", [10, 0, 10, 0]),
        ("counting", [10, 0, 0, 0]),
        ("fixed", [10, 10, 0, 10]),
        ("gcra", [10, 5, 5, 5]),
        ("off", [12, 12, 12, 12]),
    ],
)
def test_names(name: WindowName, taken_each_time: list[int]) -> None:
    """Twelve at a time, every half a second, from the middle of a window on."""
    window = WINDOWS[name](10, 1.0)
    assert [sum(window.admit(at) for _ in range(12)) for at in (0.5, 1.0, 1.5, 2.0)] == taken_each_time


def test_every_name_has_its_window() -> None:
    assert set(WINDOWS) == set(get_args(WindowName))
