"""The commands that change a campaign and send nothing."""

from pathlib import Path

import pytest

from landbot_async.cli.exit_codes import ExitCode
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot, rows

pytestmark = pytest.mark.real_time


def prepare(*customers: int) -> None:
    Path("spring.csv").write_text("customer_id\n" + "\n".join(map(str, customers)), encoding="utf-8")
    landbot("campaign", "prepare", "spring.csv", "--text", "Hello")


def campaign(verb: str, *words: str, code: int = 0) -> tuple[str, str]:
    return landbot("campaign", verb, "spring.campaign", *words, code=code)


def statuses() -> list[str]:
    return [each["status"] for each in rows("campaign", "report", "spring.campaign")]


@pytest.mark.usefixtures("sandbox")
def test_without_an_unknown_message_there_is_nothing_to_look_up() -> None:
    prepare(1)
    assert campaign("reconcile") == (
        "No message is unknown. Now: 0 sent, 1 queued.\n",
        "Next: landbot campaign run spring.campaign\n",
    )


def test_failed_ones_are_queued_again_by_their_status(sandbox: Sandbox) -> None:
    prepare(1, 2)
    sandbox.customer(1).blocked = True
    campaign("run", "--yes", code=ExitCode.SOME_FAILED)
    assert campaign("retry", "--error", "404") == ("Queued again: 0 failed messages. Now: 1 sent, 1 failed.\n", "")
    assert campaign("retry", "--error", "412") == (
        "Queued again: 1 failed message. Now: 1 sent, 1 queued.\n",
        "Next: landbot campaign run spring.campaign\n",
    )
    sandbox.customer(1).blocked = False
    campaign("run", "--yes")
    assert sorted(each.customer_id for each in sandbox.sent) == [1, 2]
    assert "error must be from 100 to 599" in campaign("retry", "--error", "777", code=ExitCode.USAGE)[1]


def test_unknown_ones_are_looked_up(sandbox: Sandbox) -> None:
    prepare(1, 2)
    sandbox.fault("lost_answer", method="POST")
    campaign("run", "--yes", code=ExitCode.SOME_UNKNOWN)
    assert campaign("reconcile") == (
        "Had arrived: 1. Never did, and queued again: 0. Now: 2 sent.\n",
        "Next: landbot campaign report spring.campaign\n",
    )
    assert statuses() == ["sent", "sent"]
    assert len(sandbox.sent) == 2


@pytest.mark.parametrize(("word", "outcome"), [("--sent", "sent"), ("--again", "queued")])
def test_what_no_transcript_tells_a_person_decides(word: str, outcome: str, sandbox: Sandbox) -> None:
    prepare(1, 2)
    sandbox.fault("cut", method="POST")
    campaign("run", "--yes", code=ExitCode.SOME_UNKNOWN)
    key = next(each["key"] for each in rows("campaign", "report", "spring.campaign") if each["status"] == "unknown")
    out, said = campaign("reconcile", code=ExitCode.SOME_UNKNOWN)
    assert out == "Had arrived: 0. Never did, and queued again: 0. Now: 1 sent, 1 unknown.\n"
    assert said.startswith("1 still unknown: it is not in the transcript, and too recent to say")
    assert said.endswith(f"with --sent or --again: landbot campaign resolve spring.campaign {key} --sent\n")
    out, said = campaign("resolve", key, word)
    assert out.startswith(f"{key} is {outcome}. Now: ")
    assert outcome in statuses()
    assert said.startswith("Next: landbot campaign ")
    assert "cannot be resolved" in campaign("resolve", key, word, code=ExitCode.OTHER)[1]


def test_what_is_queued_can_be_taken_back(sandbox: Sandbox) -> None:
    prepare(1, 2, 3)
    assert campaign("cancel", "spring-2")[0] == "Cancelled: 1 queued message. Now: 0 sent, 2 queued, 1 cancelled.\n"
    assert campaign("cancel", "nope", code=ExitCode.NOT_FOUND)[1] == "There is no queued message nope.\n"
    assert campaign("cancel") == ("Cancelled: 2 queued messages. Now: 0 sent, 3 cancelled.\n", "")
    campaign("run", "--yes")
    assert sandbox.sent == []


def test_contents_are_forgotten(sandbox: Sandbox) -> None:
    prepare(1, 2)
    campaign("run", "--yes", "--first", "1")
    assert campaign("forget", "--before", "2020-01-01")[0].startswith("Deleted the contents of 0 ended messages")
    assert campaign("forget")[0] == (
        "Deleted the contents of 1 ended message from spring.campaign. Keys, ids and statuses stay.\n"
    )
