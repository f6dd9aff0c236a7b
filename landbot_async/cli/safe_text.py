r"""Texts of strangers as a terminal, JSON and a spreadsheet may have them: none breaks out of its place.

Characters that a terminal would obey or hide (control characters, escape sequences, bidirectional overrides) are shown
as JSON escapes such as `\u001b`; cells that a spreadsheet would run as a formula get an apostrophe in front.
"""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import datetime
from typing import Any, Final

import landbot_async
from landbot_async._core.secret import masked

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Persian, Hindi and emoji need them to join or separate letters; they have no other effect.
_JOINERS: Final = frozenset("\u200c\u200d")
# The beginning of a cell, also for programs that split at semicolons, as a Spanish spreadsheet does.
_FORMULA: Final = re.compile(r'(?:\A|(?<=;))(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20])')


def visible(text: str) -> str:
    """Return the text with every character that a terminal would not simply show as its JSON escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _harmless(char) else json.dumps(char)[1:-1] for char in text)


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in _UNSAFE or char in _JOINERS


def json_line(item: Any) -> str:
    """Return a record as Landbot sent it, without tokens, as one line of JSON with everything unsafe escaped.

    A dictionary is a row that the command has made itself.
    """
    return json_text(item if isinstance(item, dict) else landbot_async.converter.unstructure(item))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a JSON value, without tokens, as JSON with everything unsafe escaped; in one line unless indented."""
    return "\n".join(map(visible, _json(value, indent).split("\n")))


def table_cell(value: object) -> str:
    """Return a value as a person reads it, in one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return visible(_text(value))


def csv_cell(value: object) -> str:
    """Return a value as a spreadsheet may read it, in one line and never a formula."""
    text = visible(value.isoformat() if isinstance(value, datetime) else _text(value))
    return _FORMULA.sub("'", text)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else _json(value)


def _json(value: object, indent: int | None = None) -> str:
    # `masked` puts an ellipsis in the place of what is nested too deep.
    return json.dumps(masked(value), ensure_ascii=False, indent=indent, default=lambda _deep: "…")
