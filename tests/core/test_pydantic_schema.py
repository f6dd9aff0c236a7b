"""Records in pydantic models and in FastAPI's routes: read as by the client, written as by `to_dict`, and described."""

import inspect
import subprocess
import sys
from types import GenericAlias
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, FastAPI
from hypothesis import given, settings
from pydantic import BaseModel, TypeAdapter, ValidationError

import landbot_async
from landbot_async import Agent, Channel, ChatCustomer, Customer, CustomField, Field, MessageHook, TranscriptMessage
from landbot_async._core.models import Model

from .test_converter import customers

SECRET = "f00d" * 10
RAW: dict[str, Any] = {
    "id": 1,
    "name": "Ana",
    "phone": "34600000001",
    "agent_id": "7",
    "register_date": 1485789228.5,
    "custom_fields": {
        "city": {"name": "city", "type": "string", "value": "Lyon"},
        "token": {"name": "token", "type": "string", "value": SECRET},
    },
    "city": "Lyon",
    "meta": {"token": SECRET, "n": 1},
}
CUSTOMER: Customer = landbot_async.converter.structure(RAW, Customer)
ATTRIBUTES = set(Customer.__match_args__) - {"custom_fields", "extra"}


class Ticket(BaseModel):
    customer: Customer
    place: Channel | None = None
    anything: Customer | Channel | str | None = None


def test_a_record_is_taken_as_it_is() -> None:
    assert Ticket(customer=CUSTOMER).customer is CUSTOMER


def test_json_is_read_as_the_client_reads_it() -> None:
    for ticket in (Ticket.model_validate({"customer": RAW}), Ticket.model_validate_json(_json({"customer": RAW}))):
        assert ticket.customer == CUSTOMER
        assert (ticket.customer.agent_id, ticket.customer.extra["agent_id"]) == (None, "7")


def _json(value: Any) -> bytes:
    return TypeAdapter(Any).dump_json(value)


def test_it_is_written_as_to_dict_writes_it() -> None:
    ticket = Ticket(customer=CUSTOMER, place=Channel(8, token=SECRET), anything=Channel(9))
    dumped = ticket.model_dump()
    assert dumped["customer"] == CUSTOMER.to_dict()
    assert dumped["place"]["token"] == "***"
    assert dumped["anything"] == Channel(9).to_dict()
    assert TypeAdapter(Any).validate_json(ticket.model_dump_json()) == dumped
    assert SECRET not in f"{ticket!r} {dumped} {ticket.model_dump_json()}"


def test_thousands_are_read_and_written() -> None:
    """Among them one that is wrong is named by its place, and without its value."""
    adapter = TypeAdapter(list[Customer])
    rows: list[dict[str, Any]] = [{**RAW, "id": number} for number in range(5000)]
    read = adapter.validate_json(TypeAdapter(Any).dump_json(rows))
    assert read == adapter.validate_python(rows) == [landbot_async.converter.structure(row, Customer) for row in rows]
    assert adapter.dump_python(read) == [each.to_dict() for each in read]
    rows[4321]["id"] = SECRET
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(rows)
    assert [error["loc"] for error in caught.value.errors()] == [(4321, "id")]
    assert SECRET not in str(caught.value)


def test_keys_are_left_out_on_request() -> None:
    ticket = Ticket(customer=CUSTOMER)
    assert ticket.model_dump(include={"customer": {"id", "name"}}) == {"customer": {"id": 1, "name": "Ana"}}
    written = ticket.model_dump(exclude={"customer": {"phone": True, "custom_fields": {"city": {"type"}}}})["customer"]
    assert written.keys() == RAW.keys() - {"phone"}
    assert written["custom_fields"]["city"] == {"name": "city", "value": "Lyon"}
    adapter = TypeAdapter(Channel)
    assert adapter.dump_python(Channel(8, name="Web"), exclude_none=True) == {"id": 8, "name": "Web"}
    assert adapter.dump_json(Channel(8), exclude_defaults=True) == b'{"id":8}'


@settings(max_examples=30)
@given(customers)
def test_what_was_written_can_be_read_again(row: dict[str, Any]) -> None:
    adapter = TypeAdapter(Customer)
    customer = adapter.validate_python(row)
    written = adapter.dump_python(customer)
    assert repr(adapter.dump_python(adapter.validate_python(written))) == repr(written)
    table_row = customer.to_dict(flat=True)
    for name in customer.custom_fields:
        assert (name if name not in ATTRIBUTES else f"field_{name}") in table_row
    assert table_row.keys() >= ATTRIBUTES


@pytest.mark.parametrize(
    ("value", "place", "text"),
    [
        ({"id": SECRET, "phone": "34600000001"}, ("id",), "$.id is a string instead of a whole number"),
        ({"token": SECRET, "phone": "34600000001"}, ("id",), "$.id is missing instead of a whole number"),
        ([SECRET], (), "$ is an array instead of an object"),
        (Channel(8, token=SECRET), (), "$ is Channel instead of an object"),
    ],
)
def test_an_error_names_the_place_and_shows_no_value(value: Any, place: tuple[str, ...], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Ticket.model_validate({"customer": value})
    [error] = caught.value.errors()
    assert (error["type"], error["loc"], error["msg"]) == ("landbot_record", ("customer", *place), text)
    assert error["input"] == "***"
    assert SECRET not in f"{caught.value} {caught.value.json()}"
    assert "34600000001" not in f"{caught.value} {caught.value.json()}"


def test_what_is_no_record_is_written_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="Expected Customer, not dict"):
        assert Ticket.model_construct(customer={"id": 1}).model_dump()["customer"] == {"id": 1}
    with pytest.warns(UserWarning, match="Expected Customer, not dict"):
        assert b'"customer":{"id":1}' in Ticket.model_construct(customer={"id": 1}).model_dump_json().encode()


PUBLIC: list[Any] = [getattr(landbot_async, name) for name in landbot_async.__all__]
RECORDS: list[Any] = [each for each in PUBLIC if isinstance(each, type) and issubclass(each, Model)]


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_is_described(record: Any) -> None:
    several: Any = GenericAlias(list, record)
    adapter: TypeAdapter[Any] = TypeAdapter(several)
    read, written = adapter.json_schema(mode="validation"), adapter.json_schema(mode="serialization")
    assert read == written
    described = read["$defs"][record.__name__]
    assert described["title"] == record.__name__
    assert described["description"] == inspect.getdoc(record)
    assert described["additionalProperties"] is True
    assert described.get("required", []) == (["id"] if hasattr(record, "id") else [])
    assert described["properties"].keys() == set(record.__match_args__) - {"extra"}
    times = {name for name, value in described["properties"].items() if value.get("description") == "Unix seconds"}
    annotations = record.__init__.__annotations__
    assert times == {name for name, kind in annotations.items() if "datetime" in str(kind)}


def test_the_records_are_nine() -> None:
    others = {Agent, ChatCustomer, CustomField, Field, MessageHook, TranscriptMessage}
    assert len(RECORDS) == 9
    assert others < set(RECORDS)


@pytest.mark.anyio
async def test_fastapi_returns_takes_and_describes_them() -> None:
    app = FastAPI()

    @app.get("/customers/{customer_id}")
    async def one(customer_id: int) -> Customer:
        return CUSTOMER

    @app.get("/customers", response_model_exclude={"__all__": {"phone"}})
    async def several() -> list[Customer]:
        return [CUSTOMER]

    @app.post("/names")
    async def name(customer: Annotated[Customer, Body()]) -> str | None:
        return customer.name

    @app.post("/tickets")
    async def ticket(ticket: Ticket) -> Ticket:
        return ticket

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as browser:
        assert (await browser.get("/customers/1")).json() == CUSTOMER.to_dict()
        [listed] = (await browser.get("/customers")).json()
        assert listed.keys() == RAW.keys() - {"phone"}
        assert (await browser.post("/names", json=RAW)).json() == "Ana"
        assert (await browser.post("/tickets", json={"customer": RAW})).json()["customer"] == CUSTOMER.to_dict()
        refused = await browser.post("/names", json={"id": SECRET})
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "id"])
        assert SECRET not in refused.text
        document = (await browser.get("/openapi.json")).json()
    assert {"Channel", "CustomField", "Customer", "Ticket"} <= document["components"]["schemas"].keys()
    shown = document["paths"]["/customers/{customer_id}"]["get"]["responses"]["200"]["content"]["application/json"]
    assert shown["schema"] == {"$ref": "#/components/schemas/Customer"}


def test_records_do_without_pydantic() -> None:
    code = "import sys; sys.modules['pydantic_core'] = None\nfrom landbot_async import Customer\nCustomer(1).to_dict()"
    subprocess.run([sys.executable, "-c", f"{code}\nassert 'pydantic' not in sys.modules"], check=True)
