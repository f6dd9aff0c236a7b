"""Spreadsheets in every dialect that people have."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.cli.campaign.spreadsheet import (
    DELIMITERS,
    Spreadsheet,
    SpreadsheetError,
    decoded,
    dialect,
    read_spreadsheet,
)

ROWS = "phone,Name ,city\n34600000001,Zoë,Łódź\n,,\n 34600000002 ,Bo,\n"


def read(tmp_path: Path, content: bytes | str, name: str = "spring.csv", encoding: str | None = None) -> Spreadsheet:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_spreadsheet(path, encoding)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ROWS.encode(), "UTF-8, comma"),
        (ROWS.encode("utf-8-sig"), "UTF-8 with BOM, comma"),
        (ROWS.encode("utf-16"), "UTF-16, comma"),
        (b"\xfe\xff" + ROWS.encode("utf-16-be"), "UTF-16, comma"),
        (ROWS.replace(",", ";").encode(), "UTF-8, semicolon"),
        (ROWS.replace(",", "\t").encode(), "UTF-8, tab"),
        (ROWS.replace(",", "|").encode(), "UTF-8, bar"),
        (ROWS.replace("\n", "\r\n").encode(), "UTF-8, comma"),
        (b"sep=;\r\n" + ROWS.replace(",", ";").encode(), "UTF-8, semicolon"),
        (b"sep=\t\r\n" + ROWS.replace(",", "\t").encode(), "UTF-8, tab"),
    ],
)
def test_each_dialect_is_recognised_and_said(content: bytes, said: str, tmp_path: Path) -> None:
    sheet = read(tmp_path, content)
    assert sheet.said == said
    assert sheet.columns == ("phone", "name", "city")
    # The numbers are those that a spreadsheet program shows.
    assert [(row.number, dict(row.cells)) for row in sheet.rows] == [
        (2, {"phone": "34600000001", "name": "Zoë", "city": "Łódź"}),
        (4, {"phone": "34600000002", "name": "Bo", "city": ""}),
    ]
    assert sheet.blank == 1


def test_what_is_not_utf_8_is_read_as_windows_writes_it(tmp_path: Path) -> None:
    sheet = read(tmp_path, "phone;name\n34600000001;Zoë – €5\n".encode("cp1252"))
    assert sheet.said == "Windows-1252 (not UTF-8), semicolon"
    assert sheet.rows[0].cells["name"] == "Zoë – €5"
    assert read(tmp_path, b"name\nZo\xeb \x81\n").said == "Latin-1 (not UTF-8), comma"


def test_an_encoding_can_be_named(tmp_path: Path) -> None:
    assert read(tmp_path, "name\nŁódź\n".encode("cp1250"), encoding="cp1250").rows[0].cells == {"name": "Łódź"}
    for encoding in ("ascii", "no-such-thing"):
        with pytest.raises(SpreadsheetError, match=f"cannot be read as {encoding}"):
            read(tmp_path, "name\nŁódź\n", encoding=encoding)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"PK\3\4\0\0", "is not text. Save the spreadsheet as CSV"),
        (b"\xff\xfea", "begins like UTF-16, but is not"),
        (b"name,Name\n", "Several columns are called name"),
        (b'a\n"open\n', "cannot be read at line 2"),
        (b"\n \n", "is empty"),
    ],
)
def test_what_is_no_spreadsheet_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(SpreadsheetError, match=why):
        read(tmp_path, content)


def test_cells_that_are_too_many_or_too_few(tmp_path: Path) -> None:
    sheet = read(tmp_path, "a,b\n1\n1,2,3\n1,2,\n")
    assert [(row.number, dict(row.cells), row.fault) for row in sheet.rows] == [
        (2, {"a": "1", "b": ""}, ""),
        (3, {"a": "1", "b": "2"}, "has 1 more cells than there are columns"),
        (4, {"a": "1", "b": "2"}, ""),
    ]


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    sheet = read(tmp_path, "a,,b,\n1,2,3,\n")
    assert sheet.columns == ("a", "b")
    assert sheet.rows[0].cells == {"a": "1", "b": "3"}


def test_blank_rows_may_stand_above_the_names(tmp_path: Path) -> None:
    sheet = read(tmp_path, "\n;;\na;b\n1;2\n")
    assert sheet.columns == ("a", "b")
    assert [(row.number, dict(row.cells)) for row in sheet.rows] == [(4, {"a": "1", "b": "2"})]


def test_json_lines_are_rows_too(tmp_path: Path) -> None:
    lines = [
        '{"Phone": 34600000001, "name": " Zoë "}',
        "",
        '{"phone": 3.47E+10, "vip": true, "name": null}',
        "[1]",
        "{",
        "[" * 100_000,
    ]
    sheet = read(tmp_path, "\n".join(lines), "spring.jsonl")
    assert sheet.said == "UTF-8, JSON Lines"
    assert sheet.columns == ("phone", "name", "vip")
    assert [(row.number, dict(row.cells), row.fault) for row in sheet.rows] == [
        (1, {"phone": "34600000001", "name": "Zoë"}, ""),
        (3, {"phone": "3.47E+10", "vip": "true", "name": ""}, ""),
        (4, {}, "is not a JSON object"),
        (5, {}, "is not a JSON object"),
        (6, {}, "is not a JSON object"),
    ]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r")).map(str.strip)


@given(st.sampled_from([*DELIMITERS]), st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_whatever_a_spreadsheet_program_writes_is_read_again(delimiter: str, rows: list[tuple[str, str]]) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(["name", "city"])
    writer.writerows(rows)
    text, _ = decoded(file.getvalue().encode(), None)
    found, rest = dialect(text)
    assert found == delimiter
    assert [tuple(row) for row in csv.reader(io.StringIO(rest, newline=""), delimiter=found)][1:] == rows


def test_a_float_in_json_stays_as_it_was_written(tmp_path: Path) -> None:
    assert json.loads("3.47E+10") == 34700000000  # what would hide that it was rounded
    assert read(tmp_path, '{"phone": 3.47E+10}', "a.json").rows[0].cells == {"phone": "3.47E+10"}
