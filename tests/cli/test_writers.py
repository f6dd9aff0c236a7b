"""Tables, JSON Lines and CSV: what strangers wrote stays text in each."""

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from landbot_async import Channel, Customer, CustomField, MessageHook, converter
from landbot_async.cli.columns import CHANNELS, CUSTOMERS, HOOKS, WHOAMI, Column, Listing, TokenReport
from landbot_async.cli.options import Format
from landbot_async.cli.writers import (
    SAMPLE,
    csv_cell,
    fitted,
    json_line,
    json_text,
    table_cell,
    tightened,
    visible,
    writer,
)

# Any text, and more often what is nasty.
TEXTS = st.text(
    st.characters(codec=None) | st.sampled_from("\x1b\x9b\r\n\t\0\x7f\u202e\u2066\u2028\ud800[]=+-@;,\"'\\ ")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
SECRET_WORDS = ("token", "secret", "password", "authorization", "api_key", "api-key", "apikey")
AT = datetime(2026, 1, 2, 3, 4, 5, 600, UTC)


def write(format: Format, listing: Listing, *items: Any, single: bool = False) -> str:
    file = io.StringIO()
    with writer(format, file, listing, single=single) as out:
        for item in items:
            out.write(item)
    return file.getvalue()


def ana(text: str) -> Customer:
    fields = {text: CustomField(text, "string", text)}
    return Customer(1, text, 8, None, False, False, text, text, True, custom_fields=fields)


def unsafe(text: str) -> list[str]:
    return [
        char
        for char in text
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in "\u200c\u200d"
    ]


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


@given(TEXTS, st.integers(1, 200))
def test_no_text_breaks_out_of_a_table(text: str, width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        shown = [write(Format.TABLE, CUSTOMERS, ana(text), single=single) for single in (False, True)]
    for table in shown:
        assert not unsafe(table.replace("\n", ""))
        assert all(cell_len(line) <= max(width, 2) for line in table.splitlines())


@given(TEXTS)
def test_csv_gives_back_each_cell_and_none_is_a_formula(text: str) -> None:
    customer = ana(text)
    written = write(Format.CSV, CUSTOMERS, customer, customer)
    names, *rows = list(csv.reader(io.StringIO(written)))
    assert written.count("\n") == 3
    assert not unsafe(written.replace("\n", ""))
    assert rows[0] == rows[1]
    row = dict(zip(names, rows[0], strict=True))
    assert row["name"] == row["email"] == csv_cell(text)
    # Some spreadsheets split at semicolons.
    elsewhere = [cell for row in csv.reader(io.StringIO(written), delimiter=";") for cell in row]
    for cell in (*rows[0], *elsewhere):
        assert not cell.lstrip().startswith(tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20"))


@given(st.dictionaries(TEXTS, JSON, max_size=4), st.integers())
def test_a_json_line_is_what_landbot_sent(sent: dict[str, Any], number: int) -> None:
    sent = {**sent, "id": number}
    line = json_line(converter.structure(sent, Customer))
    assert not unsafe(line)
    secret = any(word in json.dumps(sent).lower() for word in SECRET_WORDS)
    # As `json` itself reads it again: what came as two halves of a character is one.
    assert secret or json.loads(line) == json.loads(json.dumps(sent))


def test_json_lines_are_one_a_row() -> None:
    assert write(Format.JSONL, CUSTOMERS, Customer(1, "a\nb\u2028c"), Customer(2)).splitlines() == [
        json_line(Customer(1, "a\nb\u2028c")),
        json_line(Customer(2)),
    ]


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize(
    ("listing", "item"),
    [
        (CHANNELS, Channel(8, "Web", token="s3cret", extra={"api_token": "s3cret", "more": [{"secret": "s3cret"}]})),
        (HOOKS, MessageHook(1, "https://example.org/", "s3cret")),
        (WHOAMI, TokenReport("https://example.org/", [Channel(8, "Web", token="s3cret")], 3)),
        (CUSTOMERS, Customer(1, custom_fields={"token": CustomField("token", "string", "s3cret")})),
    ],
)
def test_no_token_is_shown(format: Format, single: bool, listing: Listing, item: object) -> None:
    assert "s3cret" not in write(format, listing, item, single=single)


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("single", [True, False])
def test_what_is_nested_too_deep_to_show_is_left_out(format: Format, single: bool) -> None:
    value: Any = "deep"
    for _ in range(100):
        value = {"in": value}
    customer = Customer(1, "Ana", custom_fields={"nest": CustomField("nest", "object", value)})
    shown = write(format, CUSTOMERS, customer, single=single)
    assert "Ana" in shown
    assert "deep" not in shown
    assert ("…" in shown) == (format is not Format.TABLE or single)


def test_markup_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = write(Format.TABLE, CUSTOMERS, Customer(1, "[red]Ana[/] :smile:"), Customer(2, "Bo", 8)).splitlines()
    assert [line.split() for line in lines] == [
        ["id", "name", "phone", "email", "channel", "opt_in", "last_message"],
        ["1", "[red]Ana[/]", ":smile:"],
        ["2", "Bo", "8"],
    ]
    assert lines[2].index("8") == lines[0].index("channel")


def test_no_column_is_wider_than_its_rows_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    people = [Customer(10, "Dmitri Almeida", 8, phone="34696336450"), Customer(9, "Bo", 10)]
    assert write(Format.TABLE, CUSTOMERS, *people).splitlines() == [
        "id  name            phone        email  channel  opt_in  last_message",
        "10  Dmitri Almeida  34696336450         8                            ",
        "9   Bo                                  10                           ",
    ]


def test_widths_come_from_the_first_rows_and_later_ones_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = write(Format.TABLE, CUSTOMERS, *[Customer(1, "Bo")] * SAMPLE, Customer(1, "Dmitri Bo")).splitlines()
    assert [line.split() for line in lines[-4:]] == [["1", "Bo"], ["1", "Dmit"], ["ri"], ["Bo"]]
    assert len(lines) == 1 + SAMPLE + 3


def test_rows_are_shown_when_the_widths_are_known() -> None:
    file = io.StringIO()
    with writer(Format.TABLE, file, CUSTOMERS) as out:
        for number in range(1, SAMPLE):
            out.write(Customer(number))
        assert file.getvalue() == ""
        out.write(Customer(SAMPLE))
        assert file.getvalue().count("\n") == SAMPLE + 1
        out.write(Customer(SAMPLE + 1))
        assert file.getvalue().count("\n") == SAMPLE + 2


def test_rows_that_wait_are_shown_if_the_walk_fails() -> None:
    file = io.StringIO()
    with pytest.raises(ZeroDivisionError), writer(Format.TABLE, file, CUSTOMERS) as out:
        out.write(Customer(1))
        raise ZeroDivisionError
    assert file.getvalue().count("\n") == 2


@pytest.mark.parametrize(
    ("indent", "text"),
    [
        (None, '{"a": ["\\u001b", "\\n"], "token": "***"}'),
        (1, '{\n "a": [\n  "\\u001b",\n  "\\n"\n ],\n "token": "***"\n}'),
    ],
)
def test_json_is_in_one_line_or_indented_and_always_harmless(indent: int | None, text: str) -> None:
    assert json_text({"a": ["\x1b", "\n"], "token": "s3cret"}, indent=indent) == text


def test_a_card_shows_what_there_is_with_custom_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    fields = {"city": CustomField("city", "string", "Lyon"), "empty": CustomField("empty")}
    lines = write(Format.TABLE, CUSTOMERS, Customer(1, "Ana", custom_fields=fields), single=True).splitlines()
    assert [line.split() for line in lines] == [["id", "1"], ["name", "Ana"], ["field", "city", "Lyon"]]


def _columns(*widths: tuple[int, int]) -> Sequence[Column]:
    return [Column(str(place), str, least, most) for place, (least, most) in enumerate(widths)]


@pytest.mark.parametrize(
    ("room", "widths"),
    [
        (1, [5]),
        (11, [5]),
        (12, [5, 5]),
        (13, [5, 6]),
        (19, [5, 12]),
        (20, [5, 5, 6]),
        (22, [5, 6, 7]),
        (27, [5, 9, 9]),
        (30, [5, 11, 10]),
        (100, [5, 20, 10]),
    ],
)
def test_as_many_columns_as_fit_share_the_room(room: int, widths: list[int]) -> None:
    # The last is for CSV single.
    assert [width for _, width in fitted(_columns((5, 5), (5, 20), (6, 10), (0, 0)), room)] == widths


def test_columns_are_tightened_to_their_cells() -> None:
    columns = [Column("a", str, 5, 5), Column("name", str, 5, 20), Column("c", str, 5, 20), Column("csv", str)]
    rows = [["12", "", "漢字漢字", "x"], ["1", "", "y" * 30, ""]]
    assert [(each.least, each.most) for each in tightened(columns, rows)] == [(2, 2), (4, 4), (5, 20), (0, 0)]
