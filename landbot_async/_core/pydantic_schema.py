"""The schemas by which pydantic reads, writes and describes records. It is imported when pydantic first meets one.

Neither this package nor its plain install needs pydantic.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final, get_args, get_origin

import attrs
from pydantic_core import (
    PydanticCustomError,
    PydanticSerializationUnexpectedValue,
    SchemaSerializer,
    ValidationError,
    core_schema,
)

from .converter import plain_type, read_model
from .decoding import DATETIME, LENIENT, DecodeError
from .secret import MASK

_JSON: Final[dict[Any, core_schema.CoreSchema]] = {
    bool: core_schema.bool_schema(),
    int: core_schema.int_schema(),
    str: core_schema.str_schema(),
    DATETIME[0]: core_schema.float_schema(),
}
_DICT: Final = SchemaSerializer(core_schema.dict_schema())


def schema_of(cls: Any, handler: Any) -> core_schema.CoreSchema:
    """Return the schema of a class of records.

    The schema accepts a record of the class, or its JSON, which is read as the client reads it. It writes what
    `to_dict` returns.

    Args:
        cls: the class.
        handler: pydantic's handler, which has the schemas of other classes.
    """

    def read(value: Any, _by_pydantic: object) -> Any:
        if isinstance(value, cls):
            return value
        try:
            return read_model(value, cls, LENIENT)
        except DecodeError as error:
            what = PydanticCustomError("landbot_record", "{what}", {"what": f"${error.path} {error.what}"})
            place = tuple(step for step in error.path.split(".") if step)
            # pydantic would show the value, which may hold tokens and phones.
            details: Any = [{"type": what, "loc": place, "input": MASK}]
            raise ValidationError.from_exception_data(cls.__name__, details) from None

    def write(value: Any, wish: Any) -> dict[str, Any]:
        if not isinstance(value, cls):
            raise PydanticSerializationUnexpectedValue(f"Expected {cls.__name__}, not {type(value).__name__}")
        # pydantic leaves it to a function to include and exclude keys.
        written: dict[str, Any] = _DICT.to_python(value.to_dict(), include=wish.include, exclude=wish.exclude)
        without_none = wish.exclude_none or wish.exclude_defaults
        return {name: item for name, item in written.items() if not (without_none and item is None)}

    return core_schema.no_info_wrap_validator_function(
        read,
        _described(cls, handler),
        ref=f"{cls.__module__}.{cls.__qualname__}:{id(cls)}",
        serialization=core_schema.plain_serializer_function_ser_schema(write, info_arg=True),
    )


def _described(cls: Any, handler: Any) -> core_schema.CoreSchema:
    """Return a schema with the keys of the JSON that are known. pydantic only describes it, and reads nothing by it."""
    fields: dict[str, core_schema.TypedDictField] = {}
    for attribute in attrs.fields(attrs.resolve_types(cls)):
        if attribute.name in ("extra", "_absent"):
            continue
        kind = plain_type(attribute.type)
        required = attribute.default is attrs.NOTHING
        schema = _JSON.get(kind) or core_schema.any_schema()
        if get_origin(kind) is Mapping:
            schema = core_schema.dict_schema(core_schema.str_schema(), handler.generate_schema(get_args(kind)[1]))
        if not required and schema["type"] != "any":
            schema = core_schema.nullable_schema(schema)
        fields[attribute.name] = core_schema.typed_dict_field(schema, required=required)
    return core_schema.typed_dict_schema(fields)


def json_schema_of(cls: Any, schema: core_schema.CoreSchema, handler: Any) -> dict[str, Any]:
    """Return the JSON schema of a class of records: what pydantic makes of `schema_of`, with texts and units."""
    described: dict[str, Any] = handler(schema)
    shape = handler.resolve_ref_schema(described)
    shape |= {"title": cls.__name__, "description": inspect.cleandoc(cls.__doc__), "additionalProperties": True}
    for attribute in attrs.fields(cls):
        if plain_type(attribute.type) is DATETIME[0]:
            shape["properties"][attribute.name]["description"] = "Unix seconds"
    return described
