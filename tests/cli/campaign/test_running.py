"""`landbot campaign run`: each ending has its code, and says what to do next."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from landbot_async.cli.campaign.bar import Tally
from landbot_async.cli.campaign.running import Running, ending, hours, lines, moment
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.signals import Stop
from landbot_async.outbox import Receipt
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot, rows

from .test_journal import counts

pytestmark = pytest.mark.real_time
MADRID = ZoneInfo("Europe/Madrid")


@pytest.fixture
def prepared(sandbox: Sandbox) -> Callable[..., None]:
    """Return a function that prepares a campaign to some customers."""

    def prepare(*customers: int) -> None:
        Path("spring.csv").write_text("customer_id\n" + "\n".join(map(str, customers)), encoding="utf-8")
        landbot("campaign", "prepare", "spring.csv", "--text", "Hello")

    return prepare


def run(*words: str, code: int = 0, stdin: str | None = None) -> str:
    return landbot("campaign", "run", "spring.campaign", *words, code=code, stdin=stdin)[1]


def test_all_are_sent_once(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1, 2, 3)
    assert run("--yes") == (
        "SANDBOX sandbox.invalid · 3 queued messages\nFinished: 3 sent.\nNext: landbot campaign report spring.campaign\n"
    )
    assert run("-y") == (
        "SANDBOX sandbox.invalid · 0 queued messages\nFinished: 3 sent.\nNext: landbot campaign report spring.campaign\n"
    )
    assert run("--first", "1").count("Finished") == 1  # nothing to ask about
    assert sorted(each.customer_id for each in sandbox.sent) == [1, 2, 3]


@pytest.mark.parametrize(
    ("response", "code", "said"),
    [
        ("n\n", ExitCode.STOPPED, "Nothing was sent."),
        ("\n", ExitCode.STOPPED, "Nothing was sent."),
        ("", ExitCode.USAGE, "There is nobody to ask: give --yes. Nothing was sent."),
    ],
)
def test_without_a_yes_nothing_is_sent(
    response: str, code: int, said: str, sandbox: Sandbox, prepared: Callable[..., None]
) -> None:
    prepared(1)
    assert said in run(code=code, stdin=response)
    assert sandbox.sent == []


def test_a_yes_may_come_through_a_pipe(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1)
    assert "Send? [y/N]" in run(stdin="y\n")
    assert len(sandbox.sent) == 1


def test_some_first(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1, 2, 3)
    assert run("--yes", "--first", "2") == (
        "SANDBOX sandbox.invalid · 2 of 3 queued messages\n"
        "That was the number asked for (2): look at the result before the others follow.\n"
        "For now: 2 sent, 1 queued.\n"
        "Next: landbot campaign run spring.campaign\n"
    )
    assert "Finished: 3 sent." in run("--yes", "--first", "9")


def test_failures_have_a_code_and_a_way_on(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1, 2)
    sandbox.customer(1).blocked = True
    said = run("--yes", code=ExitCode.SOME_FAILED)
    assert "Finished: 1 sent, 1 failed.\nNext: landbot campaign report spring.campaign\n" in said
    assert said.endswith("What failed can be queued again: landbot campaign retry spring.campaign\n")


def test_an_unknown_outcome_has_a_code_and_is_not_sent_again(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1, 2)
    sandbox.fault("lost_answer", method="POST")
    said = run("--yes", code=ExitCode.SOME_UNKNOWN)
    assert said.endswith("Finished: 1 sent, 1 unknown.\nNext: landbot campaign reconcile spring.campaign\n")
    run("--yes", code=ExitCode.SOME_UNKNOWN)
    assert len(sandbox.sent) == 2


def test_a_run_of_failures_stops_it_and_tells_why(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1, 2, 3, 4, 5)
    for each in sandbox.customers:
        each.blocked = True
    said = run("--yes", "--stop-after-failures", "2", code=ExitCode.STOPPED)
    assert "The run stopped: 2 of the last 100 messages ended with 412." in said
    assert "Landbot refused this for the last message (412): customer: The customer is blocked" in said
    assert re.search(r"Stopped: 0 sent, \d failed, \d queued\.\nNext: landbot campaign run spring", said)


def test_a_token_that_is_refused_stops_it(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1, 2)
    sandbox.fault(401, times=None)
    said = run("--yes", code=ExitCode.STOPPED)
    assert "Landbot does not accept the token (401)." in said
    assert "Stopped: 0 sent, 2 queued." in said


def test_what_stands_after_the_end_expires(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1, 2)
    assert "Finished: 0 sent, 2 expired." in run("--yes", "--expires", "2026-01-01T20:00", "--zone", "Europe/Madrid")
    assert sandbox.sent == []


def test_outside_of_the_hours_it_says_when_it_goes_on(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1)
    now = datetime.now(MADRID)
    between = f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=3):%H:%M}"
    said = run("--yes", "--between", between, "--zone", "Europe/Madrid")
    first, _, last = between.partition("-")
    assert f"Messages are sent between {first} and {last} (Europe/Madrid) only." in said
    assert "For now: 0 sent, 1 queued." in said
    open_now = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    assert "Finished: 1 sent." in run("--yes", "--between", open_now, "--zone", "Europe/Madrid")


def test_only_so_many_customers_a_day(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1, 2, 3)
    said = run("--yes", "--per-day", "2")
    assert "That is all for 24 hours (2 customers). The same command goes on later.\nFor now: 2 sent, 1 queued." in said


def test_a_test_goes_to_one_phone_and_counts_for_nothing(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(2, 4)
    out, said = landbot("campaign", "run", "spring.campaign", "--test-to", "+34 600 000 006", "--yes")
    assert said == "SANDBOX sandbox.invalid · one message as a test to +34 600 000 006, and to nobody else\n"
    assert out == "Landbot accepted a test: the message for customer 2, sent to customer 6.\n"
    assert [(each.customer_id, each.text) for each in sandbox.sent] == [(6, "Hello")]
    assert [each["status"] for each in rows("campaign", "report", "spring.campaign")] == ["queued", "queued"]
    said = run("--test-to", "+34 999", "--yes", code=ExitCode.NOT_FOUND)
    assert "No customer on channel 9 has this phone number." in said
    sandbox.customer(6).blocked = True
    said = run("--test-to", "34600000006", "--yes", code=ExitCode.REFUSED)
    assert "Landbot refused this for test customer 34600000006 (412): customer: The customer is blocked." in said
    landbot("campaign", "cancel", "spring.campaign")
    assert "Nothing is queued in spring.campaign." in run("--test-to", "34600000006", code=ExitCode.NOT_FOUND)


def test_a_copy_is_refused_unless_one_says_so(sandbox: Sandbox, prepared: Callable[..., None]) -> None:
    prepared(1)
    Path("copy.campaign").write_bytes(Path("spring.campaign").read_bytes())
    said = landbot("campaign", "run", "copy.campaign", "--yes", code=ExitCode.USAGE)[1]
    assert "is a copy, or was put back from one." in said
    assert said.endswith("if no other copy will be used, run it with --moved.\n")
    assert "Finished: 1 sent." in landbot("campaign", "run", "copy.campaign", "--yes", "--moved")[1]


def test_the_first_signal_ends_it_in_good_order(
    sandbox: Sandbox, prepared: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(*range(1, 31))
    original = Tally.note

    def note(self: Tally, receipt: Receipt) -> None:
        original(self, receipt)
        if self.handed_out == 3:
            assert stops[0].request()
            assert not stops[0].request()

    stops: list[Stop] = []
    monkeypatch.setattr(Tally, "note", note)
    by = Stop.by

    def remember(self: Stop, end: Callable[[], None] | None) -> None:
        stops.append(self)
        by(self, end)

    monkeypatch.setattr(Stop, "by", remember)
    said = run("--yes", code=ExitCode.STOPPED)
    assert "Stopping: what is on the wire is finished first. The next Ctrl-C does not wait for it.\n" in said
    assert re.search(r"Stopped: \d+ sent, \d+ queued\.\nNext: landbot campaign run spring\.campaign\n", said)


@pytest.mark.parametrize(
    ("given", "stopped", "code"),
    [
        ({"sent": 3}, False, ExitCode.DONE),
        ({"sent": 3, "queued": 1}, False, ExitCode.DONE),
        ({"failed": 1, "queued": 1}, False, ExitCode.SOME_FAILED),
        ({"failed": 1, "unknown": 1}, False, ExitCode.SOME_UNKNOWN),
        ({"failed": 1, "unknown": 1, "queued": 1}, True, ExitCode.STOPPED),
        ({"sent": 1}, True, ExitCode.DONE),
        ({"unknown": 1}, True, ExitCode.SOME_UNKNOWN),
        ({"expired": 1, "cancelled": 1}, False, ExitCode.DONE),
    ],
)
def test_the_code_of_each_ending(given: dict[str, int], stopped: bool, code: ExitCode) -> None:
    assert ending(counts(**given), stopped=stopped) is code


def test_what_is_queued_for_no_known_reason_is_told_too() -> None:
    told = lines(Running(Path("spring.campaign")), counts(queued=1), 0, ExitCode.DONE)
    assert told[0] == "Some messages cannot be sent now. The same command goes on later."


def test_hours_are_read() -> None:
    assert hours("9:00-20:00", MADRID) == (time(9), time(20), MADRID)
    assert hours("22:30-06:15", UTC) == (time(22, 30), time(6, 15), UTC)
    for text in ("9-20", "9:00", "25:00-26:00", "9:00-9:61", "٩:00-20:00"):
        with pytest.raises(ValueError, match="is not START-END"):
            hours(text, UTC)
    with pytest.raises(ValueError, match="are the same"):
        hours("9:00-09:00", UTC)


def test_a_moment_needs_a_zone() -> None:
    assert moment("2026-12-01T20:00", MADRID) == datetime(2026, 12, 1, 19, tzinfo=UTC)
    assert moment("2026-12-01 20:00+02:00", MADRID) == datetime(2026, 12, 1, 18, tzinfo=UTC)
    with pytest.raises(ValueError, match="say in which zone"):
        moment("2026-12-01T20:00", None)
    with pytest.raises(ValueError, match="is not a time such as"):
        moment("tomorrow", None)
