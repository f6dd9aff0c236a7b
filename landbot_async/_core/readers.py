"""Reading models out of answers: what the resources hand to the engine."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from .answers import Reader, envelope
from .converter import read_model
from .http import Answer
from .reading import UnreadableError, Way, kind_of
from .routes import Route

T = TypeVar("T")


class Rows(NamedTuple):
    """One page as it came: the items, and how many there are in all if the answer says so."""

    items: list[Any]
    total: int | None


def one(model: type[T]) -> Reader[T]:
    """A reader for an answer that holds one `model` under its route's key."""

    def read(answer: Answer, route: Route, way: Way) -> T:
        key = route.key or ""
        found = envelope(answer)
        if key not in found:
            raise UnreadableError(f"$.{key}", "is missing")
        try:
            return read_model(found[key], model, way)
        except UnreadableError as unreadable:
            raise unreadable.under(f"$.{key}") from None

    return read


def one_or(model: type[T], otherwise: T) -> Reader[T]:
    """Like `one`, for an answer whose body is not documented: `otherwise` where it does not hold one."""
    read_one = one(model)

    def read(answer: Answer, route: Route, way: Way) -> T:
        holds_one = answer.body.strip() and (route.key or "") in envelope(answer)
        return read_one(answer, route, way) if holds_one else otherwise

    return read


def all_of(model: type[T]) -> Reader[list[T]]:
    """A reader for a listing that comes whole."""
    read_rows = rows_of(model)
    return lambda answer, route, way: read_rows(answer, route, way).items


def rows_of(model: type[Any]) -> Reader[Rows]:
    """A reader for one page of a listing."""

    def read(answer: Answer, route: Route, way: Way) -> Rows:
        key = route.key or ""
        found = envelope(answer)
        rows, total = found.get(key), found.get("total")
        if not isinstance(rows, list):
            raise UnreadableError(
                f"$.{key}", f"is {kind_of(rows)} instead of an array" if key in found else "is missing"
            )
        if total is not None and type(total) is not int:
            raise UnreadableError("$.total", f"is {kind_of(total)} instead of a whole number")
        if total is not None and total < 0:
            raise UnreadableError("$.total", "is negative")
        items: list[Any] = []
        try:
            items.extend(read_model(row, model, way) for row in rows)
        except UnreadableError as unreadable:
            raise unreadable.under(f"$.{key}[{len(items)}]") from None
        return Rows(items, total)

    return read
