"""The base class of all resources, and the readers for their responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from landbot_async._core.converter import read_model
from landbot_async._core.decoding import DecodeError, Decoding, kind_of
from landbot_async._core.engine import Engine
from landbot_async._core.events import WalkIncomplete
from landbot_async._core.http import Response
from landbot_async._core.listeners import tell_incomplete
from landbot_async._core.pages import Pages
from landbot_async._core.pagination import Incomplete, Rows
from landbot_async._core.responses import Reader, envelope
from landbot_async._core.routes import Route

T = TypeVar("T")


class Resource:
    """A group of operations, bound to a client."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _pages(
        self,
        route: Route,
        model: type[T],
        params: Mapping[str, object],
        *,
        ids: Mapping[str, int | str] | None = None,
        page_size: int,
        offset: int,
        prefetch: int = 0,
    ) -> Pages[T]:
        read = rows_of(model)

        async def fetch(offset: int, limit: int) -> Rows:
            place = {"offset": offset, "limit": limit}
            return await self._engine.call(route, ids or {}, params={**params, **place}, read=read)

        def tell(reason: Incomplete) -> None:
            tell_incomplete(self._engine.options.on_event, WalkIncomplete(route.method, route.template, reason))

        return Pages(fetch, page_size=page_size, offset=offset, prefetch=prefetch, on_incomplete=tell)


def one(model: type[T]) -> Reader[T]:
    """Return a reader for a response that holds one `model` under its route's key."""

    def read(response: Response, route: Route, decoding: Decoding) -> T:
        key = route.key or ""
        found = envelope(response)
        if key not in found:
            raise DecodeError(f"$.{key}", "is missing")
        try:
            return read_model(found[key], model, decoding)
        except DecodeError as unreadable:
            raise unreadable.under(f"$.{key}") from None

    return read


def one_or(model: type[T], otherwise: T) -> Reader[T]:
    """Return a reader like `one`, for a response whose body is not documented: `otherwise` if it does not hold one."""
    read_one = one(model)

    def read(response: Response, route: Route, decoding: Decoding) -> T:
        holds_one = response.body.strip() and (route.key or "") in envelope(response)
        return read_one(response, route, decoding) if holds_one else otherwise

    return read


def all_of(model: type[T]) -> Reader[list[T]]:
    """Return a reader for a listing that comes whole."""
    read_rows = rows_of(model)
    return lambda response, route, decoding: read_rows(response, route, decoding).items


def rows_of(model: type[Any]) -> Reader[Rows]:
    """Return a reader for one page of a listing."""

    def read(response: Response, route: Route, decoding: Decoding) -> Rows:
        key = route.key or ""
        found = envelope(response)
        rows, total = found.get(key), found.get("total")
        if not isinstance(rows, list):
            raise DecodeError(f"$.{key}", f"is {kind_of(rows)} instead of an array" if key in found else "is missing")
        if total is not None and type(total) is not int:
            raise DecodeError("$.total", f"is {kind_of(total)} instead of a whole number")
        if total is not None and total < 0:
            raise DecodeError("$.total", "is negative")
        items: list[Any] = []
        try:
            items.extend(read_model(row, model, decoding) for row in rows)
        except DecodeError as unreadable:
            raise unreadable.under(f"$.{key}[{len(items)}]") from None
        return Rows(items, total)

    return read
