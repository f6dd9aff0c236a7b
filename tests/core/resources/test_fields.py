"""`landbot.fields`: each operation on the wire, types from values, and many fields with each accounted for."""

import copy
import json
import pickle
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from enum import IntEnum
from functools import partial
from typing import Any, Literal

import anyio
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from landbot_async import (
    APIConnectionError,
    AsyncLandbot,
    Event,
    Field,
    FieldsError,
    LandbotError,
    NotFoundError,
    RequestSent,
    RetryPolicy,
    ServerError,
    TokenBucket,
    UnprocessableEntityError,
)
from landbot_async._core.attempts import retry_advice
from landbot_async._core.resources.fields import field_body
from landbot_async.sandbox import Sandbox
from tests.helpers import OK, Unlimited, lent

pytestmark = pytest.mark.anyio

PATH = "/v1/customers/1/fields/city/"
RAW = {"name": "city", "type": "string", "value": "Lyon", "extra": {"a": 1}, "more": 2}
# `extra` is the model's own word too, but what Landbot calls so is kept in it, as everything else.
MADE = Field("city", "string", "Lyon", {"extra": {"a": 1}, "more": 2})
ONE = httpx.Response(200, json={"success": True, "field": RAW})
BODY = {"type": "string", "value": "Lyon", "extra": {}}
LATER: Any = timezone(timedelta(hours=2))


class Level(IntEnum):
    HIGH = 3


# On the wire


@pytest.mark.parametrize(
    ("call", "answer", "method", "body", "result"),
    [
        (lambda fields: fields.get(1, "city"), ONE, "GET", None, MADE),
        (lambda fields: fields.delete(1, "city"), httpx.Response(204), "DELETE", None, None),
        (lambda fields: fields.create(1, "city", "Lyon"), ONE, "POST", BODY, MADE),
        (lambda fields: fields.update(1, "city", "Lyon"), ONE, "PUT", BODY, MADE),
        (lambda fields: fields.set(1, "city", "Lyon"), ONE, "PUT", BODY, MADE),
        (
            lambda fields: fields.create(1, "city", None, type="list", extra={"b": [1]}),
            ONE,
            "POST",
            {"type": "list", "value": None, "extra": {"b": [1]}},
            MADE,
        ),
        (
            lambda fields: fields.update(1, "city", "5", type="integer"),
            ONE,
            "PUT",
            {"type": "integer", "value": "5", "extra": {}},
            MADE,
        ),
        # What a write answers is not documented: without a field in it, it is what was accepted.
        *(
            (
                lambda fields: fields.set(1, "city", date(2026, 3, 4)),
                answer,
                "PUT",
                sent,
                Field("city", "date", "2026-03-04"),
            )
            for answer in (OK, httpx.Response(204), httpx.Response(200, json={}))
            for sent in ({"type": "date", "value": "2026-03-04", "extra": {}},)
        ),
    ],
)
async def test_on_the_wire(call: Any, answer: httpx.Response, method: str, body: object, result: object) -> None:
    async with lent(lambda _: answer) as (landbot, requests):
        assert await call(landbot.fields) == result
        [request] = requests
        assert (request.method, request.url.raw_path.decode()) == (method, PATH)
        assert request.content == b"" if body is None else json.loads(request.content) == body


@pytest.mark.parametrize(
    ("value", "kind", "written"),
    [
        (True, "boolean", True),
        (False, "boolean", False),
        (0, "integer", 0),
        (10**30, "integer", 10**30),
        (Level.HIGH, "integer", 3),
        (1.0, "float", 1.0),
        ("", "string", ""),
        ("True", "string", "True"),
        (datetime(2026, 3, 4, 5, 6, 7), "datetime", "2026-03-04T05:06:07"),
        (datetime(2026, 3, 4, tzinfo=UTC), "datetime", "2026-03-04T00:00:00+00:00"),
        (datetime(2026, 3, 4, 5, 6, 7, 8, LATER), "datetime", "2026-03-04T05:06:07.000008+02:00"),
        (date(2026, 3, 4), "date", "2026-03-04"),
        ({}, "object", {}),
        ({"a": [None, {"b": 1.5}]}, "object", {"a": [None, {"b": 1.5}]}),
    ],
)
async def test_the_type_is_what_the_value_is(value: object, kind: str, written: object) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        assert await landbot.fields.create(1, "x", value) == Field("x", kind, written)
        body = json.loads(requests[0].content)
        assert (body["type"], body["value"], type(body["value"])) == (
            kind,
            written,
            type(json.loads(json.dumps(written))),
        )
        # What is said goes before what it looks like.
        await landbot.fields.update(1, "x", value, type="string")
        assert json.loads(requests[1].content) == {**body, "type": "string"}


holds_itself: list[Any] = []
holds_itself.append(holds_itself)
deep: list[Any] = []
for _ in range(100_000):
    deep = [deep]


@pytest.mark.parametrize("verb", ["create", "update", "set", "set_many"])
@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"customer_id": 0}, ValueError, "customer_id"),
        ({"customer_id": "1"}, TypeError, "customer_id"),
        *(({"name": bad}, ValueError, "name") for bad in ("", "City", "my-city", "a b", "ç", "../x", "city\n", "٣")),
        ({"name": 5}, TypeError, "name"),
        *(({"value": bad}, TypeError, "value") for bad in (None, [1], b"x", {1}, object(), 1j)),
        ({"value": {"a": {1: "x", "1": "y"}}}, TypeError, "value"),
        *(({"value": bad}, ValueError, "value") for bad in (float("nan"), float("inf"), "\ud800", {"a": holds_itself})),
        ({"value": {"a": date(2026, 1, 1)}}, TypeError, "value"),
        ({"value": {"a": deep}}, ValueError, "value"),
    ],
)
async def test_bad_input_is_said_before_anything_is_sent(
    verb: str, arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    given_: dict[str, Any] = {"customer_id": 1, "name": "city", "value": "Lyon", **arguments}
    async with lent(lambda _: OK) as (landbot, requests):
        if verb == "set_many":
            many = {"fine": 1, given_["name"]: given_["value"], "good": 2}
            call = partial(landbot.fields.set_many, given_["customer_id"], many)
        else:
            call = partial(getattr(landbot.fields, verb), **given_)
        with pytest.raises(error, match=f"^({says}|values) must"):
            await call()
        assert not requests


@pytest.mark.parametrize("verb", ["create", "update", "set"])
@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"type": ""}, ValueError, "type"),
        ({"type": 5}, TypeError, "type"),
        ({"extra": {"a": {1}}}, TypeError, "extra"),
        ({"extra": [("a", 1)]}, TypeError, "extra"),
    ],
)
async def test_so_are_the_options(verb: str, arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        with pytest.raises(error, match=says):
            await getattr(landbot.fields, verb)(1, "city", "Lyon", **arguments)
        assert not requests


@pytest.mark.parametrize("verb", ["create", "update", "set"])
@pytest.mark.parametrize(
    ("type", "value", "error"),
    [
        ("date", "tomorrow", ValueError),
        ("date", "31/12/2025", ValueError),
        ("date", "2026-02-30", ValueError),
        ("date", "2026-01-02T03:04:05", ValueError),
        ("date", datetime(2026, 1, 2), TypeError),
        ("date", 1767323045, TypeError),
        ("datetime", "tomorrow", ValueError),
        ("datetime", True, TypeError),
    ],
)
async def test_a_date_is_checked_and_not_shown(verb: str, type: str, value: Any, error: Any) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        with pytest.raises(error, match=f"^value must be a {type} ") as caught:
            await getattr(landbot.fields, verb)(1, "since", value, type=type)
        assert not requests
    assert str(value) not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("type", "value", "written"),
    [
        ("date", date(2026, 1, 2), "2026-01-02"),
        ("date", "2026-01-02", "2026-01-02"),
        ("date", None, None),
        ("datetime", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        ("datetime", "2026-01-02 03:04", "2026-01-02 03:04"),
        ("datetime", date(2026, 1, 2), "2026-01-02"),
    ],
)
async def test_dates_are_sent_as_texts(type: str, value: Any, written: str | None) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        await landbot.fields.update(1, "since", value, type=type)
    assert json.loads(requests[0].content) == {"type": type, "value": written, "extra": {}}


@pytest.mark.parametrize("verb", ["get", "delete"])
@pytest.mark.parametrize("ids", [(0, "city"), ("1", "city"), (1, ""), (1, "City"), (1, None)])
async def test_so_is_a_name(verb: str, ids: tuple[Any, Any]) -> None:
    async with lent(lambda _: OK) as (landbot, requests):
        with pytest.raises((TypeError, ValueError), match=r"must (not )?be"):
            await getattr(landbot.fields, verb)(*ids)
        assert not requests


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
objects = st.dictionaries(
    st.text(max_size=4), st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=4), max_size=3
)


@example(float("inf"))
@given(st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.dates() | objects)
def test_a_value_goes_out_as_it_is_or_not_at_all(value: Any) -> None:
    try:
        body = field_body(value, None, None)
    except ValueError:
        assert isinstance(value, float)
        assert not abs(value) < float("inf")
        return
    sent = json.loads(json.dumps(body))["value"]
    if isinstance(value, date):
        assert type(value).fromisoformat(sent) == value
    else:
        assert (type(sent), sent) == (type(value), value)


# set


async def sandboxed(
    call: Callable[[Sandbox, Any], Any], *, retry: RetryPolicy | None = None
) -> tuple[Sandbox, list[str], Any]:
    """Run `call` against a sandbox with one customer. Return the sandbox, the methods of the requests and the result."""
    events: list[Event] = []
    ended: Any
    async with (
        Sandbox(customers=1, window="off") as sandbox,
        sandbox.client(limiter=Unlimited(), on_event=events.append, retry=retry or RetryPolicy(base=0)) as landbot,
    ):
        try:
            ended = await call(sandbox, landbot)
        except LandbotError as error:
            ended = error
    return sandbox, [event.method for event in events if isinstance(event, RequestSent)], ended


async def test_every_operation_in_the_sandbox() -> None:
    async with Sandbox(customers=1) as sandbox, sandbox.client(strict=True) as landbot:
        fields = landbot.fields
        for call in (fields.get(1, "plan_2"), fields.update(1, "plan_2", 5), fields.delete(1, "plan_2")):
            with pytest.raises(NotFoundError):
                await call
        assert await fields.set(1, "plan_2", 5) == await fields.get(1, "plan_2") == Field("plan_2", "integer", 5)
        assert await fields.set(1, "plan_2", "x") == await fields.get(1, "plan_2") == Field("plan_2", "string", "x")
        assert await fields.create(1, "id", True) == Field("id", "boolean", True)
        customer = await landbot.customers.get(1)
        assert (customer.id, customer.fields["id"], customer.fields["plan_2"]) == (1, True, "x")
        await fields.delete(1, "plan_2")
        assert "plan_2" not in sandbox.customer(1).fields
        with pytest.raises(UnprocessableEntityError) as caught:
            await fields.set(1, "plan_2", [1], type="list")
        assert caught.value.errors == {"type": ("Not a valid choice.",)}


@pytest.mark.parametrize(
    ("faults", "methods"),
    [
        ([], ["PUT", "POST"]),
        ([("POST", "lost_answer", 1)], ["PUT", "POST", "PUT"]),
        ([("POST", "cut", 1)], ["PUT", "POST", "PUT", "POST"]),
        ([("POST", 503, 2)], ["PUT", "POST"] * 3),
        ([("POST", "refused", 2)], ["PUT", "POST", "POST", "POST"]),
        ([("PUT", "lost_answer", 1)], ["PUT", "PUT", "POST"]),
    ],
)
async def test_a_missing_field_is_created_once_it_is_known_to_be_missing(
    faults: list[tuple[Literal["PUT", "POST"], Any, int]], methods: list[str]
) -> None:
    def call(sandbox: Sandbox, landbot: Any) -> Any:
        for method, what, times in faults:
            sandbox.fault(what, times=times, method=method)
        return landbot.fields.set(1, "age", 5)

    sandbox, sent, ended = await sandboxed(call)
    assert sent == methods
    assert ended == Field("age", "integer", 5)
    assert sandbox.customer(1).fields["age"] == 5


@pytest.mark.parametrize(
    ("what", "error", "safe", "creates"),
    [
        ("cut", APIConnectionError, False, 3),
        (503, ServerError, False, 3),
        (422, UnprocessableEntityError, True, 1),
        (404, NotFoundError, True, 1),
    ],
)
async def test_what_cannot_be_created_is_said(what: Any, error: type[LandbotError], safe: bool, creates: int) -> None:
    def call(sandbox: Sandbox, landbot: Any) -> Any:
        sandbox.fault(what, times=None, method="POST")
        return landbot.fields.set(1, "age", 5)

    sandbox, sent, ended = await sandboxed(call)
    assert type(ended) is error
    assert ended.safe_to_retry == safe
    assert sent == ["PUT", "POST"] * creates
    assert "age" not in sandbox.customer(1).fields


async def test_nobody_s_field() -> None:
    _, sent, ended = await sandboxed(lambda _, landbot: landbot.fields.set(99, "age", 5))
    assert sent == ["PUT", "POST"]
    assert (type(ended), ended.errors) == (NotFoundError, {"customer": ("Not found",)})


async def test_one_that_somebody_else_has_just_created_is_updated() -> None:
    there = False

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal there
        if request.method == "PUT":
            return OK if there else httpx.Response(404)
        there = True
        return httpx.Response(409, json={"errors": {"field": ["It exists already."]}})

    async with lent(answer) as (landbot, requests):
        assert await landbot.fields.set(1, "age", 5) == Field("age", "integer", 5)
        assert [request.method for request in requests] == ["PUT", "POST", "PUT"]


async def set_age(landbot: AsyncLandbot, value: int, found: list[Field]) -> None:
    found.append(await landbot.fields.set(1, "age", value))


async def test_racing_callers_all_set_it() -> None:
    for seed in range(10):
        async with (
            Sandbox(customers=1, window="off", latency=0.1, jitter=1.0, seed=seed) as sandbox,
            sandbox.client(limiter=Unlimited()) as landbot,
        ):
            found: list[Field] = []
            async with anyio.create_task_group() as group:
                for value in range(10):
                    group.start_soon(set_age, landbot, value, found)
            assert sorted(field.value for field in found) == list(range(10))
            assert sandbox.customer(1).fields["age"] in range(10)


# set_many


async def test_many_go_out_together_as_fast_as_the_limit_allows() -> None:
    values = {f"f{number}": number for number in range(25)}
    async with Sandbox(customers=1, latency=1.0) as sandbox, sandbox.client(limiter=TokenBucket()) as landbot:
        sandbox.customer(1).fields = dict.fromkeys(values, "old")
        begin = anyio.current_time()
        written = await landbot.fields.set_many(1, values)
        # 25 starts at ten a second, and one round trip.
        assert anyio.current_time() - begin == pytest.approx(2.4 + 1.0, abs=0.05)
        assert list(written) == list(values)
        assert {name: field.value for name, field in written.items()} == sandbox.customer(1).fields == values
        assert (sandbox.received, sandbox.refused) == (25, 0)


async def test_missing_ones_are_created() -> None:
    values = {"city": "Lyon", "age": 5, "vip": True, "born": date(2000, 1, 2), "more": {"a": None}}
    sandbox, sent, ended = await sandboxed(lambda _, landbot: landbot.fields.set_many(1, values))
    assert Counter(sent) == {"PUT": 5, "POST": 4}
    assert list(ended) == list(values)
    assert sandbox.customer(1).fields == {**values, "born": "2000-01-02", "plan": sandbox.customer(1).fields["plan"]}
    assert sandbox.customer(1).field_types["born"] == "date"


async def test_none_are_written_without_a_request() -> None:
    assert (await sandboxed(lambda _, landbot: landbot.fields.set_many(1, {})))[1:] == ([], {})
    async with lent(lambda _: OK) as (landbot, _):
        with pytest.raises(ValueError, match="customer_id"):
            await landbot.fields.set_many(0, {})
        for values in (None, "ab", [("a", 1), ("a", 2)]):
            with pytest.raises(TypeError, match="values must be a mapping"):
                await landbot.fields.set_many(1, values)  # type: ignore[arg-type]  # what is wrong is the test


@pytest.mark.parametrize(
    ("broken", "errors", "safe", "transient"),
    [
        ({"b": 422}, {"b": UnprocessableEntityError}, True, False),
        ({"b": 503}, {"b": ServerError}, False, True),
        ({"a": 422, "c": 503}, {"a": UnprocessableEntityError, "c": ServerError}, False, True),
        ({"a": 422, "b": 422, "c": 422}, dict.fromkeys("abc", UnprocessableEntityError), True, False),
    ],
)
async def test_what_failed_is_told_beside_what_was_written(
    broken: dict[str, int], errors: dict[str, type[LandbotError]], safe: bool, transient: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        status = broken.get(request.url.path.split("/")[-2])
        if status is None:
            return OK
        return httpx.Response(404 if request.method == "PUT" and status == 503 else status)

    async with lent(answer, retry=RetryPolicy(attempts=1)) as (landbot, _):
        with pytest.raises(FieldsError) as caught:
            await landbot.fields.set_many(1, {"a": 1, "b": 2, "c": 3})
    error = caught.value
    for each in (error, copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert {name: type(why) for name, why in each.failed.items()} == errors
        assert {name: str(why) for name, why in each.failed.items()} == {n: str(why) for n, why in error.failed.items()}
        assert list(each.failed) == [name for name in "abc" if name in errors]
        assert each.written == {n: Field(n, "integer", v) for n, v in (("a", 1), ("b", 2), ("c", 3)) if n not in errors}
        assert (each.safe_to_retry, each.transient) == (safe, transient)
        assert (each.method, each.route) == ("PUT", "/customers/{customer_id}/fields/{field_name}/")
        assert each.attempts == sum(why.attempts for why in error.failed.values())
        causes = ", ".join(f"{name} ({kind.__name__})" for name, kind in errors.items())
        assert str(each).startswith(f"{len(errors)} of 3 fields were not written: {causes}. `.failed` says why,")
        assert str(each).endswith(retry_advice(safe, transient))


async def test_an_error_that_is_not_landbot_s_comes_as_it_is() -> None:
    class Broken(Unlimited):
        async def acquire(self) -> None:
            await super().acquire()
            raise ZeroDivisionError

    async with lent(lambda _: OK, limiter=Broken()) as (landbot, requests):
        with pytest.raises(ZeroDivisionError):
            await landbot.fields.set_many(1, {"a": 1, "b": 2})
        assert not requests


async def test_cancelled_in_the_middle_it_leaves_nothing_behind() -> None:
    values = {f"f{number}": number for number in range(40)}
    async with Sandbox(customers=1, latency=1.0) as sandbox, sandbox.client(limiter=TokenBucket()) as landbot:
        sandbox.customer(1).fields = dict.fromkeys(values, "old")
        with anyio.move_on_after(2.05) as scope:
            await landbot.fields.set_many(1, values)
        assert scope.cancelled_caught
        await anyio.sleep(10)
        written = [value for value in sandbox.customer(1).fields.values() if value != "old"]
        # Those that had arrived: they take half a second.
        assert len(written) == 16
        assert landbot._engine.connection.places.held == 0
        assert len(await landbot.fields.set_many(1, values)) == 40
        assert sandbox.customer(1).fields == values
