"""The commands that write to a customer or assign one, run against a sandbox."""

import os
import sys

import pytest

from landbot_async.cli.commands.sending import send_text
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.session import run
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.workspace.directory import OWN_BOT
from tests.cli.helpers import landbot, rows


def test_a_message_is_sent_and_stands_in_the_transcript(sandbox: Sandbox) -> None:
    assert landbot("send", "1", "Hello") == ("Landbot accepted the message to customer 1.\n", "")
    assert landbot("send", "1", "--", "-again")[1] == ""
    assert [(each.customer_id, each.text) for each in sandbox.sent] == [(1, "Hello"), (1, "-again")]
    assert {each["message"] for each in rows("transcript", "1")} >= {"Hello", "-again"}
    assert "Hello" in landbot("transcript", "1", "--format", "table")[0]


@pytest.mark.parametrize(
    ("given", "code", "texts"),
    [
        ("Zoë,\n  hello\n".encode(), 0, ["Zoë,\n  hello"]),
        (b"one\r\n", 0, ["one"]),
        (b"-", 0, ["-"]),
        (b"\n", 2, []),
        (b"", 2, []),
        (b"\xff", 2, []),
    ],
)
def test_a_text_may_come_on_stdin(sandbox: Sandbox, given: bytes, code: int, texts: list[str]) -> None:
    landbot("send", "1", "-", stdin=given, code=code)
    assert [each.text for each in sandbox.sent] == texts


def test_a_message_that_went_out_is_no_failure_because_nobody_can_be_told(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        run(lambda client: send_text(client, 1, "Hello"))
        monkeypatch.undo()
    assert len(sandbox.sent) == 1


def test_an_unknown_send_is_not_repeated(sandbox: Sandbox) -> None:
    sandbox.fault("lost_answer", times=None)
    landbot("send", "1", "Hello", code=ExitCode.UNKNOWN)
    assert len(sandbox.sent) == 1


def test_a_refusal_says_for_whom_and_why(sandbox: Sandbox) -> None:
    sandbox.customer(5).blocked = True
    assert landbot("send", "5", "Hello", code=ExitCode.REFUSED)[1] == (
        "Landbot refused this for customer 5 (412): customer: The customer is blocked. Nothing was changed or sent.\n"
    )


def test_a_template_is_sent_with_its_texts(sandbox: Sandbox) -> None:
    assert landbot("send-template", "2", "5", "en", "Ana") == ("Landbot accepted template 5 to customer 2.\n", "")
    [sent] = sandbox.sent
    assert (sent.customer_id, sent.type) == (2, "template")
    assert "(422)" in landbot("send-template", "2", "5", "xx", "Ana", code=ExitCode.REFUSED)[1]


def test_a_customer_is_assigned(sandbox: Sandbox) -> None:
    assert landbot("assign", "1", "55")[0] == "Landbot assigned customer 1 to agent 55.\n"
    assert sandbox.customer(1).agent_id == 55
    assert landbot("assign", "2")[0] == "Landbot assigned customer 2 to the agent whose token this is.\n"
    said = landbot("assign", "9999", "55", code=ExitCode.NOT_FOUND)[1]
    assert said == "There is no customer 9999 or agent 55 (404).\n"


@pytest.mark.parametrize("words", [[], ["--no-launch"], ["--node", "Nkqgn6xkf"]])
def test_a_customer_is_assigned_to_a_bot(sandbox: Sandbox, words: list[str]) -> None:
    assert landbot("assign-bot", "1", str(OWN_BOT), *words)[0] == f"Landbot assigned customer 1 to bot {OWN_BOT}.\n"
