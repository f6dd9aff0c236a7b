"""`landbot campaign prepare`: every usual fault of a spreadsheet has its reason, and nothing is sent."""

import csv
import json
import re
import stat
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from landbot_async._core.sqlite import open_owned
from landbot_async.cli.campaign.messages import TextMessage
from landbot_async.cli.campaign.prepare import Preparation, read, show
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.outbox import OutboxReader
from landbot_async.outbox.journal.sqlite import KIND
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import Terminal, landbot, rows

pytestmark = pytest.mark.real_time

FAULTY = (
    "\ufeffPhone;First Name;City\r\n"
    "+34 600 000 002;Zoë;València\r\n"
    ";;\r\n"
    "3,46E+10;Bo;Lyon\r\n"
    "0034600000002;Zoë again;Lyon\r\n"
    "34600000004;;Lyon\r\n"
    '34600000006;Eve;"=A1"\r\n'
    '="34600000008";Fay;Lyon\r\n'
    "34999999999;Nobody;Lyon\r\n"
    "34600000012;Gil;Lyon\r\n"
    "34600000014;Hal;Lyon;too;much\r\n"
    "34600000016.0;Ira;Lyon\r\n"
)


def left_out(name: str = "spring") -> list[tuple[str, str, str]]:
    with Path(f"{name}.left-out.csv").open(encoding="utf-8") as file:
        return [(each["row"], each["column"], each["reason"]) for each in csv.DictReader(file)]


def prepare(*words: str, content: str = "customer_id,name\n2,Ana\n4,Bo\n", code: int = 0) -> tuple[str, str]:
    Path("spring.csv").write_bytes(content.encode())
    return landbot("campaign", "prepare", "spring.csv", *words, code=code)


TEMPLATE = ("--channel", "9", "--template", "5", "--language", "en", "--param", "1=First Name")


def test_each_row_is_queued_or_left_out_with_its_reason(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.customer(12).blocked = True
    out, said = prepare("--channel", "9", "--text", "Hello {first name} from {City}", content=FAULTY)
    assert out == (
        "Read: spring.csv: UTF-8 with BOM, semicolon, 10 rows (1 blank), columns phone, first name, city\n"
        "Customers: 2 found by phone on channel 9 (WhatsApp)\n"
        "Left out: 8 rows → spring.left-out.csv: phone was rounded by the spreadsheet program (1),"
        " phone is a duplicate (1), first name is empty (1), city is a formula (1), phone is a formula (1),"
        " phone was not found (1), phone is blocked (1), has 2 more cells than there are columns (1)\n"
        "First: +34600000002  Hello Zoë from València\n"
        "Last: +34600000016  Hello Ira from Lyon\n"
        "Queued: 2 messages in spring.campaign\n"
        "Time: less than a minute at 10 a second, shared with all that uses this token\n"
    )
    assert said == "Nothing was sent. Next: landbot campaign run spring.campaign\n"
    assert left_out() == [
        (
            "4",
            "phone",
            "was rounded by the spreadsheet program: format the column as text, and enter the numbers again",
        ),
        ("5", "phone", "is a duplicate: row 2 has the same customer"),
        ("6", "first name", "is empty"),
        ("7", "city", "is a formula"),
        ("8", "phone", "is a formula"),
        ("9", "phone", "was not found"),
        ("10", "phone", "is blocked"),
        ("11", "", "has 2 more cells than there are columns"),
    ]
    assert sandbox.sent == []
    for name in ("spring.campaign", "spring.left-out.csv"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_only_a_template_needs_an_opt_in(sandbox: Sandbox) -> None:
    content = "phone,first name\n34600000010,Ten\n34600000002,Two\n"
    out, _ = prepare(*TEMPLATE, content=content)
    assert "Template: 5 (en) ← first name\nFirst: +34600000002  Hello Two, we have news for you.\nQueued: 1" in out
    assert left_out() == [("2", "phone", "has not opted in")]
    assert "2 found" in prepare("--channel", "9", "--text", "x", content=content)[0]
    assert left_out() == []  # the file of before tells nothing that is not so any more


def test_one_walk_finds_all(sandbox: Sandbox) -> None:
    requests: list[str] = []

    async def record(request: httpx.Request) -> None:
        requests.append(request.url.raw_path.decode())
        await anyio.lowlevel.checkpoint()

    sandbox._http.event_hooks = {"request": [record]}
    content = "phone\n" + "".join(f"346{number:08d}\n" for number in range(1, 41))
    assert "20 found by phone on channel 9" in prepare("--channel", "9", "--text", "x", content=content)[0]
    assert len(requests) == 2  # the channel, and the customers on one page


def test_customers_may_be_named_by_id_in_the_whole_workspace(sandbox: Sandbox) -> None:
    lines = [{"Customer_ID": 1, "key": "a"}, {"customer_id": 2, "key": "b"}, {"customer_id": 99, "key": "c"}]
    Path("spring.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    out, _ = landbot("campaign", "prepare", "spring.jsonl", "--text", "Hello")
    assert "Read: spring.jsonl: UTF-8, JSON Lines, 3 rows, columns customer_id, key\n" in out
    assert "Customers: 2 found by customer_id in this workspace\n" in out
    assert "First: customer 1  Hello\nLast: customer 2  Hello\n" in out
    assert left_out() == [("3", "customer_id", "was not found")]
    assert [each["key"] for each in rows("campaign", "report", "spring.campaign")] == ["a", "b"]


def test_a_row_that_makes_no_message_is_left_out(sandbox: Sandbox) -> None:
    content = '{"customer_id": 1, "text": "Hello"}\n{"customer_id": 2, "text": "\\ud83d"}\n'
    Path("spring.jsonl").write_text(content, encoding="utf-8")
    out, _ = landbot("campaign", "prepare", "spring.jsonl", "--text", "{text}")
    assert "Queued: 1 message in" in out
    [(row, column, reason)] = left_out()
    assert (row, column) == ("2", "")
    assert reason.startswith("makes no message:")


def test_prepared_again_it_is_the_same_campaign_or_begun_anew_as_long_as_nothing_was_sent(sandbox: Sandbox) -> None:
    prepare("--text", "Helo {name}")
    out, said = prepare("--text", "Hello {name}", content="customer_id,name\n2,Ana\n6,Cy\n")
    assert "Queued: 2 messages in spring.campaign\n" in out
    assert "earlier spreadsheet" not in said
    landbot("campaign", "run", "spring.campaign", "--yes", "--first", "1")
    assert [(each.customer_id, each.text) for each in sandbox.sent] == [(2, "Hello Ana")]
    # Now it is added to.
    out, said = prepare("--text", "Hello {name}", content="customer_id,name\n2,Ana\n4,Bo\n")
    assert "Queued: 2 messages in spring.campaign, 1 of them known before\n" in out
    assert said.startswith(
        "Still queued from an earlier spreadsheet: 1 message. To take back all that is queued: landbot"
    )
    said = prepare("--text", "Other {name}", code=ExitCode.USAGE)[1]
    assert said.startswith("spring.campaign was begun with other messages to these customers, and some of them were")
    landbot("campaign", "run", "spring.campaign", "--yes")
    assert sorted((each.customer_id, each.text) for each in sandbox.sent) == [
        (2, "Hello Ana"),
        (4, "Hello Bo"),
        (6, "Hello Cy"),
    ]


def test_a_large_campaign_is_tried_with_some_first(sandbox: Sandbox) -> None:
    content = "customer_id\n" + "\n".join(map(str, range(1, 31)))
    assert prepare("--text", "Hi", content=content)[1].endswith("campaign run spring.campaign --first 20\n")


@pytest.mark.parametrize(
    ("words", "content", "code", "said"),
    [
        (
            ("--text", "x"),
            "phone\n1\n",
            ExitCode.USAGE,
            "The rows are phone numbers: say on which channel, with --channel",
        ),
        (
            ("--text", "x"),
            "name\n1\n",
            ExitCode.USAGE,
            "spring.csv has no column customer_id or phone: rename one. Its columns: name.",
        ),
        (
            ("--text", "{x}"),
            "customer_id\n1\n",
            ExitCode.USAGE,
            "spring.csv has no column x. Its columns: customer_id.",
        ),
        (("--text", "x"), "", ExitCode.USAGE, "spring.csv: The file is empty."),
        (
            ("--text", "x"),
            "customer_id\n",
            ExitCode.USAGE,
            "None of the 0 rows of spring.csv can have a message: it is",
        ),
        (("--text", "x"), "customer_id\n99\n", ExitCode.USAGE, "customer_id was not found (1). Nothing was queued."),
        (("--text", "x", "--encoding", "nope"), "customer_id\n1\n", ExitCode.USAGE, "cannot be read as nope"),
        (("--text", "x", "--channel", "99"), "customer_id\n1\n", ExitCode.NOT_FOUND, "There is no channel 99 (404)."),
        (
            ("--template", "99", "--language", "en"),
            "customer_id\n2\n",
            ExitCode.NOT_FOUND,
            "There is no template 99. See them with: landbot templates",
        ),
        (
            ("--template", "5", "--language", "en"),
            "customer_id\n2\n",
            ExitCode.USAGE,
            "Template 5 needs 1 --param, not 0: Hello {{1}}, we have news for you.",
        ),
    ],
)
def test_what_cannot_be_a_campaign_is_refused_in_one_line(
    words: tuple[str, ...], content: str, code: int, said: str, sandbox: Sandbox
) -> None:
    out, error = prepare(*words, content=content, code=code)
    assert out == ""
    assert said in error
    assert error.count("\n") == 1
    assert not Path("spring.campaign").exists()


def test_a_language_that_landbot_does_not_list_is_said(sandbox: Sandbox) -> None:
    words = ("--template", "5", "--param", "1=name", "--language")
    assert "Landbot lists template 5 with en, es_MX, and not with es." in prepare(*words, "es")[1]
    assert "lists" not in prepare(*words, "es_MX")[1]


def test_a_spreadsheet_that_is_not_there(sandbox: Sandbox) -> None:
    said = landbot("campaign", "prepare", "nope.csv", "--text", "x", code=ExitCode.USAGE)[1]
    assert said == "nope.csv: No such file or directory\n"


def test_a_walk_that_may_have_missed_customers_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landbot_async._core.pages.Pages.complete", False, raising=False)
    assert "Some customers may not have been found" in prepare("--text", "x")[1]


async def _digits(path: Path) -> dict[Any, int]:
    return dict(await OutboxReader(path).counts())


def test_a_campaign_in_use_is_left_alone(sandbox: Sandbox) -> None:
    prepare("--text", "x")
    owned = open_owned(Path("spring.campaign").absolute(), KIND)
    try:
        assert "is in use" in prepare("--text", "y", code=ExitCode.FILE)[1]
        assert anyio.run(_digits, Path("spring.campaign"))["queued"] == 2
    finally:
        owned.close()


def test_facts_are_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    monkeypatch.setattr(terminal, "reconfigure", lambda **_: None, raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    show([("First", "+34600000002  Hello [red]Zoë \x1b from València")])
    shown = [re.sub(r"\x1b\[\d*m", "", line).rstrip() for line in terminal.getvalue().splitlines()]
    assert shown == ["First  +34600000002  Hello", "       [red]Zoë \\u001b from", "       València"]


def test_the_two_files_are_named_after_the_spreadsheet(tmp_path: Path) -> None:
    asked = Preparation(tmp_path / "my.spring.csv", TextMessage("x"))
    assert asked.file == tmp_path / "my.spring.campaign"
    assert asked.left_out == tmp_path / "my.spring.left-out.csv"
    asked.path.write_text("customer_id\n1\n", encoding="utf-8")
    assert [each.customer_id for each in read(asked).recipients] == [1]
