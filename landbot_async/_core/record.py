"""The base of all frozen records, which are compared, hashed and shown by their attributes.

attrs would generate the same for each class, and take longer over it than httpx takes to import.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import attrs

from .secret import masked_repr


class Record:
    """The base of a class made by `attrs.frozen(eq=False, repr=False)`; it honours what `attrs.field` says of each."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, each.name) == getattr(other, each.name) for each in _fields(self) if each.eq)

    def __hash__(self) -> int:
        hashed = [getattr(self, each.name) for each in _fields(self) if (each.eq if each.hash is None else each.hash)]
        return hash((type(self), *hashed))

    def __repr__(self) -> str:
        shown = [(each, getattr(self, each.name)) for each in _fields(self) if each.repr]
        parts = [f"{each.name}={each.repr(value) if callable(each.repr) else repr(value)}" for each, value in shown]
        return f"{type(self).__name__}({', '.join(parts)})"


@attrs.frozen(eq=False, repr=False)
class JSONRecord(Record):
    """The base of records that are read from JSON objects: it knows which keys were missing, as opposed to null."""

    if TYPE_CHECKING:
        pass
    else:
        # Only `attrs.evolve` passes it, so it is in no signature that a type checker or `help` shows.
        _absent: frozenset[str] = attrs.field(default=frozenset(), repr=False, eq=False, alias="_absent", kw_only=True)

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        init: Any = cls.__init__
        signature = inspect.signature(init)
        shown = [each for each in signature.parameters.values() if each.name != "_absent"]
        init.__signature__ = signature.replace(parameters=shown)


def extra_field() -> Any:
    """Return the declaration of an attribute for the keys that a record's class does not know."""
    return attrs.field(factory=dict, repr=masked_repr, hash=False)


def _fields(record: Any) -> tuple[attrs.Attribute[Any], ...]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(record))
    return fields
