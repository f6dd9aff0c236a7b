"""A whole export, whatever interrupts it."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import typer

from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.export.folder import Folder
from landbot_async.cli.export.run import export
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot, until


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def record_requests(sandbox: Sandbox) -> Counter[str]:
    """Count the requests that reach a sandbox, by path and query."""
    counts: Counter[str] = Counter()

    async def record(request: httpx.Request) -> None:
        counts[request.url.raw_path.decode()] += 1
        await anyio.lowlevel.checkpoint()

    sandbox._http.event_hooks = {"request": [record]}
    return counts


def test_an_export_has_everything_and_its_end_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "out"
    landbot("send", "1", "=Hello")
    out, said = landbot("export", str(path))
    messages = [*csv.DictReader((path / "messages.csv").read_text(encoding="utf-8").splitlines())]
    assert ("1", "'=Hello") in [(row["customer_id"], row["message"]) for row in messages]
    assert out == ""
    assert said == (
        "Listing the customers of sandbox.invalid.\n"
        "12 of 12 transcripts to read, 10 a second: less than a minute.\n"
        f"Exported 12 customers and {len(messages)} messages to {path}.\n"
    )
    assert sorted(each.name for each in path.iterdir()) == [
        "customers.csv",
        "customers.jsonl",
        "export.state",
        "messages.csv",
        "transcripts.jsonl",
    ]
    assert sorted(each["id"] for each in lines(path / "customers.jsonl")) == list(range(1, 13))
    assert sorted(each["customer_id"] for each in lines(path / "transcripts.jsonl")) == list(range(1, 13))
    # Once more: nothing is asked for.
    received = sandbox.received
    assert f"{path} is complete since" in landbot("export", str(path))[1]
    assert sandbox.received == received


@pytest.mark.once
@pytest.mark.anyio
async def test_killed_ten_times_it_is_complete_and_asks_for_nothing_twice_but_what_was_in_flight(
    tmp_path: Path,
) -> None:
    """In virtual time, with latency as Landbot has it, and with the limit. `nox -s daily` takes 20,000 customers."""
    size, kills = int(os.environ.get("EXPORT_CUSTOMERS", "800")), 10
    sandbox = Sandbox(customers=size, latency=0.5)
    counts = record_requests(sandbox)
    path = tmp_path / "out"
    spent = 0.0
    for kill in range(kills + 1):
        began = anyio.current_time()
        life = (4.0 + 0.77 * kill) * size / 800
        with anyio.move_on_after(life if kill < kills else None) as scope:
            async with sandbox.client() as landbot:
                await export(landbot, path)
        spent += anyio.current_time() - began
        assert scope.cancelled_caught == (kill < kills)
        if scope.cancelled_caught:
            with (path / "transcripts.jsonl").open("ab") as file:
                file.write(b'{"customer_id": 1, "mess'[: kill * 3])  # as a kill in a write leaves it
    assert {each["id"] for each in lines(path / "customers.jsonl")} == set(range(1, size + 1))
    done = [each["customer_id"] for each in lines(path / "transcripts.jsonl")]
    assert sorted(done) == list(range(1, size + 1))
    # Ten a second start, and take half a second.
    again = sum(count - 1 for count in counts.values())
    assert again <= kills * 6
    # Only the first page, the step from the list to the transcripts and the last transcript are waited for.
    rate = counts.total() / (spent - 3 * 0.5)
    print(f"{rate:.3f} a second, {again} again, {sandbox.refused} refused")
    assert rate >= 0.97 * 10
    assert sandbox.refused == 0


@pytest.mark.anyio
async def test_one_that_fails_is_left_for_the_next_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = Sandbox(customers=20)
    sandbox.fault(200, times=2, route="/customers/{customer_id}/messages/")
    sandbox.delete_customer(20)
    with pytest.raises(typer.Exit) as end:
        await export(sandbox.client(), tmp_path)
    assert end.value.exit_code == ExitCode.SOME_FAILED
    assert "2 transcripts could not be read, the last because: " in capsys.readouterr().err
    await export(sandbox.client(), tmp_path)
    assert "Exported 19 customers and " in capsys.readouterr().err


@pytest.mark.anyio
async def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = Sandbox(customers=30)
    with anyio.move_on_after(2):
        await export(sandbox.client(), tmp_path)
    assert capsys.readouterr().err.endswith(f"Not finished. The same command continues: landbot export {tmp_path}\n")
    for number in range(25, 31):
        sandbox.delete_customer(number)
    with Folder(tmp_path, Sandbox.base_url, "") as folder:
        folder.keep("listed", "with gaps")
    await export(sandbox.client(), tmp_path)
    said = capsys.readouterr().err
    assert "6 customers were deleted meanwhile and have no transcript." in said
    assert "Some customers may be missing" in said


def test_an_error_says_that_the_same_command_continues(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.fault(401, times=None)
    said = landbot("export", str(tmp_path), code=ExitCode.TOKEN)[1]
    assert f"Not finished. The same command continues: landbot export {tmp_path}\n" in said
    assert "does not accept the token" in said


def test_a_folder_that_cannot_be_used_ends_it(sandbox: Sandbox, tmp_path: Path) -> None:
    with Folder(tmp_path, Sandbox.base_url, ""):
        assert "in use" in landbot("export", str(tmp_path), code=ExitCode.FILE)[1]
    file = tmp_path / "file"
    file.touch()
    assert "is not a folder" in landbot("export", str(file), code=ExitCode.OTHER)[1]
    assert sandbox.received == 0


@pytest.mark.once
def test_a_kill_loses_nothing(tmp_path: Path) -> None:
    """Real processes and SIGKILL; the sandbox's limit is raised, so that it takes no minute."""
    program = (
        "from landbot_async.cli import main, session\n"
        "from landbot_async.sandbox import Sandbox\n"
        "session.open_client = Sandbox(customers=300, rate=60, latency=0.1).client\n"
        "main()"
    )
    path = tmp_path / "out"
    command = [sys.executable, "-c", program, "export", str(path)]
    for share in (0, 100):

        def begun(share: int = share) -> bool:
            file = path / "transcripts.jsonl"
            return file.exists() and file.read_bytes().count(b"\n") >= share

        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            until(begun)
            process.send_signal(signal.SIGKILL)
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    done = [each["customer_id"] for each in lines(path / "transcripts.jsonl")]
    assert sorted(done) == list(range(1, 301))
    assert {each["id"] for each in lines(path / "customers.jsonl")} == set(done)
