"""Errors become an exit code, and one line for a person."""

from typing import Any

import pytest

from landbot_async import (
    APIConnectionError,
    ConfigurationError,
    JournalFullError,
    JournalInUseError,
    JournalMismatchError,
    KeyConflictError,
    LandbotError,
    LimiterError,
    OutboxError,
    ResponseError,
)
from landbot_async._core.errors import error_class
from landbot_async.cli.exit_codes import ExitCode, error_text, exit_code


def refused(status: int, detail: str = "", *, safe: bool = True) -> LandbotError:
    return error_class(status)(
        "GET /x/ answered", status=status, errors={}, detail=detail, body=None, retry_after=None, safe_to_retry=safe
    )


def unreadable(*, safe: bool) -> LandbotError:
    return ResponseError("GET /x/ answered 200, but", status=200, path="$", body=None, safe_to_retry=safe)


LOOK = " It may have taken effect: check before you retry, or it may happen twice."


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (refused(404), ExitCode.NOT_FOUND, "There is no customer 42 (404)."),
        (
            refused(412, "The customer is blocked."),
            ExitCode.REFUSED,
            "Landbot refused this for customer 42 (412): The customer is blocked. Nothing was changed or sent.",
        ),
        (
            refused(302),
            ExitCode.REFUSED,
            "Landbot refused this for customer 42 (302): no reason given. Nothing was changed or sent.",
        ),
        (
            refused(401, "Invalid token."),
            ExitCode.TOKEN,
            "Landbot does not accept the token (401). LANDBOT_API_TOKEN takes a teammate's agent token.",
        ),
        (
            refused(429),
            ExitCode.RATE_LIMIT,
            "Landbot still refuses requests after a minute (429): another program may use the same token.",
        ),
        (refused(503), ExitCode.UNREACHABLE, "Landbot failed (503) with customer 42. Try again later."),
        (refused(503, safe=False), ExitCode.UNKNOWN, f"Landbot failed (503) with customer 42.{LOOK}"),
        (
            APIConnectionError("x", safe_to_retry=False),
            ExitCode.UNKNOWN,
            f"The connection broke before Landbot's response about customer 42 arrived.{LOOK}",
        ),
        (
            unreadable(safe=False),
            ExitCode.UNKNOWN,
            f"Landbot's response about customer 42 cannot be understood.{LOOK}",
        ),
        (APIConnectionError("It was never sent (x)."), ExitCode.UNREACHABLE, "It was never sent (x)."),
        (unreadable(safe=True), ExitCode.OTHER, "GET /x/ answered 200, but"),
        (ConfigurationError("There is no token."), ExitCode.TOKEN, "There is no token."),
        (JournalInUseError("It is in use."), ExitCode.FILE, "It is in use."),
        (JournalFullError("It is full."), ExitCode.FILE, "It is full."),
        (KeyConflictError("It is known."), ExitCode.USAGE, "It is known."),
        (JournalMismatchError("A copy: say moved=True."), ExitCode.USAGE, "A copy: run it with --moved."),
        (LimiterError("The store is away."), ExitCode.UNREACHABLE, "The store is away."),
        (OutboxError("It cannot be opened."), ExitCode.OTHER, "It cannot be opened."),
    ],
)
def test_each_kind_of_error_has_a_code_and_a_line_that_names_what_was_typed(
    error: LandbotError, code: ExitCode, text: str
) -> None:
    assert exit_code(error) is code
    assert error_text(error, "customer 42") == text


@pytest.mark.parametrize("error", [refused(404), refused(412), refused(503)])
def test_if_nothing_was_named_the_errors_own_text_is_shown(error: Any) -> None:
    assert error_text(error) == str(error)
