"""The models: frozen, slotted values that compare, travel and show no token."""

import copy
import inspect
import json
import pickle
from datetime import UTC, datetime
from typing import Any, ClassVar

import attrs
import pytest

import landbot_async
from landbot_async._core.converter import converter
from landbot_async._core.models import (
    Channel,
    Customer,
    CustomField,
    Field,
    MessageHook,
    Template,
    TranscriptMessage,
)

MODELS: list[Any] = [
    Channel(id=1, name="Web", type="webchat", active=True, created_at=datetime(2025, 1, 1, tzinfo=UTC), token="t0ken"),
    CustomField(name="city", type="string", value=["Barcelona"], extra={"more": 1}),
    Customer(id=1, name="Ana", custom_fields={"city": CustomField("city", "string", "Barcelona")}, extra={"x": [1]}),
    Field(name="city", type="object", value={"a": ["Barcelona"]}, extra={"more": 1}),
    MessageHook(id=1, url="https://x.example/", token="t0ken", created_at=datetime(2025, 1, 1, tzinfo=UTC)),
    Template(id=1, params_number=2, text="Hi", extra={"languages": ["en"]}),
    TranscriptMessage(type="dialog", message="Pick", buttons=["Yes", "No"], urls=[None]),
    converter.structure({"type": 5, "message": {}, "agent_id": "x"}, TranscriptMessage),
    converter.structure({"id": 1, "name": 5, "meta_data": {"a": [1]}, "custom_fields": {"a": {}}}, Customer),
]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


@every_model
def test_it_is_frozen_and_slotted(model: Any) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        model.extra = {}
    assert not hasattr(model, "__dict__")
    assert getattr(landbot_async, type(model).__name__) is type(model)


@every_model
@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_it_travels_whole(model: Any, travel: Any) -> None:
    arrived = travel(model)
    assert arrived == model
    assert hash(arrived) == hash(model)
    assert repr(arrived) == repr(model)
    # What was absent stays absent, although no signature names it.
    assert "_absent" not in f"{inspect.signature(type(model))} {type(model).__match_args__}"
    assert converter.unstructure(attrs.evolve(model, extra=model.extra)) == converter.unstructure(model)
    assert converter.unstructure(arrived) == converter.unstructure(model)


def test_what_was_read_equals_what_was_made() -> None:
    read = converter.structure({"id": 1, "name": "Ana"}, Customer)
    assert read == Customer(id=1, name="Ana")
    assert read == converter.structure({"id": 1, "name": "Ana", "email": None}, Customer)
    assert len({read, Customer(id=1, name="Ana")}) == 1
    assert read != Customer(id=2, name="Ana")


@pytest.mark.parametrize("model", [Field, CustomField, TranscriptMessage])
def test_what_has_no_id_requires_nothing(model: Any) -> None:
    assert converter.unstructure(converter.structure({}, model)) == {}
    assert model() == converter.structure({}, model)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-03-04 05:06:07", datetime(2026, 3, 4, 5, 6, 7)),
        ("2026-03-04T05:06:07", datetime(2026, 3, 4, 5, 6, 7)),
        ("2026-03-04 05:06:07.25", datetime(2026, 3, 4, 5, 6, 7, 250000)),
        ("2026-03-04", datetime(2026, 3, 4)),
        ("2026-03-04 05:06:07Z", None),
        ("2026-03-04 05:06:07+01:00", None),
        ("2026-02-30 05:06:07", None),
        ("0000-00-00 00:00:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_message_s_time_is_naive_and_kept_as_it_came(written: str | None, at: datetime | None) -> None:
    message = TranscriptMessage(message_datetime=written)
    assert (message.at, message.message_datetime) == (at, written)


def test_an_event_s_message_is_a_number() -> None:
    raw = {"type": "event", "message": 77, "action": "assign", "agent_id": 77, "sender": "Ava"}
    message = converter.structure(raw, TranscriptMessage)
    assert (message.type, message.message, message.agent_id, message.extra) == ("event", 77, 77, {})


@pytest.mark.parametrize("model", [Channel, Customer, MessageHook, Template])
def test_only_the_id_is_required(model: Any) -> None:
    assert [each.name for each in attrs.fields(model) if each.default is attrs.NOTHING] == ["id"]
    with pytest.raises(TypeError):
        model()


def test_fields_are_the_plain_values() -> None:
    customer = Customer(
        id=1,
        name="Ana",
        custom_fields={"name": CustomField("name", "string", "Nan"), "id": CustomField("id", "integer", 5)},
    )
    assert customer.fields == {"name": "Nan", "id": 5}
    assert (customer.id, customer.name) == (1, "Ana")
    assert Customer(id=1).fields == {}


def test_custom_fields_and_their_twins_among_the_keys() -> None:
    """Landbot shows each custom field a second time beside the others."""
    field: dict[str, Any] = {"name": "city", "type": "string", "value": "Barcelona"}
    customer = converter.structure({"id": 1, "city": "Barcelona", "custom_fields": {"city": field}}, Customer)
    assert customer.fields["city"] == customer.extra["city"] == "Barcelona"
    assert customer.custom_fields["city"] == CustomField(**field)


def test_a_repr_has_no_token_and_no_bookkeeping() -> None:
    assert repr(Channel(id=1, token="t0ken", extra={"hook": {"token": "t0ken"}})) == (
        "Channel(id=1, name=None, type=None, active=None, created_at=None, token='***',"
        " extra={'hook': {'token': '***'}})"
    )
    assert "token=None" in repr(Channel(id=1))
    for model in MODELS:
        assert "t0ken" not in repr(model)
    assert "_absent" not in repr(converter.structure({"id": 1}, Customer))


def _customer(*fields: str) -> Customer:
    return Customer(1, custom_fields={name: CustomField(name, "string", name) for name in fields})


class TestToDict:
    RAW: ClassVar[dict[str, Any]] = {
        "id": 1,
        "name": None,
        "register_date": 1485789228,
        "agent_id": "7",
        "custom_fields": {
            "city": {"name": "city", "type": "string", "value": "Lyon"},
            "email": {"name": "email", "type": "string", "value": "a@b.c"},
            "token": {"name": "token", "type": "string", "value": "secret"},
        },
        "city": "Lyon",
        "meta": {"token": "secret", "n": 1},
    }

    def test_it_is_the_json_that_came_with_tokens_masked(self) -> None:
        expected = json.loads(json.dumps(self.RAW).replace('"secret"', '"***"'))
        assert converter.structure(self.RAW, Customer).to_dict() == expected

    def test_a_row(self) -> None:
        row = converter.structure(self.RAW, Customer).to_dict(flat=True)
        assert {name: value for name, value in row.items() if value is not None} == {
            "id": 1,
            "register_date": datetime(2017, 1, 30, 15, 13, 48, tzinfo=UTC),
            "city": "Lyon",
            "field_email": "a@b.c",
            "token": "***",
            "meta": {"token": "***", "n": 1},
        }
        assert "phone" in row
        assert "custom_fields" not in row

    def test_a_field_is_in_the_same_column_in_every_row(self) -> None:
        columns = {
            tuple(names): list(_customer(*names).to_dict(flat=True).items())[len(attrs.fields(Customer)) - 3 :]
            for names in (
                ["email", "efield_mail"],
                ["field_email", "email"],
                ["email", "field_email", "extra", "custom_fields", "field_x"],
            )
        }
        assert list(columns.values()) == [
            [("field_email", "email"), ("efield_mail", "efield_mail")],
            [("field_field_email", "field_email"), ("field_email", "email")],
            [
                ("field_email", "email"),
                ("field_field_email", "field_email"),
                ("extra", "extra"),
                ("custom_fields", "custom_fields"),
                ("field_x", "field_x"),
            ],
        ]

    def test_every_row_has_every_attribute(self) -> None:
        for record in MODELS:
            names = [each.name for each in attrs.fields(type(record)) if each.name not in ("custom_fields", "extra")]
            assert list(record.to_dict(flat=True))[: len(names) - 1] == names[1:]
            times = {name for name in names if isinstance(getattr(record, name), datetime)}
            row = record.to_dict(flat=True)
            assert {name: row[name] for name in times} == {name: getattr(record, name) for name in times}

    def test_a_messages_time_is_a_datetime_too(self) -> None:
        row = TranscriptMessage(message_datetime="2026-03-04 05:06:07").to_dict(flat=True)
        assert row["message_datetime"] == datetime(2026, 3, 4, 5, 6, 7)
        assert TranscriptMessage(message_datetime="soon").to_dict(flat=True)["message_datetime"] is None

    def test_other_records(self) -> None:
        assert Channel(8, token="secret").to_dict() == {
            "id": 8,
            "name": None,
            "type": None,
            "active": None,
            "created_at": None,
            "token": "***",
        }
        assert Channel(8, token="secret").to_dict(flat=True)["token"] == "***"

    def test_what_lies_too_deep_is_left_out(self) -> None:
        deep: list[Any] = []
        for _ in range(40):
            deep = [deep]
        assert "…" in json.dumps(Customer(1, meta_data=deep).to_dict(), ensure_ascii=False)
