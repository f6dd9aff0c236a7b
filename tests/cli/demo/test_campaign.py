"""Part three of the demo: a real process, a real kill."""

import os
import runpy
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from landbot_async.cli.demo import campaign, program
from landbot_async.cli.demo.campaign import KILLED, fate, play_campaign, update
from landbot_async.cli.demo.play import Fate, Job
from landbot_async.outbox import OutboxError, OutboxReader, Receipt
from landbot_async.sandbox import Sandbox
from landbot_async.sandbox.server.uvicorn_server import Server
from tests.documents import settle_in

pytestmark = pytest.mark.real_time

SHORT = evolve(KILLED, customers=14, latency=0.1, sending=KILLED.sending[:2])


@pytest.mark.once
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_killed_half_way_it_loses_and_doubles_nothing(anyio_backend: Any) -> None:
    job = Job(SHORT)
    report = await play_campaign(job)
    assert report.kept
    figures = report.figures
    assert (figures.sent, figures.distinct, figures.lost, figures.doubled) == (14, 14, 0, 0)
    assert job.sent == 14
    assert sum(line.startswith("SIGKILL: ") for line in job.log) == 1
    measured = {promise.name: promise.value for promise in report.promises}
    assert int(measured["unknown, and had arrived"]) >= 1
    assert int(measured["unknown, and sent again"]) >= 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_program_that_cannot_start_is_an_error(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "__name__", "nothing.here")
    with pytest.raises(ExceptionGroup) as raised:
        await play_campaign(Job(SHORT))
    assert raised.group_contains(OutboxError, match="there is no such file|No such file")


def test_ctrl_c_in_the_middle_ends_it_quietly_with_130(tmp_path: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from landbot_async.cli.demo import play; play.PLANS = ();"
        "from landbot_async.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "demo"]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        assert any("unknown: customer 1 " in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert "stopped: " in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_the_program_goes_on_until_all_is_known(
    anyio_backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(program, "SETTLED", 0.05)
    async with Sandbox(customers=4, window="off") as sandbox:
        settle_in(sandbox, monkeypatch, tmp_path)
        sandbox.fault("cut", method="POST")
        await program.main(tmp_path / "hello.campaign", 4)
        await program.main(tmp_path / "hello.campaign", 4)
    assert sorted(each.customer_id for each in sandbox.sent) == [1, 2, 3, 4]
    fates = [fate(each) async for each in OutboxReader(tmp_path / "hello.campaign").receipts()]
    assert sorted(each.value for each in fates) == ["sent", "sent", "sent", "sent again"]


def test_the_program_reads_its_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    journal = tmp_path / "hello.campaign"
    monkeypatch.setenv("LANDBOT_API_TOKEN", "f00dface")
    monkeypatch.setattr(sys, "argv", ["program", str(journal), "0"])
    runpy.run_path(program.__file__, run_name="__main__")
    assert journal.exists()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_signal_that_uvicorn_takes_is_the_demo_s(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    given: list[Server] = []

    class Noted(Server):
        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            given.append(self)
            await super().serve(sockets)

    monkeypatch.setattr(campaign, "Server", Noted)
    async with campaign._served(Sandbox()):
        given[0].handle_exit(signal.SIGTERM, None)
    assert raised == [signal.SIGTERM]


def test_a_request_counts_from_when_it_reached_the_sandbox_not_from_the_look_at_it() -> None:
    sandbox = Sandbox()
    sandbox.feed.add("request", 20.75, {"seconds": 0.25})
    sandbox.feed.add("message", 20.75, {})
    sandbox.feed.add("request", 20.875, {"seconds": 0.5})
    assert campaign._arrivals(sandbox) == [20.375, 20.5]


def test_what_becomes_of_unknown_ones_is_logged() -> None:
    job = Job(SHORT)
    update(job, {1: Fate.UNKNOWN, 2: Fate.UNKNOWN, 3: Fate.SENT})
    update(job, {1: Fate.FOUND, 2: Fate.WAITING, 3: Fate.SENT})
    assert job.log == [
        "unknown: customer 1 may have it or not; not sent again",
        "unknown: customer 2 may have it or not; not sent again",
        "looked at customer 1: it had arrived",
        "looked at customer 2: it had not arrived, queued again",
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"status": "queued"}, Fate.WAITING),
        ({"status": "sending"}, Fate.UNDER_WAY),
        ({"status": "unknown"}, Fate.UNKNOWN),
        ({"status": "sent", "evidence": "transcript"}, Fate.FOUND),
        ({"status": "sent", "evidence": "answer"}, Fate.SENT),
        ({"status": "sent", "evidence": "answer", "attempts": 2}, Fate.SENT_AGAIN),
    ],
)
def test_the_fate_of_a_message(values: dict[str, Any], expected: Fate) -> None:
    receipt = Receipt("a", 1, "queued", 1, datetime.now(UTC), None, None, None, None)
    assert fate(evolve(receipt, **values)) is expected
