"""The base of all frozen records, which are compared, hashed and shown by their attributes.

attrs would generate the same for each class, and take longer over it than httpx takes to import.
"""

from __future__ import annotations

from typing import Any

import attrs


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


def _fields(record: Any) -> tuple[attrs.Attribute[Any], ...]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(record))
    return fields
