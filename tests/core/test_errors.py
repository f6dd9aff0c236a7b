"""Every error's class, attributes and travels: pickled, copied, with notes."""

import copy
import pickle
import re
import traceback
import typing
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import landbot_async
from landbot_async._core import errors
from landbot_async._core.errors import (
    STATUS_ERRORS,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ClientClosedError,
    ConfigurationError,
    FieldsError,
    LandbotError,
    LimiterError,
    OutboxStoppedError,
    RateLimitError,
    ResponseError,
    ServerError,
    TotalTimeoutError,
    WebhookError,
    error_class,
)
from landbot_async._core.models import Field


def children(cls: type[LandbotError]) -> list[type[LandbotError]]:
    """Return the library's own subclasses: tests and users may have more."""
    return [child for child in cls.__subclasses__() if child.__module__ == "landbot_async"]


def family(cls: type[LandbotError]) -> list[type[LandbotError]]:
    return [cls, *(each for child in children(cls) for each in family(child))]


def tree(cls: type[LandbotError], indent: str = "") -> list[str]:
    """Draw the classes as the docstring does."""
    lines: list[str] = []
    for child in children(cls):
        is_last = child is children(cls)[-1]
        lines += [f"{indent}{'└─' if is_last else '├─'} {child.__name__}"]
        lines += tree(child, indent + ("   " if is_last else "│  "))
    return lines


CALL: dict[str, Any] = {
    "method": "POST",
    "route": "/customers/{customer_id}/send_text/",
    "ids": {"customer_id": 42, "field_name": "city"},
    "attempts": 3,
    "safe_to_retry": False,
    "transient": True,
}
STATUS: dict[str, Any] = {
    "status": 422,
    "errors": {"message": ("too long", "too loud")},
    "detail": "message: too long too loud",
    "body": {"errors": {"message": ["too long", "too loud"]}},
    "retry_after": 1.5,
}


def made(cls: type[LandbotError]) -> LandbotError:
    """One of the class, with everything that it can carry."""
    details: dict[type[LandbotError], dict[str, Any]] = {
        APIStatusError: STATUS,
        ResponseError: {"status": 200, "path": "$.customers[41].id", "body": ["x"]},
        FieldsError: {"written": {"city": Field("city", "string", "Lyon")}, "failed": {}},
        OutboxStoppedError: {"counts": {"queued": 40, "sent": 60}},
    }
    none: dict[str, Any] = {}
    own = next((kept for base, kept in details.items() if issubclass(cls, base)), none)
    return cls("It went wrong.", **CALL, **own)


every_error = pytest.mark.parametrize("cls", family(LandbotError), ids=lambda cls: cls.__name__)


def test_the_docstring_draws_the_tree() -> None:
    drawn = (errors.__doc__ or "").split("LandbotError\n")[1].splitlines()
    assert [re.split(r"(?<=\w) ", line)[0] for line in drawn] == tree(LandbotError)


def test_the_docstring_tells_the_statuses() -> None:
    told = re.findall(r"(\w+) +(\d{3})$", errors.__doc__ or "", re.MULTILINE)
    assert told == [(cls.__name__, str(status)) for status, cls in STATUS_ERRORS.items()]


@every_error
def test_every_error_is_at_the_front_door(cls: type[LandbotError]) -> None:
    assert getattr(landbot_async, cls.__name__) is cls
    assert cls.__name__ in landbot_async.__all__


@every_error
def test_every_error_says_what_was_called(cls: type[LandbotError]) -> None:
    error = made(cls)
    assert str(error) == "It went wrong."
    assert {name: getattr(error, name) for name in CALL} == CALL


def test_an_error_without_a_call() -> None:
    error = ConfigurationError("No.")
    assert (error.method, error.route, error.attempts, error.ids) == (None, None, 0, {})
    assert (error.safe_to_retry, error.transient) == (True, False)
    assert not hasattr(error, "__notes__")


def test_a_limiter_s_error_without_a_call() -> None:
    error = LimiterError("Redis is away.")
    assert (error.method, error.route, error.attempts) == (None, None, 0)
    assert (error.safe_to_retry, error.transient) == (True, True)


@every_error
def test_a_note_tells_whose_error_it_is(cls: type[LandbotError]) -> None:
    error = made(cls)
    assert error.__notes__ == ["customer_id: 42, field_name: city"]
    assert "customer_id: 42" in "".join(traceback.format_exception(error))
    assert "42" not in str(error)
    error.ids["customer_id"] = 7
    assert CALL["ids"]["customer_id"] == 42


@every_error
def test_type_hints_can_be_evaluated(cls: type[LandbotError]) -> None:
    assert typing.get_type_hints(cls)["advice"]
    assert typing.get_type_hints(cls.__init__)["return"] is type(None)


@every_error
@pytest.mark.parametrize(
    "travel",
    [
        copy.copy,
        copy.deepcopy,
        *(lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)),
    ],
)
def test_every_error_travels_whole(cls: type[LandbotError], travel: Callable[[LandbotError], LandbotError]) -> None:
    error = made(cls)
    error.add_note("while sending row 7")
    notes = [*error.__notes__]
    arrived = travel(error)
    assert type(arrived) is cls
    assert arrived is not error
    assert arrived.args == error.args
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
    assert arrived.__notes__ == notes == ["customer_id: 42, field_name: city", "while sending row 7"]


@every_error
def test_a_copy_is_its_own(cls: type[LandbotError]) -> None:
    error = made(cls)
    error.add_note("first")
    other = copy.deepcopy(error)
    other.add_note("second")
    other.attempts = 9
    assert (error.__notes__[1:], error.attempts) == (["first"], 3)


class UsersError(APITimeoutError):
    """An `__init__` of its own, as a user may write one."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two, route="/x/")
        self.more = two


def test_an_error_of_a_user_travels_too() -> None:
    arrived = pickle.loads(pickle.dumps(UsersError("a", "b")))
    assert (arrived.args, arrived.more, arrived.route) == (("ab",), "b", "/x/")


@given(st.integers(100, 999))
@example(499)
@example(500)
@example(404)
def test_the_class_of_any_status(status: int) -> None:
    cls = error_class(status)
    assert cls is STATUS_ERRORS.get(status, ServerError if status >= 500 else APIStatusError)
    assert issubclass(cls, APIStatusError)


def test_what_a_status_error_carries() -> None:
    error = RateLimitError("It went wrong.", **STATUS)
    assert (error.status, error.message, error.retry_after) == (422, STATUS["detail"], 1.5)
    assert error.errors == STATUS["errors"]
    assert error.errors is not STATUS["errors"]
    assert error.body is STATUS["body"]


def test_what_a_response_error_carries() -> None:
    error = ResponseError("It went wrong.", status=200, path="$.id", body=None)
    assert (error.status, error.path, error.body) == (200, "$.id", None)


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [(APITimeoutError, TimeoutError), (TotalTimeoutError, TimeoutError), (ClientClosedError, RuntimeError)],
)
def test_errors_that_python_knows(cls: type[LandbotError], builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise made(cls)


def test_a_broken_connection_is_no_time_out() -> None:
    assert not issubclass(APIConnectionError, TimeoutError)


@pytest.mark.parametrize("cls", [*family(APIStatusError), *family(APIConnectionError), ResponseError])
def test_every_error_of_a_call_has_advice(cls: type[LandbotError]) -> None:
    assert re.fullmatch(r"[A-Z`].*\.", cls.advice)
    assert not WebhookError.advice
