"""The commands that show something, run against a sandbox."""

import csv
import io
import json
from typing import Any

import pytest

from landbot_async.cli.exit_codes import ExitCode
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot, rows
from tests.helpers import TOKEN


def test_whoami_says_what_the_token_sees(sandbox: Sandbox) -> None:
    [seen] = rows("whoami")
    assert (seen["base_url"], [each["id"] for each in seen["channels"]], seen["customers"]) == (
        Sandbox.base_url,
        [8, 9, 10],
        12,
    )
    shown = landbot("whoami", "--format", "table")[0]
    assert "8 Web chat (webchat), 9 WhatsApp (whatsapp), 10 Bridge (apichat)" in shown
    assert "SANDBOX" not in json.dumps(seen) + shown


def test_channels_come_without_their_tokens(sandbox: Sandbox) -> None:
    sent = [{**sandbox.channel(number).json(), "token": "***"} for number in (8, 9, 10)]
    assert rows("channels") == sent


def test_customers_are_json_lines_in_a_pipe_as_landbot_sent_them(sandbox: Sandbox) -> None:
    sandbox.customer(3).name = "\x1b[31m[red]Zoë[/]"
    assert rows("customers") == [sandbox.customer(number).json() for number in range(1, 13)]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--channel", "9"], [2, 4, 6, 8, 10, 12]),
        (["--opt-in", "--channel", "9"], [2, 4, 6, 8, 12]),
        (["--no-opt-in"], [10]),
        (["--search", "zoë"], [5]),
        (["--search", "customer7@", "--search-by", "email"], [7]),
        (["--archived"], [4]),
        (["--no-archived", "--channel", "9", "--no-opt-in"], [10]),
    ],
)
def test_customers_are_filtered(sandbox: Sandbox, words: list[str], ids: list[int]) -> None:
    sandbox.customer(5).name = "Zoë"
    sandbox.customer(4).archived = True
    assert [each["id"] for each in rows("customers", *words)] == ids


def test_customers_as_a_table_and_as_csv(sandbox: Sandbox) -> None:
    sandbox.customer(1).name = "=1+1 [b]"
    table = landbot("customers", "--format", "table")[0].splitlines()
    assert table[0].split()[:4] == ["id", "name", "phone", "email"]
    assert table[1].split()[:3] == ["1", "=1+1", "[b]"]
    assert len(table) == 13
    read = [*csv.DictReader(io.StringIO(landbot("customers", "--format", "csv")[0]))]
    assert [row["id"] for row in read] == [str(number) for number in range(1, 13)]
    assert read[0]["name"] == "'=1+1 [b]"
    assert json.loads(read[0]["fields"]) == sandbox.customer(1).fields


def test_a_long_walk_gives_every_customer_once(sandbox: Sandbox) -> None:
    for _ in range(400):
        sandbox.add_customer()
    # The latest activity first: those who were added, then the crowd.
    assert [each["id"] for each in rows("customers")] == [*range(412, 12, -1), *range(1, 13)]


def test_one_customer(sandbox: Sandbox) -> None:
    assert rows("customer", "1") == [sandbox.customer(1).json()]
    shown = landbot("customer", "1", "--format", "table")[0]
    assert f"field city     {sandbox.customer(1).fields['city']}" in shown


@pytest.mark.parametrize(("limit", "requests"), [("1", 1), ("5", 1), ("100", 1), ("150", 2)])
def test_a_limit_asks_for_no_more_than_it_shows(sandbox: Sandbox, limit: str, requests: int) -> None:
    for _ in range(400):
        sandbox.add_customer()
    assert len(rows("customers", "--limit", limit)) == int(limit)
    # More than a page is fetched ahead.
    assert sandbox.received == requests or limit == "150"


@pytest.mark.parametrize("words", [["channels"], ["templates"], ["hooks", "8"]])
def test_every_listing_takes_a_limit(sandbox: Sandbox, words: list[str]) -> None:
    everything = rows(*words)
    assert rows(*words, "--limit", "1") == everything[:1]
    assert rows(*words, "--limit", "1000") == everything


def test_templates_are_listed(sandbox: Sandbox) -> None:
    assert [each["id"] for each in rows("templates")] == [5, 6]
    shown = landbot("templates", "--format", "table")[0].splitlines()
    assert shown[0].split() == ["id", "text", "params", "languages"]
    assert "es_MX" in shown[1]


@pytest.mark.parametrize("phone", ["{}", "+{}", "+34 {}"])
def test_customers_are_found_by_phone(sandbox: Sandbox, phone: str) -> None:
    number = sandbox.customer(2).phone
    assert number is not None
    typed = phone.format(number).replace("+34 34", "+34 ")
    assert [each["id"] for each in rows("find", typed)] == [2]
    assert [each["id"] for each in rows("find", typed, "--channel", "9")] == [2]


@pytest.mark.parametrize("words", [["find", "+34 600 000 000"], ["find", "34696336450000", "--channel", "8"]])
def test_a_phone_that_nobody_has_is_not_found(sandbox: Sandbox, words: list[str]) -> None:
    out, said = landbot(*words, code=ExitCode.NOT_FOUND)
    assert (out, said) == ("", "No customer has this phone number. Give it with its country code.\n")


def test_a_phone_without_a_digit_is_wrong_usage(sandbox: Sandbox) -> None:
    assert "phone" in landbot("find", "abc", code=ExitCode.USAGE)[1]
    assert sandbox.received == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["customer", "9999"], "There is no customer 9999 (404).\n"),
        (["transcript", "9999"], "There is no customer 9999 (404).\n"),
        (["hooks", "9999"], "There is no channel 9999 (404).\n"),
    ],
)
def test_what_is_not_there_is_named_as_it_was_typed(sandbox: Sandbox, words: list[str], text: str) -> None:
    assert landbot(*words, code=ExitCode.NOT_FOUND) == ("", text)


@pytest.mark.parametrize(
    ("fault", "words", "code"),
    [
        (200, ["customer", "1"], 1),
        (401, ["whoami"], 3),
        (404, ["customer", "1"], 4),
        (302, ["customer", "1"], 5),
        (403, ["channels"], 5),
        (412, ["send", "1", "Hello"], 5),
        (429, ["customers"], 6),
        (503, ["customers"], 7),
        ("refused", ["transcript", "1"], 7),
        ("refused", ["send", "1", "Hello"], 7),
        ("cut", ["hooks", "8"], 7),
        ("cut", ["send", "1", "Hello"], 8),
        ("cut", ["assign-bot", "1", "77"], 8),
        ("cut", ["assign", "1"], 7),
        ("cut", ["api", "POST", "customers/1/send_text/"], 8),
        ("lost_answer", ["send", "1", "Hello"], 8),
        (503, ["send", "1", "Hello"], 8),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(sandbox: Sandbox, fault: Any, words: list[str], code: int) -> None:
    sandbox.fault(fault, times=None)
    out, said = landbot(*words, code=code)
    assert out == ""
    assert ("It may have taken effect: check before you retry" in said) == (code == 8)
    assert sandbox.token not in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--token", TOKEN, "whoami"],
        ["whoami", "--token", TOKEN],
        ["customer", "0"],
        ["customer", "Ana"],
        ["customers", "--channel", "0"],
        ["customers", "--search", " "],
        ["customers", "--search-by", "phone"],
        ["customers", "--format", "xml"],
        ["customers", "--limit", "0"],
        ["send", "1"],
        ["send", "1", " \n"],
        ["send", "1", "\udcff"],
        ["find", " "],
        ["send-template", "1", "5"],
        ["field", "get", "1", "Not A Name"],
        ["field", "set", "1", "age", "old", "--type", "integer"],
        ["field", "set", "1", "since", "soon", "--type", "date"],
        ["hooks", "ensure", "8", "no-url"],
        ["hooks", "delete", "8"],
        ["api", "FETCH", "customers/"],
        ["api", "GET", "https://elsewhere.example/"],
        ["api", "GET", "customers/", "--param", "limit"],
        ["api", "POST", "customers/1/send_text/", "--json", "{"],
    ],
)
def test_wrong_usage_ends_with_2_before_anything_is_sent(sandbox: Sandbox, words: list[str]) -> None:
    assert TOKEN not in "".join(landbot(*words, code=ExitCode.USAGE))
    assert sandbox.received == 0
