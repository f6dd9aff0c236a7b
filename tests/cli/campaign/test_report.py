"""`landbot campaign status` and `report`."""

import csv
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from landbot_async.cli.campaign import report
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.outbox import Outbox
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot, rows

pytestmark = pytest.mark.real_time


def prepare(*phones: str) -> None:
    Path("spring.csv").write_text("phone\n" + "\n".join(phones), encoding="utf-8")
    landbot("campaign", "prepare", "spring.csv", "--channel", "9", "--text", "Hello")


def test_the_status_before_and_after(sandbox: Sandbox) -> None:
    prepare("34600000002", "34600000004")
    [status] = rows("campaign", "status", "spring.campaign")
    assert status == {
        "campaign": "spring.campaign",
        "total": 2,
        "queued": 2,
        "sending": 0,
        "sent": 0,
        "failed": 0,
        "unknown": 0,
        "cancelled": 0,
        "expired": 0,
        "rate": 0.0,
        "begun": "",
        "errors": "",
        "next": "landbot campaign run spring.campaign",
    }
    sandbox.customer(2).blocked = True
    landbot("campaign", "run", "spring.campaign", "--yes", code=ExitCode.SOME_FAILED)
    [status] = rows("campaign", "status", "spring.campaign")
    assert (status["sent"], status["failed"]) == (1, 1)
    assert status["errors"] == "failed: 412 Precondition Failed: customer: The customer is blocked (1)"
    assert status["begun"] >= "2026"
    assert status["next"] == "landbot campaign report spring.campaign"
    shown = landbot("campaign", "status", "spring.campaign", "--format", "table")[0]
    assert "failed     1" in shown


def test_the_status_is_quick_because_it_imports_little(sandbox: Sandbox) -> None:
    prepare("34600000002")
    code = (
        "import sys; sys.argv[1:] = ['campaign', 'status', 'spring.campaign']; from landbot_async.cli import main\n"
        "try: main()\n"
        "except SystemExit: print({'asyncio', 'httpx', 'pydantic', 'rich.console', 'landbot_async._core.models'} & set(sys.modules))"
    )
    status, imported = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    assert '"queued": 1' in status
    assert imported == "set()"


def test_of_many_failures_some_are_counted(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "LOOKED_AT", 2)
    prepare("34600000002", "34600000004", "34600000006")
    for each in sandbox.customers:
        each.blocked = True
    landbot("campaign", "run", "spring.campaign", "--yes", code=ExitCode.SOME_FAILED)
    [status] = rows("campaign", "status", "spring.campaign")
    assert status["errors"].startswith("of the first 2: failed: 412")
    assert status["errors"].endswith("(2)")


def begun() -> datetime:
    return datetime.fromisoformat(f"{report.look(Path('spring.campaign'))['begun']}+00:00")


def test_a_campaign_has_begun_with_the_first_attempt_whatever_is_retried(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("34600000002", "34600000004")
    sandbox.customer(2).blocked = True
    landbot("campaign", "run", "spring.campaign", "--yes", code=ExitCode.SOME_FAILED)
    first = begun()
    sandbox.customer(2).blocked = False
    landbot("campaign", "retry", "spring.campaign")
    an_hour_later = time.time() + 3600
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: an_hour_later)
        landbot("campaign", "run", "spring.campaign", "--yes")
    assert len(sandbox.sent) == 2
    assert begun() - first < timedelta(minutes=1)


def test_a_campaign_of_which_all_fails_has_begun(sandbox: Sandbox) -> None:
    prepare("34600000002")
    sandbox.customer(2).blocked = True
    landbot("campaign", "run", "spring.campaign", "--yes", code=ExitCode.SOME_FAILED)
    assert datetime.now(UTC) - begun() < timedelta(minutes=1)


def test_while_it_runs_the_status_says_so(sandbox: Sandbox) -> None:
    prepare("34600000002", "34600000004")

    async def during() -> dict[str, object]:
        async with sandbox.client() as landbot, Outbox("spring.campaign", landbot) as outbox:
            async for _ in outbox.run(first=1):
                pass
            return report.look(Path("spring.campaign"))

    status = anyio.run(during)
    assert status["next"] == "it was sending a moment ago; once it has ended: landbot campaign run spring.campaign"


def test_the_report_tells_of_each_row(sandbox: Sandbox, tmp_path: Path) -> None:
    prepare("34600000002", "34600000004")
    landbot("campaign", "run", "spring.campaign", "--yes", "--first", "1")
    out, said = landbot("campaign", "report", "spring.campaign", "--output", "r.csv")
    assert (out, said) == ("", "Wrote 2 messages to r.csv.\n")
    assert stat.S_IMODE((tmp_path / "r.csv").stat().st_mode) == 0o600
    first, second = csv.DictReader((tmp_path / "r.csv").read_text(encoding="utf-8").splitlines())
    assert first.pop("at") >= "2026"
    assert first == {
        "row": "2",
        "customer": "2",
        "phone": "34600000002",
        "status": "sent",
        "error": "",
        "key": "spring-2",
        "attempts": "1",
        "evidence": "answer",
    }
    assert (second["status"], second["at"], second["row"]) == ("queued", "", "3")
    landbot("campaign", "forget", "spring.campaign")
    first_row, second_row = rows("campaign", "report", "spring.campaign")
    assert (first_row["row"], first_row["phone"], first_row["customer"]) == (None, "", 2)
    assert second_row["phone"] == "34600000004"


@pytest.mark.parametrize("command", ["status", "report"])
def test_a_file_that_is_no_campaign_is_told_in_one_line(command: str, sandbox: Sandbox) -> None:
    Path("spring.campaign").write_text("hello", encoding="utf-8")
    said = landbot("campaign", command, "spring.campaign", code=ExitCode.USAGE)[1]
    assert "spring.campaign is not" in said
    assert said.count("\n") == 1


@pytest.mark.usefixtures("sandbox")
def test_an_empty_campaign() -> None:
    assert anyio.run(_begun_empty) == ""


async def _begun_empty() -> str:
    async with Sandbox(customers=1).client() as landbot, Outbox("empty.campaign", landbot):
        return str(report.look(Path("empty.campaign"))["begun"])


def test_the_rate_of_a_campaign_that_began_lately_is_that_of_the_time_since_then() -> None:
    begun = datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert [report.span(begun, begun.timestamp() + after) for after in (-5.0, 0.0, 12.0, 900.0)] == [1, 1, 12, 60]
    assert report.span(None, 0.0) == 60
