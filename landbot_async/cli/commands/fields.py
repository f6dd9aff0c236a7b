"""`landbot field`: the custom fields of a customer."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from landbot_async.cli.lazy import LazyModule
from landbot_async.cli.options import CustomerId, Form, Output
from landbot_async.cli.typer_app import App, new_app

if TYPE_CHECKING:
    from landbot_async import AsyncLandbot
    from landbot_async.cli import columns, session
    from landbot_async.cli.session import Target
else:
    columns, session = LazyModule("columns"), LazyModule("session")

app: App = new_app(help="Get and set the custom fields of a customer.")

FieldName = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The field's name.")]


class FieldType(enum.StrEnum):
    """The types of custom fields."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    OBJECT = "object"


# The types whose values are written as JSON; the others are texts.
_JSON_TYPES: Final = {
    FieldType.INTEGER: (int,),
    FieldType.FLOAT: (int, float),
    FieldType.BOOLEAN: (bool,),
    FieldType.OBJECT: (dict,),
}


@app.command("get")
def get(customer_id: CustomerId, name: FieldName, format: Form = None, output: Output = None) -> None:
    """Show a custom field of a customer."""
    target = session.Target(format, output)
    session.run(
        lambda client: show_field(client, target, customer_id, name), about=f"field {name} of customer {customer_id}"
    )


async def show_field(landbot: AsyncLandbot, target: Target, customer_id: int, name: str) -> None:
    """Show a field."""
    with session.usage_errors():
        field = await landbot.fields.get(customer_id, name)
    target.show(columns.FIELDS, field)


@app.command("set")
def set_value(
    customer_id: CustomerId,
    name: FieldName,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", show_default=False, help="A text, unless --type says otherwise.")
    ],
    type: Annotated[FieldType, typer.Option(help="The field's type.")] = FieldType.STRING,
) -> None:
    """Set a custom field of a customer; it is created if it is missing."""
    content = field_value(value, type)
    session.run(
        lambda client: write_field(client, customer_id, name, content, type.value),
        about=f"customer {customer_id}",
        sends=True,
    )


async def write_field(landbot: AsyncLandbot, customer_id: int, name: str, value: Any, type: str) -> None:
    """Set a field, and print that Landbot accepted it."""
    with session.usage_errors():
        await landbot.fields.set(customer_id, name, value, type=type)
    session.accepted(f"Landbot accepted field {name} of customer {customer_id}.")


def field_value(text: str, type: FieldType) -> Any:
    """Return the value that an argument stands for."""
    if type not in _JSON_TYPES:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    # A bool is an int for Python, but not for Landbot.
    if not isinstance(value, _JSON_TYPES[type]) or (isinstance(value, bool) and type is not FieldType.BOOLEAN):
        raise typer.BadParameter(f"{text!r} is not JSON of the type {type.value}", param_hint="VALUE")
    return value
