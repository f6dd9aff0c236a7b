"""JSON to models and back, through one cattrs converter that casts nothing. `models` registers its classes here.

By default cattrs turns `5` into `"5"` and `"false"` into `True`; here every value must have the type of its field.

Most rows of a listing look alike, so a row is read by its layout (the known keys that it has) and its shape (the types
of their values). A shape that was read without a mismatch before is valid again, and costs one look-up. A row of a new
shape, or one whose conversion fails, is read in detail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import filterfalse
from operator import itemgetter
from types import NoneType
from typing import Any, Final, Literal, NamedTuple, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter

from .decoding import DATETIME, KINDS, LENIENT, DecodeError, Decoding, Mismatch, kind_of

T = TypeVar("T")

# How much to remember of one model. Real responses have a few of each; a hostile one must not fill the memory.
MOST_LAYOUTS = 64
MOST_SHAPES = 1024


class _InexactError(Exception):
    """A value that cannot be read exactly.

    Attributes:
        value: the part of it that can be read.
        mismatch: true if its type is wrong.
        inner: the place and the value of a part whose type is wrong, if it is only a part.
    """

    def __init__(self, value: Any = None, *, mismatch: bool = True, inner: tuple[str, Any] | None = None) -> None:
        super().__init__()
        self.value = value
        self.mismatch = mismatch
        self.inner = inner


class _Field(NamedTuple):
    """The functions that read and write one field. Without `write`, a value is written as it is."""

    name: str
    expected: str
    required: bool
    read: Callable[[Any, Decoding], Any]
    write: Callable[[Any], Any] | None
    empty: Callable[[], Any]

    def stands_for(self, raw: Any, value: Any) -> bool:
        """Return True if reading `raw` gives `value`."""
        try:
            read = self.read(raw, LENIENT)
        except _InexactError as inexact:
            read = inexact.value
        return bool(value == (self.empty() if read is None else read))

    def written(self, value: Any) -> Any:
        """Return the JSON for `value`."""
        return value if value is None or self.write is None else self.write(value)


class _Layout:
    """Rows that have the same known keys: the shapes among them that are known to match, and code that builds them."""

    __slots__ = ("absent", "build", "pick", "shapes", "size")

    def __init__(self, cls: type, fields: list[_Field], names: frozenset[str]) -> None:
        present = [field for field in fields if field.name in names]
        self.size = len(present)
        self.pick = _picker([field.name for field in present])
        self.absent = frozenset(field.name for field in fields) - names
        self.shapes: set[tuple[type, ...]] = set()
        self.build = _compile(cls, fields, names, self.absent)


class _Model:
    """The reader and writer of one attrs class."""

    def __init__(self, converter: Converter, cls: type) -> None:
        attributes = [each for each in attrs.fields(attrs.resolve_types(cls)) if each.name not in ("extra", "_absent")]
        self._cls: Any = cls
        self._fields = [_field(converter, attribute) for attribute in attributes]
        self._known = frozenset(field.name for field in self._fields)
        self._is_known = self._known.__contains__
        self._layouts: dict[frozenset[str], _Layout] = {}
        self._latest = self._layouts[self._known] = _Layout(cls, self._fields, self._known)
        self.usual = self._latest.build

    def read(self, data: Any, decoding: Decoding) -> Any:
        """Return the model for `data`: quickly if its shape has been validated before, otherwise in detail."""
        if type(data) is not dict:
            raise DecodeError("", f"is {kind_of(data)} instead of an object")
        extra = {name: data[name] for name in filterfalse(self._is_known, data)}
        layout = self._latest
        try:
            if len(data) - len(extra) != layout.size:
                raise KeyError
            values = layout.pick(data)
        except KeyError:
            found = self._layout(self._known.intersection(data))
            if found is None:
                return self._read_in_detail(data, extra, decoding, self._known.difference(data))
            layout = self._latest = found
            values = layout.pick(data)
        shape = tuple(map(type, values))
        if shape in layout.shapes:
            try:
                return layout.build(values, extra, decoding)
            except (_InexactError, DecodeError):
                pass
        elif len(layout.shapes) < MOST_SHAPES:
            return self._read_in_detail(data, extra, decoding, layout.absent, (layout, shape))
        return self._read_in_detail(data, extra, decoding, layout.absent)

    def _layout(self, names: frozenset[str]) -> _Layout | None:
        """Return the layout of rows with these known keys; None if there are too many layouts already."""
        layout = self._layouts.get(names)
        if layout is None and len(self._layouts) < MOST_LAYOUTS:
            layout = self._layouts[names] = _Layout(self._cls, self._fields, names)
        return layout

    def _read_in_detail(
        self,
        data: dict[str, Any],
        extra: dict[str, Any],
        decoding: Decoding,
        absent: frozenset[str],
        news: tuple[_Layout, tuple[type, ...]] | None = None,
    ) -> Any:
        """Return the model for `data`, field by field. `news` is the shape to remember if every value matches."""
        values: list[Any] = []
        for field in self._fields:
            value = data.get(field.name)
            try:
                if value is not None or field.required:
                    values.append(field.read(value, decoding))
                elif field.name in data and field.empty() is not None:
                    # It reads as no custom fields, but was not written as `{}`.
                    raise _InexactError(mismatch=False)
                else:
                    values.append(field.empty())
            except DecodeError as unreadable:
                raise unreadable.under(f".{field.name}") from None
            except _InexactError as inexact:
                news = None
                if inexact.mismatch:
                    place, culprit = inexact.inner or ("", value)
                    received = kind_of(culprit) if field.name in data else "missing"
                    if decoding.strict or field.required:
                        what = f"is {received} instead of {field.expected}"
                        raise DecodeError(f".{field.name}{place}", what) from None
                    decoding.report(Mismatch(self._cls.__name__, field.name, field.expected, received))
                values.append(field.empty() if inexact.value is None else inexact.value)
                extra[field.name] = value
        if news is not None:
            layout, shape = news
            layout.shapes.add(shape)
        return self._cls(*values, extra, _absent=absent)

    def write(self, value: Any) -> dict[str, Any]:
        """Return the JSON that `value` was read from, with the changes made by `attrs.evolve`.

        A value in `extra` under a field's name is the raw one. An absent field may have been filled in.
        """
        absent, extra = value._absent, value.extra  # noqa: SLF001  # its own
        written: dict[str, Any] = {}
        for field in self._fields:
            item = getattr(value, field.name)
            if field.name in extra and field.stands_for(extra[field.name], item):
                written[field.name] = extra[field.name]
            elif field.name not in absent or item not in (None, {}):
                written[field.name] = field.written(item)
        return {**written, **{name: item for name, item in extra.items() if name not in self._known}}


def _field(converter: Converter, attribute: attrs.Attribute[Any]) -> _Field:
    kind = plain_type(attribute.type)
    hook = converter.get_structure_hook(kind)
    read, write = _mapping_of(get_args(kind)[1]) if get_origin(kind) is Mapping else (hook, None)
    return _Field(
        name=attribute.name,
        expected=KINDS.get(kind, "an object"),
        required=attribute.default is attrs.NOTHING,
        read=read,
        write=_to_unix_seconds if kind is DATETIME[0] else write,
        empty=(lambda: None) if write is None else dict,
    )


def _picker(names: list[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if len(names) < 2:
        return lambda data: tuple(data[name] for name in names)
    return itemgetter(*names)


def _compile(
    cls: type, fields: list[_Field], names: frozenset[str], absent: frozenset[str]
) -> Callable[[tuple[Any, ...], dict[str, Any], Decoding], Any]:
    """Return a function that makes a `cls` of picked values.

    It fills the slots itself, which is twice as fast as `__init__` and skips no check, because there is none.
    """
    scope: dict[str, Any] = {"new": object.__new__, "cls": cls, "absent": absent}
    lines = ["def build(values, extra, decoding):", "    made = new(cls)"]
    lines.append(f"    ({''.join(f'{field.name}, ' for field in fields if field.name in names)}) = values")
    for field in fields:
        value = field.name if field.name in names else "None"
        if field.write:
            scope[f"read_{field.name}"], scope[f"empty_{field.name}"] = field.read, field.empty
            value = f"empty_{field.name}() if {value} is None else read_{field.name}({value}, decoding)"
        scope[f"set_{field.name}"] = getattr(cls, field.name).__set__
        lines.append(f"    set_{field.name}(made, {value})")
    for name in ("extra", "_absent"):
        scope[f"set_{name}"] = getattr(cls, name).__set__
    lines += ["    set_extra(made, extra)", "    set__absent(made, absent)", "    return made"]
    exec("\n".join(lines), scope)  # noqa: S102  # only names of our own attrs classes, as in attrs and cattrs
    build: Callable[[tuple[Any, ...], dict[str, Any], Decoding], Any] = scope["build"]
    return build


def plain_type(kind: Any) -> Any:
    """Return the type without `| None` or `| Any`, and without the literals that are only hints.

    A stand-in for `datetime`, of a test that freezes time, is `datetime`.
    """
    parts = [part for part in get_args(kind) if part not in (NoneType, Any) and get_origin(part) is not Literal]
    plain = parts[0] if len(parts) == 1 else kind
    return DATETIME[0] if isinstance(plain, type) and issubclass(plain, DATETIME) else plain


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _type: Any) -> Any:
        if type(value) is not kind:
            raise _InexactError
        return value

    return structure


_at: Final = DATETIME[0].fromtimestamp
_EPOCH: Final = _at(0, UTC)


def _from_unix_seconds(value: Any, _type: Any) -> datetime:
    kind = type(value)
    if kind is not int and kind is not float:
        raise _InexactError
    try:
        time = _at(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise _InexactError from None
    if kind is float and (time - _EPOCH).total_seconds() != value:
        # Finer than a microsecond, which is all that a datetime holds.
        raise _InexactError(time, mismatch=False)
    return time


def _to_unix_seconds(time: datetime) -> int | float:
    seconds = time.timestamp()
    return int(seconds) if seconds.is_integer() else seconds


_USUAL = ["name", "type", "value"]


def _mapping_of(cls: type) -> tuple[Callable[[Any, Decoding], Any], Callable[[Any], Any]]:
    """Return the functions that read and write objects of `cls` by name, such as the custom fields of a customer."""

    def read(value: Any, decoding: Decoding) -> dict[str, Any]:
        if type(value) is not dict:
            raise _InexactError
        usual = _model(cls).usual
        found = {
            name: usual(tuple(item.values()), {}, decoding)
            # By far the most frequent row of all, so it has a way of its own.
            if [*item] == _USUAL and type(item["name"]) is str and type(item["type"]) is str
            else _read_item(cls, name, item, decoding)
            for name, item in value.items()
            if type(item) is dict
        }
        if len(found) < len(value):
            odd = next(name for name in value if name not in found)
            raise _InexactError(found, inner=(_step(odd), value[odd]))
        return found

    def write(items: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _model(cls).write(item) for name, item in items.items()}

    return read, write


def _read_item(cls: type, name: str, item: dict[str, Any], decoding: Decoding) -> Any:
    try:
        return _model(cls).read(item, decoding)
    except DecodeError as unreadable:
        raise unreadable.under(_step(name)) from None


def _step(name: str) -> str:
    return f".{name}" if name.isidentifier() else f"[{json.dumps(name)}]"


_models: dict[type, _Model] = {}


def _model(cls: type) -> _Model:
    """Return the reader and writer of a class, made when it is first needed."""
    if cls not in _models:
        _models[cls] = _Model(converter, cls)
    return _models[cls]


converter: Final = Converter(detailed_validation=False)
"""The converter itself, for users of cattrs: `converter.unstructure(customer)` returns the JSON that came."""

for _kind in (int, float, str, bool):
    converter.register_structure_hook(_kind, _exactly(_kind))
converter.register_structure_hook(DATETIME[0], _from_unix_seconds)


def register(cls: type) -> None:
    """Teach `converter` to read and write a class of records."""
    converter.register_structure_hook(cls, lambda data, cls: _model(cls).read(data, LENIENT))
    converter.register_unstructure_hook(cls, json_of)


def json_of(record: Any) -> dict[str, Any]:
    """Return the JSON of a record as it came, with tokens."""
    return _model(type(record)).write(record)


def read_model(data: Any, cls: type[T], decoding: Decoding) -> T:
    """Return the model of class `cls` for decoded JSON.

    Raises:
        DecodeError: it is no object, its `id` is missing or wrong, or, when strict, any value is of another type.
    """
    made: T = (_models.get(cls) or _model(cls)).read(data, decoding)
    return made
