"""`landbot field`, run against a sandbox."""

from typing import Any

import pytest
import typer

from landbot_async.cli.commands.fields import FieldType, field_value
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot, rows


def test_a_field_is_set_and_read(sandbox: Sandbox) -> None:
    assert landbot("field", "set", "1", "size", "007")[0] == "Landbot accepted field size of customer 1.\n"
    assert sandbox.customer(1).fields["size"] == "007"
    [field] = rows("field", "get", "1", "size")
    assert (field["name"], field["type"], field["value"]) == ("size", "string", "007")
    landbot("field", "set", "1", "size", "7", "--type", "integer")
    assert sandbox.customer(1).fields["size"] == 7
    assert landbot("field", "get", "1", "size", "--format", "table")[0].split() == [
        "name",
        "size",
        "type",
        "integer",
        "value",
        "7",
    ]


def test_a_field_that_is_not_there_is_named(sandbox: Sandbox) -> None:
    said = landbot("field", "get", "1", "shoes", code=ExitCode.NOT_FOUND)[1]
    assert said == "There is no field shoes of customer 1 (404).\n"
    said = landbot("field", "set", "9999", "shoes", "x", code=ExitCode.NOT_FOUND)[1]
    assert said == "There is no customer 9999 (404).\n"


@pytest.mark.parametrize(
    ("text", "type", "value"),
    [
        ("5", FieldType.STRING, "5"),
        ("2026-12-01", FieldType.DATE, "2026-12-01"),
        ("2026-12-01T10:00:00", FieldType.DATETIME, "2026-12-01T10:00:00"),
        ("5", FieldType.INTEGER, 5),
        ("5", FieldType.FLOAT, 5),
        ("5.5", FieldType.FLOAT, 5.5),
        ("true", FieldType.BOOLEAN, True),
        ('{"a": 1}', FieldType.OBJECT, {"a": 1}),
    ],
)
def test_a_value_is_read_by_its_type(text: str, type: FieldType, value: Any) -> None:
    assert field_value(text, type) == value
    assert field_value(text, type).__class__ is value.__class__


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ("x", FieldType.INTEGER),
        ("5.5", FieldType.INTEGER),
        ("true", FieldType.INTEGER),
        ("true", FieldType.FLOAT),
        ("1", FieldType.BOOLEAN),
        ("True", FieldType.BOOLEAN),
        ("[]", FieldType.OBJECT),
    ],
)
def test_a_value_of_another_type_is_wrong_usage(text: str, type: FieldType) -> None:
    with pytest.raises(typer.BadParameter):
        field_value(text, type)
