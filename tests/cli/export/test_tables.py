"""The CSV files of an export."""

import csv
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from landbot_async.cli.export.tables import write_customers, write_messages

pytestmark = pytest.mark.anyio


def field(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "type": "string", "value": value}


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def source(folder: Path, *rows: object) -> Path:
    path = folder / "source.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


async def test_each_custom_field_has_a_column(tmp_path: Path) -> None:
    rows = source(
        tmp_path,
        {"id": 1, "name": "=1+1", "phone": "34600000001", "custom_fields": {"city": field("city", "Łódź")}},
        {
            "id": 2,
            "custom_fields": {
                "name": field("name", "n"),
                "=x": field("=x", {"a": 1}),
                "token": field("token", "s3cret"),
            },
        },
    )
    target = tmp_path / "customers.csv"
    await write_customers(rows, target)
    read = rows_of(target)
    assert [(row["id"], row["name"], row["phone"], row["city"]) for row in read] == [
        ("1", "'=1+1", "34600000001", "Łódź"),
        ("2", "", "", ""),
    ]
    assert (read[1]["field_name"], read[1]["'=x"], read[1]["token"]) == ("n", '{"a": 1}', "***")


async def test_each_message_is_a_row(tmp_path: Path) -> None:
    rows = source(
        tmp_path,
        {
            "customer_id": 1,
            "messages": [{"type": "text", "message": "Hi", "sender": "Ana"}, {"type": "image", "url": "https://x/"}],
        },
        {"customer_id": 2, "messages": []},
        {"customer_id": 3, "messages": None},
    )
    target = tmp_path / "messages.csv"
    assert await write_messages(rows, target) == (2, 1)
    read = rows_of(target)
    assert [(row["customer_id"], row["message"], row["sender"], row["type"]) for row in read] == [
        ("1", "Hi", "Ana", "text"),
        ("1", "https://x/", "", "image"),
    ]


async def test_it_can_be_ended_and_leaves_nothing_behind(tmp_path: Path) -> None:
    rows = source(tmp_path, *[{"customer_id": 1, "messages": []}, {"customer_id": 1, "messages": [{"type": "text"}]}])
    with anyio.CancelScope() as scope:
        scope.cancel()
        await write_messages(rows, tmp_path / "messages.csv")
    assert scope.cancelled_caught
    assert names_in(tmp_path) == ["source.jsonl"]
