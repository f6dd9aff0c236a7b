"""The retry table, row by row, and the pauses between attempts."""

import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal, cast

import attrs
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from landbot_async._core.retry import DOUBTFUL, REPEAT, Outcome, RetryPolicy, ceiling, outcome_of, repeats, retry_after
from landbot_async._core.routes import ARCHIVE, ASSIGN_BOT, DELETE_CUSTOMER, GET_CUSTOMER, OPT_OUT, SEND_TEXT, Route

RETRY, RAISE = True, False
COLUMNS = (Outcome.NEVER_SENT, Outcome.REFUSED, Outcome.SERVER_ERROR, Outcome.UNKNOWN)
#                    never sent, 429, 5xx, unknown
TABLE = {
    GET_CUSTOMER: (RETRY, RETRY, RETRY, RETRY),
    ARCHIVE: (RETRY, RETRY, RETRY, RETRY),
    DELETE_CUSTOMER: (RETRY, RETRY, RETRY, RETRY),
    OPT_OUT: (RETRY, RETRY, RETRY, RETRY),
    SEND_TEXT: (RETRY, RETRY, RAISE, RAISE),
    ASSIGN_BOT: (RETRY, RETRY, RAISE, RAISE),
}
CELLS = [(route, outcome, cell) for route, row in TABLE.items() for outcome, cell in zip(COLUMNS, row, strict=True)]


@pytest.mark.parametrize(("route", "outcome", "repeated"), CELLS)
def test_the_table(route: Route, outcome: Outcome, repeated: bool) -> None:
    assert REPEAT[route.idempotent, outcome] is repeated
    assert repeats(RetryPolicy(), route, outcome) is repeated
    assert repeats(RetryPolicy(sends="at_least_once"), route, outcome) is RETRY


def test_the_table_is_whole() -> None:
    assert set(REPEAT) == {(idempotent, outcome) for idempotent in (True, False) for outcome in Outcome}
    # At most once: never what may have taken effect already.
    assert {cell[1] for cell, repeated in REPEAT.items() if not repeated} == DOUBTFUL


@given(st.integers(100, 999))
@example(429)
@example(499)
@example(500)
def test_the_outcome_of_any_status(status: int) -> None:
    expected = {429: Outcome.REFUSED}.get(status, Outcome.SERVER_ERROR if status >= 500 else None)
    assert outcome_of(status) is expected


def test_the_defaults() -> None:
    policy = RetryPolicy()
    assert (policy.attempts, policy.base, policy.cap, policy.max_wait) == (5, 0.1, 5.0, 60.0)
    assert policy.sends == "at_most_once"
    assert pickle.loads(pickle.dumps(policy)) == policy
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        cast("Any", policy).attempts = 6


@pytest.mark.parametrize("attempts", [1, 10**9])
@pytest.mark.parametrize("seconds", [0, 0.0, 1e300])
@pytest.mark.parametrize("sends", ["at_most_once", "at_least_once"])
def test_a_policy_that_works(attempts: int, seconds: float, sends: Literal["at_most_once", "at_least_once"]) -> None:
    policy = RetryPolicy(attempts=attempts, base=seconds, cap=seconds, max_wait=seconds, sends=sends)
    assert (policy.attempts, policy.base, policy.sends) == (attempts, seconds, sends)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("attempts", 0, ValueError),
        ("attempts", -1, ValueError),
        ("attempts", 5.0, TypeError),
        ("attempts", True, TypeError),
        ("attempts", None, TypeError),
        *((name, -0.1, ValueError) for name in ("base", "cap", "max_wait")),
        *((name, float("nan"), ValueError) for name in ("base", "cap", "max_wait")),
        *((name, float("inf"), ValueError) for name in ("base", "cap", "max_wait")),
        *((name, 10**400, ValueError) for name in ("base", "cap", "max_wait")),
        *((name, "1", TypeError) for name in ("base", "cap", "max_wait")),
        *((name, None, TypeError) for name in ("base", "cap", "max_wait")),
        ("sends", "exactly_once", ValueError),
        ("sends", None, ValueError),
        ("sends", ["at_most_once"], ValueError),
    ],
)
def test_a_policy_that_cannot_work(name: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{name} must be"):
        RetryPolicy(**cast("Any", {name: value}))


@pytest.mark.parametrize(("n", "seconds"), [(0, 0.1), (1, 0.2), (2, 0.4), (5, 3.2), (6, 5.0), (10**6, 5.0)])
def test_the_ceiling_doubles_up_to_the_cap(n: int, seconds: float) -> None:
    assert ceiling(RetryPolicy(), n) == pytest.approx(seconds)


@given(st.floats(0, 1e308), st.floats(0, 1e308), st.integers(0, 10**6))
def test_no_ceiling_overflows_or_shrinks(base: float, cap: float, n: int) -> None:
    policy = RetryPolicy(base=base, cap=cap)
    assert 0 <= ceiling(policy, n) <= ceiling(policy, n + 1) <= cap


NOW = datetime(2025, 1, 1, 12, 0, 0, tzinfo=UTC)
DATE = "Wed, 01 Jan 2025 12:00:00 GMT"

RETRY_AFTER: list[tuple[str, float | None]] = [
    # seconds
    ("0", 0),
    ("1", 1),
    ("120", 120),
    ("007", 7),
    (" 3\t", 3),
    ("9999999999", 9_999_999_999),
    # decimals are not in the RFC, but are clear enough
    ("0.5", 0.5),
    ("1.0", 1),
    ("2.000000001", 2.000000001),
    # the three dates of RFC 9110, 5.6.7
    ("Wed, 01 Jan 2025 12:00:30 GMT", 30),
    ("Wednesday, 01-Jan-25 12:00:30 GMT", 30),
    ("Wed Jan  1 12:00:30 2025", 30),
    ("Wed, 01 Jan 2025 13:00:30 +0100", 30),
    ("Wed, 01 Jan 2025 12:00:30 -0000", 30),
    # one that is over
    ("Wed, 01 Jan 2025 11:59:59 GMT", 0),
    ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    # nothing that can be understood
    ("", None),
    (" ", None),
    ("soon", None),
    ("٣", None),
    ("１", None),
    ("²", None),
    ("1_000", None),
    ("1,000", None),
    ("+7", None),
    ("-3", None),
    ("-0", None),
    ("- 3", None),
    ("nan", None),
    ("inf", None),
    ("-inf", None),
    ("1e3", None),
    ("0x10", None),
    (".5", None),
    ("5.", None),
    ("1.2.3", None),
    ("3 s", None),
    ("1, 2", None),
    ("9" * 400, None),
    ("0." + "9" * 400, None),
    ("3\x00", None),
    ("3\n4", None),
    ("Wed, 32 Jan 2025 12:00:30 GMT", None),
    ("Wed, 01 Foo 2025 12:00:30 GMT", None),
    ("Wed, 01 Jan 2025 25:00:30 GMT", None),
    ("Wed, 01 Jan 99999 12:00:30 GMT", None),
    ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ("2025-01-01T12:00:30Z", None),
    ("Wed,", None),
    (",", None),
]


@pytest.mark.parametrize(("value", "seconds"), RETRY_AFTER)
@pytest.mark.parametrize("headers", [{}, {"date": DATE}, {"date": "yesterday"}, {"date": ""}], ids=str)
def test_retry_after(headers: dict[str, str], value: str, seconds: float | None) -> None:
    assert retry_after({**headers, "retry-after": value}, NOW) == seconds


@pytest.mark.parametrize("headers", [{}, {"date": DATE}])
def test_no_retry_after(headers: dict[str, str]) -> None:
    assert retry_after(headers, NOW) is None


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(days=400), timedelta(days=-400)])
def test_a_wrong_clock_does_no_harm(skew: timedelta) -> None:
    headers = httpx.Headers({"Retry-After": "Wed, 01 Jan 2025 12:00:30 GMT", "Date": DATE})
    assert retry_after(headers, NOW + skew) == 30
    assert retry_after(httpx.Headers({"Retry-After": "8", "Date": DATE}), NOW + skew) == 8


@given(st.datetimes(min_value=datetime(1900, 1, 1)), st.datetimes(min_value=datetime(1900, 1, 1)))
def test_any_date_against_any_date(until: datetime, now: datetime) -> None:
    until, now = (each.replace(microsecond=0, tzinfo=UTC) for each in (until, now))
    dates = [format_datetime(each, usegmt=True) for each in (until, now)]
    expected = max(0.0, (until - now).total_seconds())
    assert retry_after({"retry-after": dates[0]}, now) == expected
    assert retry_after({"retry-after": dates[0], "date": dates[1]}, NOW) == expected


@given(
    st.text()
    | st.from_regex(r"[+-]?[0-9_.,e ]{0,20}")
    | st.lists(
        st.sampled_from(["Wed,", "Wed", "01", "Jan", "2025", "12:00:30", "GMT", "+2360", "-", "01-Jan-25", "99", ":"])
    ).map(" ".join),
    st.text(),
)
def test_no_header_does_harm(value: str, date: str) -> None:
    seconds = retry_after({"retry-after": value, "date": date}, NOW)
    assert seconds is None or 0 <= seconds < 1e12
