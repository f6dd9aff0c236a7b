"""Reading models: nothing lost, nothing cast, cold and warm alike."""

import contextlib
import copy
import json
import math
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbot_async._core import converter as module
from landbot_async._core.converter import converter, plain_type, read_model
from landbot_async._core.decoding import LENIENT, DecodeError, Decoding, Mismatch, kind_of
from landbot_async._core.models import (
    Channel,
    Customer,
    CustomField,
    Field,
    MessageHook,
    Template,
    TranscriptMessage,
)

STRICT = Decoding(strict=True, report=LENIENT.report)
DATES = {"last_message", "register_date", "last_send_date", "last_receive_date", "created_at", "updated_at"}
TYPES: dict[str, Any] = {
    **dict.fromkeys(["id", "channel_id", "agent_id", "brand_id"], int),
    **dict.fromkeys(["name", "email", "phone", "avatar", "uuid", "last_message_content"], str),
    **dict.fromkeys(["archived", "unread", "opt_in", "blocked"], bool),
}
UNTYPED = ["meta_data", "paused_until", "ticket_id", "visitor_id"]


class Report(list[Mismatch]):
    """The mismatches that its decoding has reported."""

    def __init__(self) -> None:
        self.decoding = Decoding(strict=False, report=self.append)


def exact(value: Any) -> Any:
    """`value` for comparing by type too: True is not 1, 1 is not 1.0, nan is itself. Keys have no order."""
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return type(value), repr(value)


def as_json(value: dict[str, Any]) -> Any:
    """`exact`, but for whole Unix seconds: JSON knows no difference between 5 and 5.0, and a date has none."""
    whole = {
        name: int(item)
        for name, item in value.items()
        if name in DATES and type(item) is float and item.is_integer() and abs(item) < 1e11
    }
    return exact({**value, **whole})


# In the years of datetime, and far from them; whole, split, and finer than a microsecond.
seconds = st.integers() | st.floats() | st.integers(-(10**9), 10**10).map(lambda n: n / 100) | st.floats(0, 2e9)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | seconds
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
field_names = st.sampled_from(["id", "name", "type", "value", "extra", "token", "city"]) | st.text(max_size=4)
usual_fields = st.fixed_dictionaries({"name": st.text(max_size=4), "type": st.text(max_size=4), "value": json_values})
odd_fields = st.dictionaries(st.sampled_from(["name", "type", "value", "extra", "_absent"]), json_values)
custom_fields = st.dictionaries(field_names, usual_fields | odd_fields | scalars, max_size=3)
FITTING = {int: st.integers(), str: st.text(max_size=4), bool: st.booleans()}
fitting = {name: st.none() | FITTING[kind] for name, kind in TYPES.items() if name != "id"}
fitting |= dict.fromkeys(sorted(DATES - {"created_at", "updated_at"}), st.none() | seconds)
fitting |= {"custom_fields": st.none() | custom_fields}
known = st.fixed_dictionaries({"id": st.integers()}, optional=fitting)
surprises = st.dictionaries(
    st.sampled_from([*fitting, *UNTYPED, "extra", "_absent", "fields", "city", "values", "made", "decoding"])
    # hypothesis knows the words of this file as well.
    | st.text().filter(lambda name: name != "id"),
    json_values | custom_fields,
    max_size=4,
)
customers = st.builds(lambda row, more: {**row, **more}, known, surprises)


@settings(max_examples=200)
@given(customers)
def test_any_object_with_an_id_is_a_customer_and_nothing_is_lost(row: dict[str, Any]) -> None:
    before = copy.deepcopy(row)
    # The first row of a shape is read in detail, the others by what is known of it.
    for _ in range(3):
        customer = converter.structure(row, Customer)
        assert as_json(converter.unstructure(customer)) == as_json(row)
    assert exact(row) == exact(before)


@settings(max_examples=100)
@given(customers)
def test_nothing_is_cast(row: dict[str, Any]) -> None:
    for _ in range(2):
        report = Report()
        customer = read_model(row, Customer, report.decoding)
        for name, kind in TYPES.items():
            read, raw = getattr(customer, name), row.get(name)
            assert (
                (read is raw) if type(raw) is kind else (read is None and (raw is None or customer.extra[name] is raw))
            )
        for name in UNTYPED:
            assert getattr(customer, name) is row.get(name)
        for name in DATES - {"created_at", "updated_at"}:
            read = getattr(customer, name)
            assert read is None or (type(row[name]) in (int, float) and abs(read.timestamp() - row[name]) < 1e-6)
        told = {mismatch.field for mismatch in report if mismatch.model == "Customer"}
        assert told <= set(customer.extra)
        assert told.isdisjoint(name for name, kind in TYPES.items() if type(row.get(name)) in (kind, type(None)))


@settings(max_examples=100)
@given(customers)
def test_strict_raises_exactly_where_lenient_tells(row: dict[str, Any]) -> None:
    for _ in range(2):
        report = Report()
        customer = read_model(row, Customer, report.decoding)
        if report:
            with pytest.raises(DecodeError, match=r"^(\.|\[)"):
                read_model(row, Customer, STRICT)
        else:
            assert read_model(row, Customer, STRICT) == customer


OTHERS: list[Any] = [Channel, CustomField, Field, MessageHook, Template, TranscriptMessage]


def kinds(model: Any) -> dict[str, Any]:
    """Return the JSON type of each of the model's own attributes; None if any will do."""
    hints = {
        name: set(get_args(hint)) for name, hint in get_type_hints(model).items() if name not in ("extra", "_absent")
    }
    exact_kinds = {name: [kind for kind in (int, str, bool, datetime) if kind in hint] for name, hint in hints.items()}
    return {name: found[0] if found else None for name, found in exact_kinds.items()} | (
        {"id": int} if "id" in hints else {}
    )


def rows(model: Any) -> Any:
    """Objects that become a `model`: some values fit, some do not, some keys are strange."""
    strategies = {
        int: st.integers(),
        str: st.text(max_size=4),
        bool: st.booleans(),
        datetime: seconds,
        None: json_values,
    }
    values = {name: st.none() | strategies[kind] | json_values for name, kind in kinds(model).items() if name != "id"}
    required = {"id": st.integers()} if "id" in kinds(model) else {}
    return st.builds(
        lambda row, more: {**more, **row},
        st.fixed_dictionaries(required, optional=values),
        st.dictionaries(
            st.sampled_from(["extra", "_absent", "language", "values"]) | st.text(), json_values, max_size=3
        ),
    )


@pytest.mark.parametrize("model", OTHERS)
@given(data=st.data())
def test_any_object_is_read_and_nothing_is_lost_or_cast(model: Any, data: st.DataObject) -> None:
    """With an integer id where the model has one; without any where it has none."""
    row = data.draw(rows(model))
    before = copy.deepcopy(row)
    for _ in range(2):
        report = Report()
        made = read_model(row, model, report.decoding)
        assert as_json(converter.unstructure(made)) == as_json(row)
        told = {mismatch.field for mismatch in report}
        for name, kind in kinds(model).items():
            read, raw = getattr(made, name), row.get(name)
            if kind in (None, type(raw)):
                assert read is raw
                assert name not in told
            elif kind is datetime and read is not None:
                assert abs(read.timestamp() - raw) < 1e-6
                assert name not in told
            else:
                assert read is None
                assert (name in told) == (raw is not None)
                assert raw is None or made.extra[name] is raw
        assert {name for name in row if name not in kinds(model)} <= set(made.extra)
        assert all(made.extra[name] is row[name] for name in made.extra)
    assert exact(row) == exact(before)


@given(custom_fields)
def test_custom_fields_keep_their_names_and_values(raw: dict[str, Any]) -> None:
    for _ in range(2):
        read = read_model({"id": 1, "name": "Ana", "custom_fields": raw}, Customer, LENIENT)
        assert (read.id, read.name) == (1, "Ana")
        objects = {name: item for name, item in raw.items() if isinstance(item, dict)}
        assert list(read.custom_fields) == list(objects)
        assert all(type(field) is CustomField for field in read.custom_fields.values())
        assert exact(read.fields) == exact({name: item.get("value") for name, item in objects.items()})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("name", 5),
        ("name", True),
        ("name", ["a"]),
        ("archived", "False"),
        ("archived", 0),
        ("archived", 1),
        ("channel_id", "8"),
        ("channel_id", True),
        ("channel_id", 8.0),
        ("last_message", "1700000000"),
        ("last_message", True),
        ("last_message", 1e300),
        ("last_message", 10**30),
        ("last_message", math.inf),
        ("last_message", math.nan),
        ("custom_fields", []),
        ("custom_fields", "a"),
    ],
)
def test_a_wrong_value_reads_as_nothing_and_stays_in_extra(name: str, wrong: Any) -> None:
    row = {"id": 1, "uuid": "u", name: wrong}
    for _ in range(2):
        report = Report()
        customer = read_model(row, Customer, report.decoding)
        assert not getattr(customer, name)
        assert customer.uuid == "u"
        assert customer.extra == {name: wrong}
        [mismatch] = report
        assert mismatch[:2] == ("Customer", name)
        assert mismatch.received == kind_of(wrong)
        with pytest.raises(DecodeError) as caught:
            read_model(row, Customer, STRICT)
        assert caught.value.path == f".{name}"
        assert caught.value.what == f"is {mismatch.received} instead of {mismatch.expected}"


@pytest.mark.parametrize(
    ("row", "path", "what"),
    [
        (None, "", "is null instead of an object"),
        ([], "", "is an array instead of an object"),
        (5.5, "", "is a number instead of an object"),
        ({}, ".id", "is missing instead of a whole number"),
        ({"id": None}, ".id", "is null instead of a whole number"),
        ({"id": "1"}, ".id", "is a string instead of a whole number"),
        ({"id": 1.0}, ".id", "is a number instead of a whole number"),
        ({"id": True}, ".id", "is a boolean instead of a whole number"),
    ],
)
@pytest.mark.parametrize("decoding", [LENIENT, STRICT])
def test_the_object_and_its_id_are_strict_always(row: Any, path: str, what: str, decoding: Decoding) -> None:
    for model in (Customer, Channel, MessageHook, Template):
        with pytest.raises(DecodeError) as caught:
            read_model(row, model, decoding)
        assert (caught.value.path, caught.value.what) == (path, what)


@pytest.mark.parametrize(
    ("fields", "path", "what"),
    [
        ({"a": {"name": "a"}, "city": None}, ".custom_fields.city", "is null instead of an object"),
        ({"the city": 5}, '.custom_fields["the city"]', "is a whole number instead of an object"),
        ({"city": {"name": 5}}, ".custom_fields.city.name", "is a whole number instead of a string"),
        ({'"': {"type": []}}, '.custom_fields["\\""].type', "is an array instead of a string"),
    ],
)
def test_the_path_leads_into_custom_fields(fields: dict[str, Any], path: str, what: str) -> None:
    # Warm, because a row of a known shape has another way to fail.
    read_model({"id": 1, "custom_fields": {}}, Customer, STRICT)
    with pytest.raises(DecodeError) as caught:
        read_model({"id": 1, "custom_fields": fields}, Customer, STRICT)
    assert (caught.value.path, caught.value.what) == (path, what)


def test_a_custom_field_that_is_none_hides_no_other() -> None:
    report = Report()
    raw = {"a": {"name": "a", "type": "string", "value": "x"}, "city": 5}
    customer = read_model({"id": 1, "custom_fields": raw}, Customer, report.decoding)
    assert customer.fields == {"a": "x"}
    assert customer.extra == {"custom_fields": raw}
    assert report == [("Customer", "custom_fields", "an object", "a whole number")]


@pytest.mark.parametrize(("name", "wrong"), [("name", 5), ("type", True)])
def test_a_custom_field_that_looks_usual_is_not_cast_either(name: str, wrong: Any) -> None:
    report = Report()
    raw = {"a": {"name": "a", "type": "string", "value": "x", name: wrong}}
    custom = read_model({"id": 1, "custom_fields": raw}, Customer, report.decoding).custom_fields["a"]
    assert (getattr(custom, name), custom.extra) == (None, {name: wrong})
    assert [mismatch[:2] for mismatch in report] == [("CustomField", name)]


def test_an_odd_custom_field_is_told_of_itself() -> None:
    report = Report()
    raw = {"a": {"name": 5, "value": "x", "more": 1}}
    customer = read_model({"id": 1, "custom_fields": raw}, Customer, report.decoding)
    assert customer.custom_fields["a"] == CustomField(None, None, "x", {"more": 1, "name": 5})
    assert customer.extra == {}
    assert report == [("CustomField", "name", "a string", "a whole number")]


@pytest.mark.parametrize("row", [{"id": 1}, {"id": 1, "custom_fields": None}, {"id": 1, "custom_fields": {}}])
def test_no_custom_fields_are_an_empty_mapping(row: dict[str, Any]) -> None:
    for _ in range(2):
        customer = read_model(row, Customer, STRICT)
        assert customer.custom_fields == {}
        assert converter.unstructure(customer) == row


@pytest.mark.parametrize(
    ("raw", "read", "extra"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC), {}),
        (1700000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), {}),
        (1700000000.25, datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC), {}),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), {}),
        (1e-7, datetime(1970, 1, 1, tzinfo=UTC), {"created_at": 1e-7}),
        (None, None, {}),
    ],
)
def test_unix_seconds(raw: Any, read: datetime | None, extra: dict[str, Any]) -> None:
    for _ in range(2):
        channel = read_model({"id": 1, "created_at": raw}, Channel, STRICT)
        assert channel == Channel(id=1, created_at=read, extra=extra)
        assert exact(converter.unstructure(channel)) == exact({"id": 1, "created_at": raw})


def test_what_was_changed_is_written() -> None:
    customer = attrs.evolve(converter.structure({"id": 1}, Customer), name="Ana", archived=False)
    assert converter.unstructure(customer) == {"id": 1, "name": "Ana", "archived": False}


def test_what_was_changed_goes_before_how_it_came() -> None:
    raw = {"id": 1, "name": 5, "phone": 6, "last_message": 1.0000001, "register_date": 1e-7, "custom_fields": {"a": 1}}
    customer = converter.structure(raw, Customer)
    assert converter.unstructure(attrs.evolve(customer, email="a@x.example")) == {**raw, "email": "a@x.example"}
    changed = attrs.evolve(
        customer, name="Ana", last_message=datetime(2023, 11, 14, tzinfo=UTC), custom_fields={"b": CustomField("b")}
    )
    assert converter.unstructure(changed) == {
        **raw,
        "name": "Ana",
        "last_message": 1699920000,
        "custom_fields": {"b": {"name": "b", "type": None, "value": None}},
    }


def test_however_deep_it_is_nested() -> None:
    """JSON is nested here as deeply as Python decodes it, which may be deeper than its calls go."""
    rows: list[dict[str, Any]] = []
    with contextlib.suppress(RecursionError):
        while True:
            depth = 500 + 250 * len(rows)
            rows.append(json.loads('{"id": 1, "meta_data": ' + '{"a":' * depth + "1" + "}" * depth + "}"))
    assert rows
    for row in rows:
        written = converter.unstructure(converter.structure(row, Customer))
        assert written.keys() == row.keys()
        assert written["meta_data"] is row["meta_data"]


def test_one_made_by_hand_is_written_whole() -> None:
    written = converter.unstructure(Channel(id=1, created_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)))
    assert written == {**dict.fromkeys(["name", "type", "active", "token"]), "id": 1, "created_at": 1700000000}


def test_the_converter_reads_lists_and_options_too() -> None:
    assert converter.structure([{"id": 1}, {"id": 2}], list[Channel]) == [Channel(id=1), Channel(id=2)]
    assert converter.structure({"a": None}, dict[str, Channel | None]) == {"a": None}
    assert converter.structure({"name": "a"}, CustomField) == CustomField(name="a")
    assert json.dumps(converter.unstructure([Channel(id=1), 2])).startswith('[{"id": 1')


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> module._Model:
    """Return a reader with a small and empty memory."""
    monkeypatch.setattr(module, "MOST_LAYOUTS", 2)
    monkeypatch.setattr(module, "MOST_SHAPES", 2)
    return module._Model(converter, Channel)


def test_a_hostile_answer_does_not_fill_the_memory(fresh: module._Model) -> None:
    names = ["name", "type", "active", "token"]
    for number in range(16):
        some: dict[str, Any] = {"id": 1, **{name: None for bit, name in enumerate(names) if number >> bit & 1}}
        for _ in range(2):
            assert fresh.write(fresh.read(some, STRICT)) == some
    assert len(fresh._layouts) == 2
    for number in range(8):
        row: dict[str, Any] = {"id": 1, "name": None, "type": None, "active": None, "created_at": None, "token": None}
        row |= {name: "x" for bit, name in enumerate(["name", "type", "token"]) if number >> bit & 1}
        for _ in range(2):
            assert fresh.write(fresh.read(row, STRICT)) == row
    assert [len(layout.shapes) for layout in fresh._layouts.values()] == [2, 1]  # only its id, in one shape


def test_a_shape_with_a_mismatch_is_not_remembered(fresh: module._Model) -> None:
    for _ in range(3):
        assert fresh.read({"id": 1, "name": 5}, LENIENT).name is None
    assert not any(layout.shapes for layout in fresh._layouts.values())


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (5, "a whole number"),
        (5.0, "a number"),
        ("5", "a string"),
        (True, "a boolean"),
        (None, "null"),
        ({}, "an object"),
        ([], "an array"),
        (b"", "bytes"),
    ],
)
def test_kinds(value: object, kind: str) -> None:
    assert kind_of(value) == kind


def test_what_is_unreadable_tells_where() -> None:
    error = DecodeError(".id", "is null").under("[2]").under("$.customers")
    assert str(error) == "$.customers[2].id is null"
    assert str(DecodeError("", "is null")) == "$ is null"
    assert pickle.loads(pickle.dumps(error)).args == error.args


FROZEN = """
import datetime, sys

real = (datetime.datetime,)

class FakeDatetime(real[0]):
    __module__ = "freezegun.api"

def freeze():
    datetime.datetime = FakeDatetime
    for module in list(sys.modules.values()):
        for name in [name for name, value in vars(module).items() if value is real[0]]:
            setattr(module, name, FakeDatetime)

def read():
    from landbot_async._core.converter import converter, read_model
    from landbot_async._core.decoding import LENIENT
    from landbot_async._core.models import Customer
    customer = read_model({"id": 1, "last_message": 1747943104.5}, Customer, LENIENT)
    assert customer.last_message.isoformat() == "2025-05-22T19:45:04.500000+00:00", customer
    assert type(customer.last_message) is real[0] and not customer.extra
    assert converter.unstructure(customer) == {"id": 1, "last_message": 1747943104.5}
"""


@pytest.mark.parametrize("imported_before", [True, False])
def test_times_are_read_while_a_test_has_frozen_time(imported_before: bool) -> None:
    """Whether it freezes them before the models are imported or before they are first used."""
    first = "import landbot_async._core.converter\n" if imported_before else ""
    subprocess.run([sys.executable, "-c", f"{FROZEN}\n{first}freeze()\nread()"], check=True)


def test_a_stand_in_for_datetime_is_datetime() -> None:
    class FakeDatetime(datetime):
        pass

    assert plain_type(FakeDatetime | None) is plain_type(datetime | None) is datetime
