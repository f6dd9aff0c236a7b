"""Recipients find their customers, once each, and only those who may be written to."""

from typing import Any

import pytest

from landbot_async import Customer, converter
from landbot_async.cli.campaign.customers import Chosen, Directory, choose
from landbot_async.cli.campaign.recipients import LeftOut, Recipient


def customer(number: int, phone: str | None = None, **more: Any) -> Customer:
    return converter.structure({"id": number, "phone": phone, **more}, Customer)


def by_phone(row: int, phone: str, key: str = "") -> Recipient:
    return Recipient(row, None, phone, key, {})


def by_id(row: int, number: int, key: str = "") -> Recipient:
    return Recipient(row, number, "", key, {})


def chosen(
    recipients: list[Recipient], customers: list[Customer], *, opted_in: bool = False, with_keys: bool = False
) -> tuple[list[Chosen], list[LeftOut]]:
    directory = Directory(recipients)
    for each in customers:
        directory.add(each)
    return choose(recipients, directory, opted_in=opted_in, with_keys=with_keys)


def test_phones_are_compared_by_their_digits_and_ids_as_they_are() -> None:
    rows = [by_phone(2, "34600000001"), by_phone(3, "34600000002")]
    found, left = chosen(rows, [customer(7, "+34 600-000-001"), customer(8), customer(9, "34600000003")])
    assert found == [Chosen(7, rows[0])]
    assert left == [LeftOut(3, "phone", "was not found")]
    rows = [by_id(2, 7), by_id(3, 34600000001)]
    found, left = chosen(rows, [customer(7, "34600000001")])
    assert found == [Chosen(7, rows[0])]
    assert left == [LeftOut(3, "customer_id", "was not found")]


@pytest.mark.parametrize(
    ("properties", "opted_in", "reason"),
    [
        ({"blocked": True}, False, "is blocked"),
        ({"opt_in": False}, True, "has not opted in"),
        ({"opt_in": False}, False, None),
        ({"opt_in": None}, True, None),
        ({"opt_in": True}, True, None),
    ],
)
def test_who_may_not_be_written_to_is_left_out(properties: dict[str, Any], opted_in: bool, reason: str | None) -> None:
    _, left = chosen([by_id(2, 7)], [customer(7, **properties)], opted_in=opted_in)
    assert left == ([] if reason is None else [LeftOut(2, "customer_id", reason)])


def test_each_customer_is_chosen_once_and_each_key_too() -> None:
    customers = [customer(7), customer(8), customer(9)]
    rows = [by_id(2, 7, "a"), by_id(3, 7, "b"), by_id(4, 8, "a"), by_id(5, 9)]
    found, left = chosen(rows, customers, with_keys=True)
    assert [each.customer_id for each in found] == [7]
    assert left == [
        LeftOut(3, "customer_id", "is a duplicate: row 2 has the same customer"),
        LeftOut(4, "key", "is a duplicate: row 2 has the same key"),
        LeftOut(5, "key", "is empty"),
    ]
    assert [each.customer_id for each in chosen(rows, customers)[0]] == [7, 8, 9]


def test_a_phone_of_two_customers_is_nobodys() -> None:
    _, left = chosen([by_phone(2, "34600000001")], [customer(7, "34600000001"), customer(8, "34600000001")])
    assert left == [LeftOut(2, "phone", "is that of 2 customers: give a customer_id")]
