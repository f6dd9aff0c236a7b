"""The description of the Platform API, the endpoint table, the resource methods, the models and the sandbox say the same."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import datetime
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import anyio
import attrs
import httpx
import openapi_spec_validator
import pytest

import landbot_async
from landbot_async import (
    Agent,
    AsyncLandbot,
    AuthenticationError,
    Channel,
    Customer,
    CustomField,
    Field,
    LandbotError,
    MessageHook,
    NotFoundError,
    PreconditionFailedError,
    RateLimitError,
    Template,
    TranscriptMessage,
    UnprocessableEntityError,
)
from landbot_async._core.converter import read_model
from landbot_async._core.decoding import LENIENT
from landbot_async._core.routes import ROUTES, Route
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.apis.bodies import URL
from landbot_async.sandbox.apis.platform import FIELD_TYPES, HANDLERS
from tests import operations
from tests.descriptions import Description, Operation
from tests.helpers import Unlimited
from tests.operations import COMPOUND, run

PLATFORM = Description("platform.json")
SCHEMAS = PLATFORM.schemas
MODELS = (Agent, Channel, Customer, CustomField, Field, MessageHook, Template, TranscriptMessage)
RESOURCES = ("agents", "channels", "templates", "hooks", "customers", "fields")
ROUTE_OF = {(route.method, route.template): route for route in ROUTES}
OPERATIONS = {name: operation for name, operation in PLATFORM.operations.items() if operation.call in ROUTE_OF}
# In the description and the sandbox only, because one program uses it.
UNNAMED = {"agents.set_status": ("PUT", "/agents/")}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


# The document and the table


def test_the_document_is_valid() -> None:
    openapi_spec_validator.validate(PLATFORM.document)


def test_the_same_operations_everywhere() -> None:
    assert {operation.call: operation.id for operation in OPERATIONS.values()} == {
        call: operations.OPERATIONS[route].id for call, route in ROUTE_OF.items()
    }
    assert {name: each.call for name, each in PLATFORM.operations.items() if name not in OPERATIONS} == UNNAMED
    assert set(HANDLERS) == {*ROUTE_OF, *UNNAMED.values()}
    assert set(PLATFORM.document["paths"]) == {route.template for route in ROUTES}


@each_operation
def test_the_table_says_what_the_document_says(operation: Operation) -> None:
    route = ROUTE_OF[operation.call]
    assert operation.idempotent == route.idempotent
    assert operation.names("path") == {part[1:-1] for part in route.template.split("/") if part.startswith("{")}
    if route.gone is not None:
        assert str(route.gone) in operation.responses
    done = [status for status in operation.responses if status.startswith("2")]
    assert done == (["204"] if route.method == "DELETE" else ["200", "201"] if "create" in operation.id else ["200"])
    schema = operation.schema_of(int(done[0])) or {}
    assert {*PLATFORM.followed(schema).get("properties", ())} - {"success", "total"} == {route.key} - {None}


def test_the_urls_are_those_that_the_sandbox_takes() -> None:
    for schema in (SCHEMAS["NewHook"], SCHEMAS["Image"], SCHEMAS["TemplateParams"]["properties"]["header"]):
        assert schema["properties"]["url"]["pattern"] == URL


def test_the_field_types_are_the_sandbox_s() -> None:
    assert tuple(SCHEMAS["FieldValue"]["properties"]["type"]["enum"]) == FIELD_TYPES


def test_bodies_can_be_refused_for_what_they_have_too_much() -> None:
    body = {"template_id": 5, "template_language": "en", "template_params": {"body": {"params": []}}}
    more: dict[str, Any] = {**body, "template_params": {"body": {"params": [], "more": 1}}}
    assert (
        PLATFORM.errors_of(body, SCHEMAS["TemplateMessage"], closed=True)
        == PLATFORM.errors_of(more, SCHEMAS["TemplateMessage"])
        == []
    )
    assert PLATFORM.errors_of(more, SCHEMAS["TemplateMessage"], closed=True)


# The resource methods


class Recorder(httpx.AsyncBaseTransport):
    """The way to the sandbox, with what went along it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._transport = sandbox._transport
        self.calls: list[tuple[Operation, httpx.Request, httpx.Response]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        self.calls.append((_described(request), request, response))
        return response


def _described(request: httpx.Request) -> Operation:
    """Return the operation that a request is for."""
    parts = request.url.path.removeprefix("/v1").split("/")
    found = [
        operation
        for operation in OPERATIONS.values()
        if operation.call[0] == request.method and _fits(operation.call[1].split("/"), parts)
    ]
    # A path without braces is meant before one with them: OpenAPI 3.1, "Paths Object".
    return min(found, key=lambda operation: len(operation.names("path")))


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        known == part or (known.startswith("{") and part != "") for known, part in zip(template, parts, strict=True)
    )


@pytest.mark.anyio
@each_operation
async def test_each_method_makes_its_operation_with_all_that_it_takes(operation: Operation) -> None:
    sandbox = operations.workspace()
    recorder = Recorder(sandbox)
    async with (
        httpx.AsyncClient(transport=recorder) as pool,
        sandbox.client(http_client=pool, limiter=Unlimited(), strict=True) as landbot,
    ):
        await run(operations.OPERATIONS[ROUTE_OF[operation.call]].fullest, landbot)
    [(made, request, response)] = recorder.calls
    assert made.id == operation.id
    assert set(request.url.params) == operation.names("query")
    for param in operation.params:
        if param["in"] == "query":
            assert PLATFORM.errors_of(_typed(request.url.params[param["name"]]), param["schema"]) == []
    if operation.body is None:
        assert request.content == b""
    else:
        body = json.loads(request.content)
        assert PLATFORM.errors_of(body, operation.body, closed=True) == []
        assert set(body) == set(PLATFORM.followed(operation.body)["properties"])
    operation.check(response)


def _typed(text: str) -> Any:
    return json.loads(text) if text in ("true", "false") or text.isdecimal() else text


@pytest.mark.anyio
@pytest.mark.parametrize("name", COMPOUND)
async def test_methods_made_of_others(name: str) -> None:
    call, needed = COMPOUND[name]
    sandbox = operations.workspace()
    recorder = Recorder(sandbox)
    async with (
        httpx.AsyncClient(transport=recorder) as pool,
        sandbox.client(http_client=pool, limiter=Unlimited(), strict=True) as landbot,
    ):
        await call(landbot)
    assert {operation.id for operation, _, _ in recorder.calls} == needed


def test_there_is_no_other_method() -> None:
    landbot = AsyncLandbot("0" * 40)
    public = {
        f"{resource}.{name}"
        for resource in RESOURCES
        for name, _ in inspect.getmembers(getattr(landbot, resource), callable)
        if not name.startswith("_")
    }
    # To an agent it is the same method, with one more argument.
    assert public == ({each.id for each in operations.OPERATIONS.values()} | set(COMPOUND)) - {"customers.assign_agent"}


# The sandbox's refusals


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda landbot: landbot.customers.get(99), NotFoundError),
        (lambda landbot: landbot.channels.get(99), NotFoundError),
        (lambda landbot: landbot.hooks.get(8, 99), NotFoundError),
        (lambda landbot: landbot.fields.update(1, "nothing", 1), NotFoundError),
        (lambda landbot: landbot.customers.send_text(2, "Hi"), PreconditionFailedError),
        (lambda landbot: landbot.customers.assign_bot(2, 7), PreconditionFailedError),
        (lambda landbot: landbot.customers.unassign(3), PreconditionFailedError),
        (lambda landbot: landbot.customers.opt_out(3), PreconditionFailedError),
        (lambda landbot: landbot.fields.create(1, "a", 1, type="number"), UnprocessableEntityError),
        (lambda landbot: landbot.customers.send_template(1, 5, "xx"), UnprocessableEntityError),
    ],
)
async def test_a_refusal_is_described(call: Callable[[AsyncLandbot], Any], error: type[LandbotError]) -> None:
    async with Sandbox(customers=3, window="off") as sandbox:
        sandbox.customer(2).blocked = True
        sandbox.customer(3).agent_id, sandbox.customer(3).opt_in = 5, False
        recorder = Recorder(sandbox)
        async with (
            httpx.AsyncClient(transport=recorder) as pool,
            sandbox.client(http_client=pool, limiter=Unlimited()) as landbot,
        ):
            with pytest.raises(error):
                await call(landbot)
        [(operation, _, response)] = recorder.calls
        operation.check(response)


@pytest.mark.anyio
@each_operation
async def test_every_operation_may_be_refused_for_its_token_or_its_pace(operation: Operation) -> None:
    async with Sandbox(customers=3, rate=1, per=1e6) as sandbox:
        recorder = Recorder(sandbox)
        async with httpx.AsyncClient(transport=recorder) as pool:
            for token, error in (("no", AuthenticationError), (sandbox.token, RateLimitError)):
                async with sandbox.client(
                    token=token,
                    http_client=pool,
                    limiter=Unlimited(),
                    retry=landbot_async.RetryPolicy(max_wait=0, base=1),
                ) as landbot:
                    if error is RateLimitError:
                        await landbot.channels.get(8)
                    with pytest.raises(error):
                        await run(operations.OPERATIONS[ROUTE_OF[operation.call]].smallest, landbot)
        for _, _, response in (recorder.calls[0], recorder.calls[-1]):
            operation.check(response)
        await anyio.lowlevel.checkpoint()


# The models


@each_model
def test_the_model_has_the_properties_of_the_schema(model: type[Any]) -> None:
    schema = SCHEMAS[model.__name__]
    fields = {each.name: each for each in attrs.fields(model) if each.name not in ("extra", "_absent")}
    hints = get_type_hints(model)
    assert list(schema["properties"]) == list(fields)
    assert schema.get("required", []) == [name for name, each in fields.items() if each.default is attrs.NOTHING]
    assert {name: _kind(PLATFORM.followed(found)) for name, found in schema["properties"].items()} == {
        name: _json_kind(hints[name]) for name in fields
    }


def _kind(schema: dict[str, Any]) -> Any:
    kind = schema.get("type", "any")
    names = frozenset([kind] if isinstance(kind, str) else kind)
    return names, schema.get("format")


def _json_kind(hint: Any) -> Any:
    if hint is Any:
        return frozenset({"any"}), None
    parts = (
        [part for part in get_args(hint) if get_origin(part) is not Literal] if NoneType in get_args(hint) else [hint]
    )
    kinds = {int: "integer", str: "string", bool: "boolean", datetime: "number", NoneType: "null"}
    names = frozenset(kinds.get(part, "object") for part in parts)
    return names | ({"null"} if "object" in names else set()), "unix-seconds" if datetime in parts else None


@each_model
def test_the_examples_are_what_they_are_examples_of(model: type[Any]) -> None:
    schema = SCHEMAS[model.__name__]
    for example in schema["examples"]:
        assert PLATFORM.errors_of(example, schema) == []
        made = read_model(example, model, LENIENT._replace(strict=True))
        assert landbot_async.converter.unstructure(made) == example


@pytest.mark.parametrize(
    ("model", "wrong"), [(Channel, {"id": "8"}), (Customer, {"name": "Ava"}), (Template, {"id": 1, "text": 5})]
)
def test_the_schemas_can_refuse(model: type[Any], wrong: dict[str, Any]) -> None:
    assert PLATFORM.errors_of(wrong, SCHEMAS[model.__name__])


def test_routes_are_found_by_their_calls() -> None:
    assert all(isinstance(route, Route) for route in ROUTE_OF.values())
