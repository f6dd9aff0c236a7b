import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async._core.schedule import (
    LEAST_MARGIN,
    MOST_DELAY,
    MOST_MARGIN,
    NARROW,
    WIDEN,
    WIDEN_SHARE,
    Schedule,
    Start,
)
from tests.conformance.limiters import most_in

seconds = st.floats(0, 5, allow_nan=False)


def wait(schedule: Schedule, now: float, late: float = 0.0) -> float:
    """Return when a caller that comes at `now` may start, if it is woken `late` after each time it slept for."""
    while now < (slot := schedule.earliest(now)):
        now = slot + late
    return now


def started(schedule: Schedule, count: int, now: float = 0.0) -> list[Start]:
    starts: list[Start] = []
    for _ in range(count):
        now = wait(schedule, now)
        starts.append(schedule.start(now))
    return starts


class TestTheLimit:
    @given(
        rate=st.integers(1, 12),
        per=st.sampled_from([0.1, 1.0, 7.0]),
        burst=st.integers(1, 12),
        calls=st.lists(
            st.tuples(
                seconds | st.just(0.0),  # idle before it comes
                st.sampled_from([0.0, 0.0003, 0.002, 3.0]),  # how late a timer wakes it
                st.none() | seconds | st.floats(0, 0.5),  # when it is written; None: not reported
                st.none() | seconds,  # when its response comes
                st.none() | st.floats(0, 2),  # the pause that it brings
            ),
            max_size=60,
        ),
    )
    def test_never_more_than_rate_in_any_stretch(
        self,
        rate: int,
        per: float,
        burst: int,
        calls: list[tuple[float, float, float | None, float | None, float | None]],
    ) -> None:
        schedule = Schedule(rate, per, min(burst, rate))
        now, written = 1000.0, list[float]()
        events: list[tuple[float, int, Start, str, float]] = []  # what is to happen, and when

        def happen(until: float) -> None:
            while events and min(events)[0] <= until:
                event = min(events)
                events.remove(event)
                at, _, start, kind, pause = event
                if kind == "write" and schedule.valid(start, at):
                    schedule.write(start, at)
                    written.append(at)
                elif kind == "response":
                    schedule.respond(start)
                elif kind == "refusal":
                    schedule.respond(start)
                    schedule.pause(at, pause)

        for number, (idle, late, connect, response, pause) in enumerate(calls):
            now += idle
            happen(now)
            while now < (slot := schedule.earliest(now)):
                now = slot + late
                happen(now)
            start = schedule.start(now)
            if connect is None:
                written.append(now)
            else:
                events.append((now + connect, 2 * number, start, "write", 0.0))
            if response is not None:
                kind = "response" if pause is None else "refusal"
                events.append((now + (connect or 0.0) + response, 2 * number + 1, start, kind, pause or 0.0))
        happen(math.inf)
        assert most_in(written, per) <= rate

    @given(burst=st.integers(1, 10), count=st.integers(11, 60))
    def test_close_to_the_ceiling(self, burst: int, count: int) -> None:
        starts = [start.at for start in started(Schedule(10, 1.0, burst), count)]
        assert starts[-1] - starts[0] <= (count - 1) / 10 * (1 + LEAST_MARGIN) + 1e-9

    def test_spacing_is_even(self) -> None:
        gaps = [later.at - earlier.at for earlier, later in pairwise(started(Schedule(10, 1.0, 1), 40))]
        assert gaps == pytest.approx([0.1 * (1 + LEAST_MARGIN)] * 39)

    def test_a_burst_goes_at_once_after_an_idle_spell(self) -> None:
        schedule = Schedule(10, 1.0, 4)
        assert [start.at for start in started(schedule, 4)] == [0.0] * 4
        assert wait(schedule, 0.0) == pytest.approx(0.1, rel=0.02)
        assert [start.at for start in started(schedule, 4, now=50.0)] == pytest.approx([50.0] * 4)

    def test_a_little_lateness_keeps_the_grid(self) -> None:
        schedule = Schedule(100, 10.0, 1)
        gap = 0.1 * (1 + LEAST_MARGIN)
        schedule.start(0.0)
        schedule.start(gap + 0.0007)
        assert schedule.earliest(gap + 0.0007) == pytest.approx(2 * gap)

    def test_after_more_lateness_the_gap_keeps_half_of_the_margin(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        schedule.start(0.0)
        schedule.start(0.11)
        assert schedule.earliest(0.11) == pytest.approx(0.11 + 0.1 * (1 + LEAST_MARGIN / 2))

    def test_a_stall_moves_the_grid_instead_of_bursting(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        started(schedule, 10)
        gap = 0.1 * (1 + LEAST_MARGIN)
        assert [start.at for start in started(schedule, 3, now=30.0)] == pytest.approx([30.0, 30 + gap, 30 + 2 * gap])

    @given(ahead=st.integers(0, 40), already=st.integers(0, 25), burst=st.integers(1, 10), later=st.floats(0, 0.3))
    def test_the_expected_wait_is_a_lower_bound_and_a_good_one(
        self, ahead: int, already: int, burst: int, later: float
    ) -> None:
        schedule = Schedule(10, 1.0, burst)
        started(schedule, already)
        now = (next(reversed(schedule._starts)).at if already else 0.0) + later
        expected = schedule.earliest_behind(ahead, now)
        true = started(schedule, ahead + 1, now)[-1].at
        assert expected <= true + 1e-9
        assert true - expected <= 0.05 + (burst > 1) * 1.0

    def test_idle_only_when_the_window_is_over(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        assert schedule.idle(0.0)
        schedule.start(0.0)
        assert not schedule.idle(1.0)
        assert schedule.idle(2.0)
        schedule.pause(2.0, 10.0)
        assert not schedule.idle(5.0)


class TestTheMomentOfWriting:
    def test_a_start_counts_from_when_it_is_written(self) -> None:
        schedule = Schedule(2, 1.0, 1)
        first, second = started(schedule, 2)
        schedule.write(first, 0.9)
        schedule.write(second, 0.95)
        assert schedule.earliest(1.0) == pytest.approx(0.9 + 1 + LEAST_MARGIN / 2)

    def test_one_that_is_written_late_moves_the_next(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        schedule.write(schedule.start(0.0), 0.08)
        assert schedule.earliest(0.08) == pytest.approx(0.08 + 0.1 * (1 + LEAST_MARGIN / 2))

    def test_the_usual_lateness_of_the_writing_costs_nothing(self) -> None:
        """The next request is written late as well."""
        schedule, starts, now = Schedule(10, 1.0, 1), list[Start](), 0.0
        for _ in range(100):
            now = wait(schedule, now)
            starts.append(schedule.start(now))
            schedule.write(starts[-1], now + 0.002)
            schedule.finish_writing(starts[-1], now + 0.003)
            schedule.respond(starts[-1])
        gaps = [later.at - earlier.at for earlier, later in pairwise(starts[50:])]
        assert gaps == pytest.approx([0.1 * (1 + LEAST_MARGIN)] * 49)

    def test_a_slow_connection_says_little_about_the_next_request(self) -> None:
        schedule, starts = Schedule(10, 1.0, 1), list[Start]()
        for _ in range(50):
            starts.append(schedule.start(wait(schedule, 0.0)))
            schedule.write(starts[-1], starts[-1].granted + 0.6)
            schedule.respond(starts[-1])
        assert schedule.earliest(starts[-1].at) >= starts[-1].at + 0.1 * (1 - MOST_DELAY)

    def test_it_counts_from_the_grant_where_nothing_is_reported(self) -> None:
        schedule = Schedule(2, 1.0, 1)
        started(schedule, 2)
        assert schedule.earliest(5.0) == pytest.approx(1 + LEAST_MARGIN / 2, rel=0.02)

    def test_a_second_report_changes_nothing_and_neither_does_one_after_the_response(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        first, second = started(schedule, 2)
        schedule.write(first, 0.05)
        schedule.write(first, 9.0)
        schedule.respond(second)
        schedule.write(second, 9.0)
        assert (first.at, second.at) == (0.05, second.granted)

    def test_it_counts_from_the_end_of_the_writing_where_that_is_reported(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        first = schedule.start(0.0)
        schedule.write(first, 0.05)
        schedule.finish_writing(first, 0.07)
        assert first.at == 0.07
        assert schedule.earliest(0.1) == pytest.approx(0.07 + 0.1 * (1 + LEAST_MARGIN / 2))
        schedule.respond(first)
        schedule.finish_writing(first, 9.0)
        assert first.at == 0.07

    def test_a_slot_is_valid_for_one_window_and_not_in_a_pause(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        start = schedule.start(0.0)
        assert schedule.valid(start, 0.999)
        assert not schedule.valid(start, 1.0)
        schedule.pause(0.1, 0.5)
        assert not schedule.valid(start, 0.2)
        assert schedule.valid(start, 0.6)

    def test_one_that_was_forgotten_counts_again_when_it_is_written_after_all(self) -> None:
        schedule = Schedule(2, 1.0, 1)
        lost, *_ = started(schedule, 4)
        schedule.write(lost, 10.0)
        assert next(reversed(schedule._starts)) is lost
        schedule.start(11.0)
        assert schedule.earliest(11.0) == pytest.approx(11.5, rel=0.02)


class TestTheMargin:
    def test_it_widens_with_refusals_up_to_a_bound(self) -> None:
        schedule, margins = Schedule(10, 1.0, 1), [LEAST_MARGIN]
        for number in range(20):
            schedule.pause(100.0 * number, 1.0)
            margins.append(schedule._margin)
        steps = [later - earlier for earlier, later in pairwise(margins)]
        assert steps[0] == pytest.approx(WIDEN)
        assert steps[4] == pytest.approx(margins[4] * WIDEN_SHARE), "faster, the wider it is"
        assert margins[-1] == MOST_MARGIN

    def test_it_narrows_with_responses_to_the_smallest(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        schedule.pause(0.0, 0.1)
        widened = schedule._margin
        start = schedule.start(1.0)
        schedule.respond(start)
        assert schedule._margin == pytest.approx(widened - NARROW * (widened - LEAST_MARGIN))
        schedule.respond(start)
        assert schedule._margin == pytest.approx(widened - NARROW * (widened - LEAST_MARGIN))
        for number in range(20_000):
            schedule.respond(schedule.start(2.0 + number))
        assert schedule._margin == pytest.approx(LEAST_MARGIN)

    def test_it_spaces_starts_and_holds_the_window(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        schedule.pause(0.0, 0.0)
        margin = schedule._margin
        first, *_, tenth = started(schedule, 10)
        assert tenth.at == pytest.approx(0.9 * (1 + margin))
        for start in (first, tenth):
            schedule.write(start, tenth.at)
        schedule._next = -math.inf
        assert schedule.earliest(1.0) == pytest.approx(next(iter(schedule._starts)).at + 1 + margin / 2)

    def test_the_refusals_of_one_burst_teach_once(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        burst = started(schedule, 5)
        for number, start in enumerate(burst):
            schedule.respond(start)
            schedule.pause(2.0 + number, 0.1)
        # Though each comes after the pause of the one before.
        assert schedule._margin == pytest.approx(LEAST_MARGIN + WIDEN, rel=0.01)
        later = schedule.start(10.0)
        schedule.respond(later)
        schedule.pause(10.1, 0.1)
        assert schedule._margin == pytest.approx(LEAST_MARGIN + 2 * WIDEN, rel=0.01)

    def test_without_responses_a_pause_during_a_pause_teaches_nothing(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        schedule.pause(0.0, 1.0)
        schedule.pause(0.5, 1.0)
        assert schedule._margin == pytest.approx(LEAST_MARGIN + WIDEN)
        schedule.pause(1.5, 1.0)
        assert schedule._margin == pytest.approx(LEAST_MARGIN + 2 * WIDEN)

    def test_one_response_explains_one_pause(self) -> None:
        schedule = Schedule(10, 1.0, 1)
        schedule.respond(schedule.start(0.0))
        schedule.pause(1.0, 0.1)
        schedule.pause(5.0, 0.1)
        assert schedule._margin == pytest.approx(LEAST_MARGIN + 2 * WIDEN, rel=0.01)

    @given(pauses=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1))
    def test_a_shorter_pause_never_shortens_a_longer_one(self, pauses: list[tuple[float, float]]) -> None:
        schedule = Schedule(10, 1.0, 1)
        for now, length in pauses:
            schedule.pause(now, length)
        assert schedule.earliest(0.0) == max(now + length for now, length in pauses)


@given(
    starts=st.lists(st.floats(0, 0.5), min_size=1, max_size=30),
    back=st.floats(1e-3, 2e9),
    pause=st.none() | st.floats(0, 5),
)
def test_a_clock_that_goes_back_changes_no_wait(starts: list[float], back: float, pause: float | None) -> None:
    """A test that freezes time moves the event loop's clock, and moves it back when it ends."""
    schedule = Schedule(10, 1.0, 1)
    now = back
    for after in starts:
        now = max(now + after, schedule.earliest(now + after))
        schedule.look(now)
        schedule.write(schedule.start(now), now)
    if pause is not None:
        schedule.pause(now, pause)
    wait, behind = schedule.earliest(now) - now, schedule.earliest_behind(3, now) - now
    schedule.look(now - back)
    now -= back
    assert schedule.earliest(now) - now == pytest.approx(wait, abs=1e-5)
    assert schedule.earliest_behind(3, now) - now == pytest.approx(behind, abs=1e-5)
