"""Customers per second: a page of 100 from decoded JSON, and from bytes, to models, beside pydantic 2 and msgspec.

All have the same fields, taken from `Customer`, and keep every unknown key.

* landbot_async: `Customer`, as the client reads it. A value of another type is told, kept and read as None; nothing
  is cast.
* pydantic 2: `extra="allow"`, and its fastest ways in (`TypeAdapter(list[…]).validate_python`, `model_validate_json`).
  It casts: `"5"` becomes 5, `"false"` False.
* msgspec: a `Struct` keeps no unknown keys, so JSON is decoded to dicts, each is converted, and the unknown keys are
  picked out beside it. Lax, because only then it takes Unix seconds for a `datetime`; so it casts as well.
* cattrs: the same `Customer` by a plain `cattrs.Converter()` with a hook for Unix seconds, and the unknown keys picked
  out beside it. It casts, and one value it cannot cast fails the page.

What strictness costs: the same reader with nothing checked, and how it fares where each row has another shape
(its fast decoding is to know the shapes of rows), which is the worst that honest data can do.

From bytes, pydantic and msgspec bring JSON readers of their own in Rust and C; the client reads with `json`.

Rounds are interleaved and medians are taken, because machines are noisy.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import filterfalse
from types import GenericAlias
from typing import Any, get_type_hints

import attrs
import cattrs
import msgspec
from pydantic import ConfigDict, TypeAdapter, create_model
from stage import Target, customer, table, verdict

from landbot_async import Customer, CustomField
from landbot_async._core.converter import _model, read_model
from landbot_async._core.decoding import LENIENT
from landbot_async._core.http import Response
from landbot_async._core.resources.base import rows_of
from landbot_async._core.routes import LIST_CUSTOMERS

ROWS = 100
REPEATS = 10
MOST = 1.5  # times pydantic: the target


def _fields(model: type, required: object, **instead: object) -> dict[str, tuple[Any, Any]]:
    """Return the types and defaults of a model's own fields, from which the other libraries' models are made."""
    hints = {**get_type_hints(model), **instead}
    known = [each for each in attrs.fields(model) if each.name not in ("extra", "_absent")]
    defaults = {each.name: required if each.default is attrs.NOTHING else each.default and {} for each in known}
    return {name: (hints[name], default) for name, default in defaults.items()}


def _pydantic(model: type, **instead: object) -> Any:
    fields: Any = _fields(model, ..., **instead)
    return create_model(model.__name__, __config__=ConfigDict(extra="allow", frozen=True), **fields)


def _msgspec(model: type, **instead: object) -> Any:
    fields = [(name, *field) for name, field in _fields(model, msgspec.NODEFAULT, **instead).items()]
    return msgspec.defstruct(model.__name__, [*fields, ("extra", dict[str, Any], {})])  # which is filled in beside


def _of(container: type, *kinds: Any) -> Any:
    return GenericAlias(container, kinds)


PydanticCustomer = _pydantic(Customer, custom_fields=_of(dict, str, _pydantic(CustomField)))
PydanticPage: Any = create_model("PydanticPage", success=bool, total=int, customers=_of(list, PydanticCustomer))
MsgspecField = _msgspec(CustomField, type=str | None)  # to msgspec, literals beside `str` are a mistake
MsgspecCustomer = _msgspec(Customer, custom_fields=_of(dict, str, MsgspecField))
_is_known = frozenset(_fields(Customer, None)).__contains__


def with_msgspec(rows: list[dict[str, Any]]) -> list[Any]:
    made: list[Any] = msgspec.convert(rows, _of(list, MsgspecCustomer), strict=False)
    for row, one in zip(rows, made, strict=True):
        one.extra = {name: row[name] for name in filterfalse(_is_known, row)}
        if any(name not in MsgspecField.__struct_fields__ for field in row["custom_fields"].values() for name in field):
            raise ValueError("a custom field with a key that would be lost")
    return made


def _plain_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromtimestamp(value, UTC))
    # The literals that are only hints: to cattrs, a union it cannot decide on.
    hint = get_type_hints(CustomField)["type"]
    converter.register_structure_hook(hint, lambda value, _: None if value is None else str(value))
    return converter


CATTRS = _plain_converter()


def with_cattrs(rows: list[dict[str, Any]]) -> list[Customer]:
    return [
        CATTRS.structure({**row, "extra": {name: row[name] for name in filterfalse(_is_known, row)}}, Customer)
        for row in rows
    ]


def ours(rows: list[dict[str, Any]]) -> list[Customer]:
    return [read_model(row, Customer, LENIENT) for row in rows]


def unchecked(rows: list[dict[str, Any]]) -> list[Any]:
    """Return our reader without type checks: the same code otherwise."""
    model, made = _model(Customer), list[Any]()
    model.read(rows[0], LENIENT)  # so that its layout is the latest
    layout = model._latest
    for row in rows:
        extra = {name: row[name] for name in filterfalse(_is_known, row)}
        made.append(layout.build(layout.pick(row), extra, LENIENT))
    return made


def motley(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of which hardly two have the same keys and nulls."""
    chance = random.Random(1)
    always = ("id", "custom_fields")
    return [
        {
            name: None if name not in always and chance.random() < 0.2 else value
            for name, value in row.items()
            if name in always or chance.random() < 0.8
        }
        for row in rows
    ]


def _measure(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Measure microseconds of CPU for a page in each round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, decoding in ways.items():
            begun = time.process_time_ns()
            for _ in range(REPEATS):
                decoding()
            if turn:  # the first warms up
                times[name].append((time.process_time_ns() - begun) / REPEATS / 1e3)
    return times


def _ratio(times: dict[str, list[float]], one: str, other: str) -> float:
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


def _report(title: str, times: dict[str, list[float]], base: str) -> None:
    rows = [
        [name, f"{micro:.0f} µs", f"{ROWS / micro * 1e6:,.0f}", f"{_ratio(times, name, base):.2f}"]
        for name, micro in ((name, statistics.median(taken)) for name, taken in times.items())
    ]
    table(title, ["", "a page", "customers/s", f"times {base}"], rows)


def _check(decoded: list[dict[str, Any]]) -> None:
    """Check that everything measured does the same work."""
    found = ours(decoded)
    if not found == unchecked(decoded) == with_cattrs(decoded):
        raise RuntimeError("they read different customers")
    for one, other, third in zip(
        found,
        TypeAdapter[Any](_of(list, PydanticCustomer)).validate_python(decoded),
        with_msgspec(decoded),
        strict=True,
    ):
        if not one.extra == other.model_extra == third.extra:
            raise RuntimeError("an unknown key is lost")
        if not one.last_message == other.last_message == third.last_message:
            raise RuntimeError("they read different times")


def _page() -> list[dict[str, Any]]:
    return [customer(number) for number in range(ROWS)]


def measure_page(rounds: int) -> list[Target]:
    """Measure a page beside pydantic and msgspec, from decoded JSON and from bytes."""
    decoded = _page()
    body = json.dumps({"success": True, "total": 2000, "customers": decoded}).encode()
    answer = Response(200, {}, body)
    adapter, read_page, decoder = (
        TypeAdapter[Any](_of(list, PydanticCustomer)),
        rows_of(Customer),
        msgspec.json.Decoder(),
    )
    _check(decoded)

    from_json = _measure(
        {
            "pydantic": lambda: adapter.validate_python(decoded),
            "msgspec": lambda: with_msgspec(decoded),
            "landbot_async": lambda: ours(decoded),
        },
        rounds,
    )
    _report(f"From decoded JSON: {ROWS} customers (medians of {rounds} rounds of {REPEATS})", from_json, "pydantic")
    from_bytes = _measure(
        {
            "pydantic": lambda: PydanticPage.model_validate_json(body),
            "msgspec": lambda: with_msgspec(decoder.decode(body)["customers"]),
            "landbot_async": lambda: read_page(answer, LIST_CUSTOMERS, LENIENT),
            "(json.loads alone)": lambda: json.loads(body),
        },
        rounds,
    )
    _report("From bytes", from_bytes, "pydantic")
    promise = f"a page takes at most {MOST} times as long as with pydantic"
    return [
        Target(f"{promise} ({name})", f"{ratio:.2f}", ratio <= MOST)
        for name, times in (("decoded JSON", from_json), ("bytes", from_bytes))
        for ratio in [_ratio(times, "landbot_async", "pydantic")]
    ]


def measure_exactness(rounds: int) -> None:
    """Measure the cost of checking every type, and of rows that are all different."""
    decoded = _page()
    mixed, adapter = motley(decoded), TypeAdapter[Any](_of(list, PydanticCustomer))
    cost = _measure(
        {
            "nothing checked": lambda: unchecked(decoded),
            "landbot_async": lambda: ours(decoded),
            "cattrs (casts)": lambda: with_cattrs(decoded),
        },
        rounds,
    )
    _report("What strict exactness costs, from decoded JSON", cost, "nothing checked")
    worst = _measure({"pydantic": lambda: adapter.validate_python(mixed), "landbot_async": lambda: ours(mixed)}, rounds)
    _report("The same where hardly two rows have the same keys and nulls", worst, "pydantic")


def main() -> None:
    parser = argparse.ArgumentParser(description="Customers per second, from JSON to models.")
    parser.add_argument("--quick", action="store_true", help="a fast look: fewer rounds")
    rounds = 10 if parser.parse_args().quick else 100
    targets = measure_page(rounds)
    measure_exactness(rounds)
    verdict(targets)


if __name__ == "__main__":
    main()
