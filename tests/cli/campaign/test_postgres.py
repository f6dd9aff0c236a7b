"""A campaign in Postgres: every command of a campaign, by LANDBOT_JOURNAL_URL, and no file."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import psycopg
import pytest

from landbot_async import Event, RequestSent, TokenBucket
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.outbox.journal.session import Url
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot
from tests.shared.servers import Postgres, schema_of

pytestmark = [pytest.mark.real_time, pytest.mark.once]


@pytest.fixture(autouse=True)
def _in_postgres(database: str, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    monkeypatch.setenv("LANDBOT_JOURNAL_URL", database.replace("//postgres@", "//postgres:a-secret@"))
    Path("spring.csv").write_text("customer_id,name\n1,Ana\n2,Bo\n4,Cid\n", encoding="utf-8")


def campaign(verb: str, *words: str, code: ExitCode = ExitCode.DONE, file: str = "spring.campaign") -> tuple[str, str]:
    out, said = landbot("campaign", verb, file, *words, code=code)
    assert "a-secret" not in out + said
    return out, said


def prepare(text: str = "Hello {name}") -> tuple[str, str]:
    return campaign("prepare", "--text", text, file="spring.csv")


def rows(verb: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in campaign(verb, "--format", "jsonl")[0].splitlines()]


def status() -> dict[str, object]:
    [found] = rows("status")
    return {name: value for name, value in found.items() if value and name in {"total", "queued", "sent", "unknown"}}


def test_every_command(sandbox: Sandbox) -> None:
    out, said = prepare("Hi {name}")
    assert "Queued: 3 messages in spring in the database of LANDBOT_JOURNAL_URL" in out
    assert "Next: landbot campaign run spring.campaign" in said
    prepare()  # nothing was sent, so it begins anew
    campaign("cancel", "spring-4")
    assert "Finished: 2 sent, 1 cancelled" in campaign("run", "--yes")[1]
    assert [each.text for each in sandbox.sent] == ["Hello Ana", "Hello Bo"]
    assert status() == {"total": 3, "sent": 2}
    Path("spring.csv").write_text("customer_id,name\n5,Dan\n6,Eve\n", encoding="utf-8")
    assert "Queued: 2 messages" in prepare()[0]
    sandbox.fault(412, method="POST", times=1)
    sandbox.fault("lost_answer", method="POST", times=1)
    campaign("run", "-y", code=ExitCode.SOME_UNKNOWN)
    campaign("retry", "--error", "412")
    campaign("run", "-y", code=ExitCode.SOME_UNKNOWN)
    [unknown] = [each for each in rows("report") if each["status"] == "unknown"]
    campaign("reconcile")
    assert "it is sent" in campaign("resolve", str(unknown["key"]), "--sent", code=ExitCode.OTHER)[1]
    campaign("forget")
    assert [each["phone"] for each in rows("report")] == [""] * 5
    assert sorted(each.customer_id for each in sandbox.sent) == [1, 2, 5, 6]
    assert not Path("spring.campaign").exists()


@pytest.mark.parametrize("sandbox", ["asyncio"], indirect=True)  # the command itself runs on it
def test_one_that_is_interrupted_goes_on(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("spring.csv").write_text("customer_id\n" + "\n".join(map(str, range(1, 31))), encoding="utf-8")
    prepare("Hello")
    told: list[Event] = []

    def notice(event: Event) -> None:
        if isinstance(event, RequestSent) and not told:
            told.append(event)
            os.kill(os.getpid(), signal.SIGINT)

    sandbox.fault("latency", latency=0.3, times=None)
    client = partial(sandbox.client, limiter=TokenBucket(rate=50), on_event=notice)
    with monkeypatch.context() as patch:
        patch.setattr("landbot_async.cli.session.open_client", client)
        campaign("run", "--yes", code=ExitCode.STOPPED)
    sent = len(sandbox.sent)
    assert 1 <= sent < 30
    assert status() == {"total": 30, "queued": 30 - sent, "sent": sent}
    sandbox.clear_faults()
    campaign("run", "--yes")
    assert sorted(each.customer_id for each in sandbox.sent) == list(range(1, 31))


@pytest.mark.parametrize("tables", [True, False])
def test_a_campaign_that_is_not_there(
    tables: bool, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    Path("spring.csv").rename("other.csv")
    monkeypatch.setenv("LANDBOT_JOURNAL_URL", schema_of(postgres))
    if tables:
        campaign("prepare", "--text", "Hello {name}", file="other.csv")
    for verb in ("run", "status", "report", "retry"):
        said = campaign(verb, code=ExitCode.USAGE)[1]
        assert "There is no campaign spring in the database of LANDBOT_JOURNAL_URL" in said
        assert "Make it with: landbot campaign prepare spring.csv" in said


def test_what_a_run_that_was_killed_has_taken_is_told(database: str, sandbox: Sandbox) -> None:
    """It is free again when an attempt could not last any longer."""
    prepare()
    with psycopg.connect(database, autocommit=True) as direct:
        direct.execute("UPDATE landbot_message SET state = 'taken', taken_at = extract(epoch FROM now())")
    said = campaign("run", "-y")[1]
    assert "Another run has the rest, or had it when it was killed: then it is free again about a minute later" in said
    assert "For now: 0 sent, 3 queued" in said


def test_the_status_takes_one_connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare()
    sandbox.fault(412, method="POST", times=1)
    campaign("run", "-y", code=ExitCode.SOME_FAILED)
    made: list[object] = []
    connect = Url.connect

    def counted(url: Url) -> object:
        made.append(url)
        return connect(url)

    monkeypatch.setattr(Url, "connect", counted)
    assert status() == {"total": 3, "sent": 2}
    assert len(made) == 1
