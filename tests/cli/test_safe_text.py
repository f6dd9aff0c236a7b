"""What strangers wrote stays text in a terminal, in JSON and in a spreadsheet."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async import Customer, converter
from landbot_async.cli.safe_text import csv_cell, json_line, json_text, table_cell, visible

from .texts import TEXTS, unsafe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
SECRET_WORDS = ("token", "secret", "password", "authorization", "api_key", "api-key", "apikey")
AT = datetime(2026, 1, 2, 3, 4, 5, 600, UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ana", "Ana"),
        ("Zoë 漢字 محمد 🎈", "Zoë 漢字 محمد 🎈"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("\x1b[31mred\x1b[0m", r"\u001b[31mred\u001b[0m"),
        ("\x9b31m\x7f", r"\u009b31m\u007f"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028\u2066\ud800", r"\u2028\u2066\ud800"),
        ("\U000e0041", r"\udb40\udc41"),
        ("", ""),
    ],
)
def test_what_is_not_simply_shown_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(TEXTS)
def test_nothing_unsafe_is_left_of_any_text(text: str) -> None:
    assert not unsafe(visible(text))


@given(st.text(st.characters(codec=None, exclude_characters='"\\')))
def test_the_escapes_are_those_of_json(text: str) -> None:
    # By way of UTF-16, as JSON writes what is beyond it in two parts.
    read = json.loads(f'"{visible(text)}"')
    assert read.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


@pytest.mark.parametrize(
    ("value", "in_table", "in_csv"),
    [
        (None, "", ""),
        (True, "yes", "true"),
        (False, "no", "false"),
        (5, "5", "5"),
        (AT, "2026-01-02 03:04", "2026-01-02T03:04:05.000600+00:00"),
        (
            {"city": "Kraków", "token": "s3cret"},
            '{"city": "Kraków", "token": "***"}',
            '{"city": "Kraków", "token": "***"}',
        ),
        ("=1+1", "=1+1", "'=1+1"),
        ("+34 600", "+34 600", "'+34 600"),
        ("-1", "-1", "'-1"),
        ("@sum(1)", "@sum(1)", "'@sum(1)"),
        ("\uff1dcmd", "\uff1dcmd", "'\uff1dcmd"),
        ("  =1", "  =1", "'  =1"),
        ("\t=1", r"\t=1", r"\t=1"),
        ("a=1", "a=1", "a=1"),
        ('Ana;=1+1; "@x', 'Ana;=1+1; "@x', "Ana;'=1+1;' \"@x"),
        ({"city": ";=1"}, '{"city": ";=1"}', '{"city": ";\'=1"}'),
    ],
)
def test_values_as_people_and_spreadsheets_read_them(value: object, in_table: str, in_csv: str) -> None:
    assert table_cell(value) == in_table
    assert csv_cell(value) == in_csv


@given(st.dictionaries(TEXTS, JSON, max_size=4), st.integers())
def test_a_json_line_is_what_landbot_sent(sent: dict[str, Any], number: int) -> None:
    sent = {**sent, "id": number}
    line = json_line(converter.structure(sent, Customer))
    assert not unsafe(line)
    secret = any(word in json.dumps(sent).lower() for word in SECRET_WORDS)
    # As `json` itself reads it again: what came as two halves of a character is one.
    assert secret or json.loads(line) == json.loads(json.dumps(sent))


@pytest.mark.parametrize(
    ("indent", "text"),
    [
        (None, '{"a": ["\\u001b", "\\n"], "token": "***"}'),
        (1, '{\n "a": [\n  "\\u001b",\n  "\\n"\n ],\n "token": "***"\n}'),
    ],
)
def test_json_is_in_one_line_or_indented_and_always_harmless(indent: int | None, text: str) -> None:
    assert json_text({"a": ["\x1b", "\n"], "token": "s3cret"}, indent=indent) == text
