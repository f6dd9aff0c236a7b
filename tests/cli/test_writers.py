"""Tables, JSON Lines and CSV: what strangers wrote stays text in each."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from landbot_async import Channel, Customer, CustomField, MessageHook
from landbot_async.cli.columns import CHANNELS, CUSTOMERS, HOOKS, WHOAMI, Listing, TokenReport
from landbot_async.cli.options import Format
from landbot_async.cli.safe_text import csv_cell, json_line
from landbot_async.cli.terminal import SAMPLE
from landbot_async.cli.writers import writer

from .texts import TEXTS, unsafe


def write(format: Format, listing: Listing, *items: Any, single: bool = False) -> str:
    file = io.StringIO()
    with writer(format, file, listing, single=single) as out:
        for item in items:
            out.write(item)
    return file.getvalue()


def ana(text: str) -> Customer:
    fields = {text: CustomField(text, "string", text)}
    return Customer(1, text, 8, None, False, False, text, text, True, custom_fields=fields)


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


def test_a_card_shows_what_there_is_with_custom_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    fields = {"city": CustomField("city", "string", "Lyon"), "empty": CustomField("empty")}
    lines = write(Format.TABLE, CUSTOMERS, Customer(1, "Ana", custom_fields=fields), single=True).splitlines()
    assert [line.split() for line in lines] == [["id", "1"], ["name", "Ana"], ["field", "city", "Lyon"]]
