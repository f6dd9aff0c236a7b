"""Cells that name a customer, and those that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbot_async.cli.campaign.recipients import (
    LeftOut,
    UnusableCellError,
    customer_number,
    phone_digits,
    recipients,
)
from landbot_async.cli.campaign.spreadsheet import Row


@pytest.mark.parametrize(
    "text",
    [
        "34696336450",
        "+34 696 336 450",
        "0034-696.336.450",
        "(34) 696/336450",
        "'34696336450",
        "34696336450.0",
        "34 696\u00a0336450",
        "\u202a+34\u2011696\u200b336450\u202c",
    ],
)
def test_a_phone_number_is_its_digits(text: str) -> None:
    assert phone_digits(text) == "34696336450"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("3.47E+10", "was rounded"),
        ("3,47E+10", "was rounded"),
        ("3E10", "was rounded"),
        ("+3.47e10", "was rounded"),
        ('="34696336450"', "is a formula"),
        ("=A1", "is a formula"),
        ("#N/A", "is an error of the spreadsheet program"),
        ("#REF!", "is an error"),
        ("#DIV/0!", "is an error"),
        ("#NAME?", "is an error"),
        ("@SUM(A1)", "is a formula"),
        ("nan", "is not a value"),
        ("call me", "is not a phone number"),
        ("34696336450.5", "is not a phone number"),
        ("+", "is not a phone number"),
        ("696", "is not a phone number with its country code"),
        ("1" * 16, "is not a phone number with its country code"),
        ("٣٤٦٩٦٣٣٦٤٥٠", "is not a phone number"),
    ],
)
def test_anything_else_is_left_out_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(UnusableCellError) as error:
        phone_digits(text)
    assert str(error.value).startswith(why)
    if text:
        assert text not in str(error.value)


@pytest.mark.parametrize(("text", "number"), [("42", 42), ("42.0", 42), ("42,00", 42), ("007", 7)])
def test_a_customer_id_is_a_whole_number(text: str, number: int) -> None:
    assert customer_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "0.0", "-1", "4.5", "4e2", "=42", "x", "1" * 19, "²"])
def test_nothing_else_is_an_id(text: str) -> None:
    with pytest.raises(UnusableCellError):
        customer_number(text)


@given(st.text("0123456789+-(). ,e=#'", max_size=20) | st.text())
def test_no_text_is_taken_for_another_phone_number(text: str) -> None:
    try:
        digits = phone_digits(text)
    except UnusableCellError:
        return
    assert digits.isascii()
    assert digits in "".join(char for char in text if char.isascii() and char.isdigit())


def test_each_row_is_a_recipient_or_has_its_reason() -> None:
    rows = [
        Row(2, {"phone": "34600000001", "name": "Ana", "key": "k-1"}),
        Row(3, {"phone": "", "name": "Bo"}),
        Row(4, {"phone": "34600000002", "name": ""}),
        Row(5, {}, "is not a JSON object"),
        Row(6, {"phone": "34600000003"}),
        Row(7, {"phone": "34600000004", "name": "=A1"}),
        Row(8, {"phone": "34600000005", "name": "#N/A"}),
        Row(9, {"phone": "34600000006", "name": "#1 of all"}),
    ]
    found, left = recipients(rows, by_phone=True, needed=["name"])
    assert [(each.row, each.customer_id, each.phone, each.key) for each in found] == [
        (2, None, "34600000001", "k-1"),
        (9, None, "34600000006", ""),
    ]
    assert left == [
        LeftOut(3, "phone", "is empty"),
        LeftOut(4, "name", "is empty"),
        LeftOut(5, "", "is not a JSON object"),
        LeftOut(6, "name", "is empty"),
        LeftOut(7, "name", "is a formula"),
        LeftOut(8, "name", "is an error of the spreadsheet program"),
    ]
    found, left = recipients([Row(2, {"customer_id": "42"}), Row(3, {"customer_id": "x"})], by_phone=False, needed=[])
    assert [(each.customer_id, each.phone, each.key) for each in found] == [(42, "", "")]
    assert left == [LeftOut(3, "customer_id", "is not a customer's id")]
