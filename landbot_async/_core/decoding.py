"""The words that readers of JSON share: how strictly to read, and what was wrong where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import NoneType
from typing import Any, Final, NamedTuple


class DecodeError(ValueError):
    """JSON that is not what it should be. `path` is a JSON path, relative until it has been put `under` another."""

    def __init__(self, path: str, what: str, *, foreign: bool = False) -> None:
        super().__init__(path, what)
        self.path = path
        self.what = what
        self.foreign = foreign
        """True if it is the response to another request."""

    def __str__(self) -> str:
        return f"{self.path or '$'} {self.what}"

    def under(self, prefix: str) -> DecodeError:
        """The same, seen from further out."""
        return DecodeError(prefix + self.path, self.what)


class Mismatch(NamedTuple):
    """A value of another type than is known of its field."""

    model: str
    field: str
    expected: str
    received: str


class Decoding(NamedTuple):
    """How strictly to read, and whom to tell of what does not match."""

    strict: bool
    report: Callable[[Mismatch], None]


LENIENT: Final = Decoding(strict=False, report=lambda _: None)
STRICT: Final = LENIENT._replace(strict=True)


KINDS: Final[Mapping[Any, str]] = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "a boolean",
    datetime: "Unix seconds",
    dict: "an object",
    list: "an array",
    NoneType: "null",
}


def kind_of(value: Any) -> str:
    """What a decoded JSON value is, in JSON's words."""
    return KINDS.get(type(value), type(value).__name__)
