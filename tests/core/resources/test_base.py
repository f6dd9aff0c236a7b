import logging

import httpx
import pytest

from landbot_async import Event, WalkIncomplete
from landbot_async._core.models import Customer, Field, TranscriptMessage
from landbot_async._core.pagination import Rows
from landbot_async._core.resources.base import all_of, one, one_or, rows_of
from landbot_async._core.routes import GET_CUSTOMER, LIST_CUSTOMERS, LIST_MESSAGES, UPDATE_FIELD
from tests.core.test_responses import FAILURES, NOT_AN_ENVELOPE, STRICT, answer, unreadable
from tests.helpers import lent


@pytest.mark.parametrize(("body", "what"), FAILURES)
@pytest.mark.parametrize("read", [one(Customer), rows_of(Customer), all_of(Customer), one_or(Customer, Customer(1))])
def test_success_that_is_false(read: object, body: object, what: str) -> None:
    assert unreadable(read, body) == ("$.success", what)


def test_one() -> None:
    read = one(Customer)(answer({"success": True, "customer": {"id": 5, "name": "Ana"}}), GET_CUSTOMER, STRICT)
    assert read == Customer(id=5, name="Ana")


@pytest.mark.parametrize(
    ("body", "path", "what"),
    [
        *((body, "$", what) for body, what in NOT_AN_ENVELOPE),
        (b"", "$", "is empty"),
        ({}, "$.customer", "is missing"),
        ({"customer": None}, "$.customer", "is null instead of an object"),
        ({"customer": [{"id": 5}]}, "$.customer", "is an array instead of an object"),
        ({"customer": {}}, "$.customer.id", "is missing instead of a whole number"),
        ({"customer": {"id": "5"}}, "$.customer.id", "is a string instead of a whole number"),
    ],
)
def test_one_that_is_none(body: object, path: str, what: str) -> None:
    assert unreadable(one(Customer), body, GET_CUSTOMER) == (path, what)


def test_one_read_strictly() -> None:
    body = {"customer": {"id": 5, "custom_fields": {"city": {"name": 5}}}}
    assert unreadable(one(Customer), body, GET_CUSTOMER, STRICT)[0] == "$.customer.custom_fields.city.name"


@pytest.mark.parametrize("total", [None, 0, 2, 10**30])
def test_rows(total: int | None) -> None:
    read = rows_of(Customer)(answer({"customers": [{"id": 5}, {"id": 6}], "total": total}), LIST_CUSTOMERS, STRICT)
    assert read == Rows([Customer(id=5), Customer(id=6)], total)


def test_rows_without_a_total() -> None:
    assert rows_of(Customer)(answer({"customers": []}), LIST_CUSTOMERS, STRICT) == Rows([], None)


@pytest.mark.parametrize(
    ("body", "path", "what"),
    [
        *((body, "$", what) for body, what in NOT_AN_ENVELOPE),
        ({"total": 5}, "$.customers", "is missing"),
        ({"customers": None}, "$.customers", "is null instead of an array"),
        ({"customers": {"id": 5}}, "$.customers", "is an object instead of an array"),
        ({"customers": [], "total": "5"}, "$.total", "is a string instead of a whole number"),
        ({"customers": [], "total": True}, "$.total", "is a boolean instead of a whole number"),
        ({"customers": [], "total": 5.0}, "$.total", "is a number instead of a whole number"),
        ({"customers": [], "total": -1}, "$.total", "is negative"),
        ({"customers": [{"id": 5}, None]}, "$.customers[1]", "is null instead of an object"),
        ({"customers": [{"id": 5}, {"id": 6}, {}]}, "$.customers[2].id", "is missing instead of a whole number"),
    ],
)
def test_rows_that_are_none(body: object, path: str, what: str) -> None:
    assert unreadable(rows_of(Customer), body) == (path, what)


OTHERWISE = Field("city", "string", "Lyon")


@pytest.mark.parametrize("body", [b"", b" \r\n", {}, {"success": True}, {"success": True, "Field": {}}])
def test_one_or_otherwise(body: object) -> None:
    assert one_or(Field, OTHERWISE)(answer(body), UPDATE_FIELD, STRICT) is OTHERWISE


def test_one_rather_than_otherwise() -> None:
    read = one_or(Field, OTHERWISE)(answer({"field": {"name": "age", "value": 5}}), UPDATE_FIELD, STRICT)
    assert read == Field("age", None, 5)


@pytest.mark.parametrize(
    ("body", "path", "what"),
    [
        *((body, "$", what) for body, what in NOT_AN_ENVELOPE),
        ({"field": None}, "$.field", "is null instead of an object"),
        ({"field": {"name": 5}}, "$.field.name", "is a whole number instead of a string"),
    ],
)
def test_neither_one_nor_otherwise(body: object, path: str, what: str) -> None:
    assert unreadable(one_or(Field, OTHERWISE), body, UPDATE_FIELD, STRICT) == (path, what)


@pytest.mark.parametrize("total", [{}, {"total": 99}])
def test_all(total: dict[str, int]) -> None:
    """A listing that comes whole has no total; if there is one, it says nothing new."""
    body = {"messages": [{"type": "text"}, {"type": "event", "message": 7}], **total}
    read = all_of(TranscriptMessage)(answer(body), LIST_MESSAGES, STRICT)
    assert read == [TranscriptMessage("text"), TranscriptMessage("event", 7)]


@pytest.mark.parametrize(
    ("body", "path", "what"),
    [
        *((body, "$", what) for body, what in NOT_AN_ENVELOPE),
        (b"", "$", "is empty"),
        ({}, "$.messages", "is missing"),
        ({"messages": {}}, "$.messages", "is an object instead of an array"),
        ({"messages": [{}, 5]}, "$.messages[1]", "is a whole number instead of an object"),
        ({"messages": [{"type": 5}]}, "$.messages[0].type", "is a whole number instead of a string"),
    ],
)
def test_all_that_are_none(body: object, path: str, what: str) -> None:
    assert unreadable(all_of(TranscriptMessage), body, LIST_MESSAGES, STRICT) == (path, what)


@pytest.mark.anyio
async def test_a_walk_after_which_rows_may_be_missing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """By an event and, whoever listens, by a warning."""
    events: list[Event] = []
    page = httpx.Response(200, json={"customers": [{"id": 1}], "total": 5})
    async with lent(lambda _: page, on_event=events.append) as (landbot, requests):
        pages = landbot.customers.list()
        assert [customer.id for customer in await pages.collect()] == [1]
    assert pages.complete is False
    assert len(requests) > 3
    told = WalkIncomplete("GET", "/customers/", "unsettled")
    assert events[-1] == told
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == "GET /customers/: rows may be missing (unsettled)"
    assert record.__dict__["landbot_event"] == told


@pytest.mark.anyio
async def test_a_complete_walk_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    page = httpx.Response(200, json={"customers": [{"id": 1}], "total": 1})
    async with lent(lambda _: page) as (landbot, _):
        pages = landbot.customers.list()
        assert len(await pages.collect()) == 1
    assert pages.complete is True
    assert caplog.records == []
