"""Strictness of decoding, and the error that says which path of a JSON document did not match."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import NoneType
from typing import Any, Final, NamedTuple


class DecodeError(ValueError):
    """JSON that is not as expected. `path` is a JSON path, relative until it has been put `under` another."""

    def __init__(self, path: str, what: str, *, foreign: bool = False) -> None:
        super().__init__(path, what)
        self.path = path
        self.what = what
        self.foreign = foreign
        """True if it is the response to another request."""

    def __str__(self) -> str:
        return f"{self.path or '$'} {self.what}"

    def under(self, prefix: str) -> DecodeError:
        """Return the same error with `prefix` in front of its path."""
        return DecodeError(prefix + self.path, self.what)


class Mismatch(NamedTuple):
    """A value of another type than is known of its field."""

    model: str
    field: str
    expected: str
    received: str


class Decoding(NamedTuple):
    """The strictness of reading, and a function that is told of each mismatch if it is lenient."""

    strict: bool
    report: Callable[[Mismatch], None]


LENIENT: Final = Decoding(strict=False, report=lambda _: None)
STRICT: Final = LENIENT._replace(strict=True)


# The class `datetime`, in a tuple. A test that freezes time puts another class in its place, also in modules that are
# loaded already and while this one is imported.
DATETIME: Final[tuple[type[datetime]]] = (next(each for each in datetime.__mro__ if each.__module__ == "datetime"),)

KINDS: Final[Mapping[Any, str]] = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "a boolean",
    DATETIME[0]: "Unix seconds",
    dict: "an object",
    list: "an array",
    NoneType: "null",
}


def kind_of(value: Any) -> str:
    """Return the type of a decoded JSON value, in JSON's words."""
    return KINDS.get(type(value), type(value).__name__)
