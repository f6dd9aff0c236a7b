"""The pure parts: the table of moves, what follows an error, and how many messages are in flight."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    LandbotError,
    LimiterError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    ResponseError,
    ServerError,
    TotalTimeoutError,
)
from landbot_async._core.errors import JournalFullError, error_class
from landbot_async.outbox.states import (
    ENDED,
    MOVES,
    OPEN,
    QUEUED,
    STATUS,
    STATUSES,
    After,
    FailureWatch,
    OpeningHours,
    State,
    after,
    slow_down,
    wanted_in_flight,
)


def failed(status: int, *, transient: bool = False) -> APIStatusError:
    return error_class(status)(
        "x", status=status, errors={}, detail="", body=None, retry_after=None, transient=transient
    )


class TestTheTable:
    def test_every_state_has_a_status_and_every_status_a_state(self) -> None:
        assert set(STATUS) == set(State)
        assert set(STATUS.values()) == set(STATUSES)

    def test_nothing_on_its_way_is_queued_again_by_time(self) -> None:
        """Only a result, evidence or a person moves a message that may have been sent."""
        assert {name for name, move in MOVES.items() if State.SENDING in move.origins} == {
            "next step",
            "sent",
            "failed",
            "lost",
            "not sent",
        }
        assert {name for name, move in MOVES.items() if State.UNKNOWN in move.origins} == {
            "sent",
            "failed",
            "found",
            "absent",
        }

    def test_what_is_sent_stays_so(self) -> None:
        assert not [name for name, move in MOVES.items() if State.SENT in move.origins]

    def test_every_state_can_be_reached_and_only_ended_ones_are_left_by_hand_or_never(self) -> None:
        assert {move.target for move in MOVES.values()} | {State.WAITING} == set(State)
        left = {state for move in MOVES.values() for state in move.origins}
        assert set(ENDED) - left == {State.SENT, State.CANCELLED, State.EXPIRED}
        assert MOVES["retried"].origins == (State.FAILED,)

    def test_the_groups_do_not_overlap(self) -> None:
        assert not set(QUEUED) & set(ENDED)
        assert set(OPEN) & set(QUEUED) == {State.READY}


UNREADABLE = ResponseError("x", status=200, path="$", body=None, safe_to_retry=False)

AFTER = [
    (failed(404), False, After.FAILED),
    (failed(412), False, After.FAILED),
    (failed(422), False, After.FAILED),
    (failed(400), False, After.FAILED),
    (failed(302), True, After.UNKNOWN),
    (failed(503, transient=True), True, After.UNKNOWN),
    (UNREADABLE, True, After.UNKNOWN),
    (APIConnectionError("x", transient=True), True, After.UNKNOWN),
    (APIConnectionError("x", transient=True), False, After.AGAIN),
    (TotalTimeoutError("x", transient=True), False, After.AGAIN),
    (failed(429, transient=True), False, After.AGAIN),
    (LimiterError("x", transient=True), False, After.AGAIN),
    (failed(401), False, After.STOP),
    (failed(402), False, After.STOP),
    (failed(403), False, After.STOP),
    (ClientClosedError("x"), False, After.RAISE),
    (ConfigurationError("x"), False, After.RAISE),
    (JournalFullError("x"), False, After.RAISE),
    (ValueError("x"), False, After.RAISE),
    (ValueError("x"), True, After.RAISE),
]


class TestAfter:
    @pytest.mark.parametrize(("error", "doubt", "expected"), AFTER)
    def test_a_send(self, error: Exception, doubt: bool, expected: After) -> None:
        assert after(error, idempotent=False, doubt=doubt) is expected

    @pytest.mark.parametrize(
        ("error", "doubt", "expected"),
        [
            (failed(503, transient=True), True, After.FAILED),
            (APIConnectionError("x", transient=True), True, After.FAILED),
            (APIConnectionError("x", transient=True), False, After.AGAIN),
            (failed(429, transient=True), False, After.AGAIN),
            (failed(404), False, After.FAILED),
            (failed(401), False, After.STOP),
        ],
    )
    def test_what_may_be_done_again_is_never_unknown(self, error: Exception, doubt: bool, expected: After) -> None:
        assert after(error, idempotent=True, doubt=doubt) is expected

    @given(
        st.sampled_from([each for each, _, _ in AFTER]),
        st.booleans(),
    )
    def test_nothing_that_may_have_been_sent_is_sent_again(self, error: Exception, idempotent: bool) -> None:
        follows = after(error, idempotent=idempotent, doubt=True)
        assert follows is not After.AGAIN
        if not idempotent:
            assert follows in (After.UNKNOWN, After.STOP, After.RAISE)

    def test_the_account_s_own_errors_stop(self) -> None:
        for kind in (AuthenticationError, PaymentRequiredError, PermissionDeniedError):
            assert issubclass(kind, LandbotError)


class TestSlowDown:
    def test_the_limiter_has_waited_itself(self) -> None:
        assert slow_down(failed(429), 1) == slow_down(TotalTimeoutError("x"), 9) == 0.0
        assert isinstance(failed(429), RateLimitError)

    def test_a_store_that_is_away_is_asked_every_second(self) -> None:
        assert [slow_down(LimiterError("x"), number) for number in (1, 5, 50)] == [1.0, 1.0, 1.0]

    def test_a_network_that_is_away_is_asked_less_and_less(self) -> None:
        pauses = [slow_down(APIConnectionError("x"), number) for number in range(1, 200)]
        assert pauses[:3] == [0.5, 1.0, 2.0]
        assert pauses == sorted(pauses)
        assert pauses[-1] == 30.0


class TestFailureWatch:
    def test_equal_failures_among_the_last_hundred_are_too_many(self) -> None:
        watch = FailureWatch(20)
        for number in range(19):
            assert watch.note(failed(422)) is None
            for _ in range(3 if number else 0):
                assert watch.note(None) is None
        assert watch.note(failed(422)) == "422"

    def test_those_before_the_last_hundred_do_not_count(self) -> None:
        watch = FailureWatch(20)
        for _ in range(19):
            assert watch.note(failed(412)) is None
        for _ in range(81):
            assert watch.note(None) is None
        assert watch.note(failed(412)) is None
        assert watch.note(failed(412)) is None

    def test_different_failures_do_not_add_up_but_all_5xx_do(self) -> None:
        watch = FailureWatch(3)
        assert watch.note(failed(412)) is None
        assert watch.note(failed(422)) is None
        assert watch.note(failed(412)) is None
        assert watch.note(failed(500)) is None
        assert watch.note(failed(502)) is None
        assert watch.note(failed(503)) == "5xx"
        assert isinstance(failed(503), ServerError)
        assert isinstance(failed(412), PreconditionFailedError)

    def test_a_recipient_who_is_gone_never_stops_it_nor_does_what_has_no_status(self) -> None:
        watch = FailureWatch(1)
        for _ in range(200):
            assert watch.note(failed(404)) is None
            assert watch.note(APIConnectionError("x")) is None
        assert isinstance(failed(404), NotFoundError)

    def test_none_never_stops(self) -> None:
        watch = FailureWatch(None)
        assert not [each for _ in range(200) if (each := watch.note(failed(422)))]


class TestInFlight:
    @pytest.mark.parametrize(
        ("rate", "latency", "wanted"),
        [(10, 0.0, 2), (10, 0.05, 2), (10, 0.5, 8), (10, 1.15, 16), (10, 60, 24), (1000, 0.01, 14), (0.1, 1, 2)],
    )
    def test_as_many_as_rate_and_latency_need(self, rate: float, latency: float, wanted: int) -> None:
        assert wanted_in_flight(rate, latency) == wanted

    @given(st.floats(0.01, 1000), st.floats(0, 3600))
    def test_never_too_few_for_the_rate_nor_more_than_the_places(self, rate: float, latency: float) -> None:
        wanted = wanted_in_flight(rate, latency)
        assert 2 <= wanted <= 24
        assert wanted == 24 or wanted > rate * latency


class TestOpeningHours:
    MADRID = ZoneInfo("Europe/Madrid")

    @pytest.mark.parametrize(
        ("at", "inside"), [("08:59:59", False), ("09:00:00", True), ("19:59:59", True), ("20:00:00", False)]
    )
    def test_from_the_start_and_before_the_end(self, at: str, inside: bool) -> None:
        hours = OpeningHours(time(9), time(20), self.MADRID)
        moment = datetime.combine(datetime(2026, 7, 1), time.fromisoformat(at), self.MADRID)
        assert hours.contain(moment.timestamp()) is inside

    @pytest.mark.parametrize(
        ("at", "inside"), [("21:59", False), ("22:00", True), ("23:59", True), ("00:00", True), ("06:00", False)]
    )
    def test_over_midnight(self, at: str, inside: bool) -> None:
        hours = OpeningHours(time(22), time(6), UTC)
        moment = datetime.combine(datetime(2026, 7, 1), time.fromisoformat(at), UTC)
        assert hours.contain(moment.timestamp()) is inside

    def test_by_the_clock_of_the_zone_in_summer_and_winter(self) -> None:
        hours = OpeningHours(time(9), time(10), self.MADRID)
        assert hours.contain(datetime(2026, 7, 1, 7, 30, tzinfo=UTC).timestamp())
        assert not hours.contain(datetime(2026, 1, 1, 7, 30, tzinfo=UTC).timestamp())
        assert hours.contain(datetime(2026, 1, 1, 8, 30, tzinfo=UTC).timestamp())
