"""`landbot demo`: how it looks in a pipe and on a terminal, and how it ends."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
import typer
from attrs import evolve
from typer.testing import CliRunner

from landbot_async._core.extras import PACKAGES
from landbot_async.cli.app import app
from landbot_async.cli.commands.demo import demo, show_demo
from landbot_async.cli.demo import campaign
from landbot_async.cli.demo.play import FAIR_WEATHER, play
from landbot_async.cli.demo.screen import NEXT
from landbot_async.cli.lazy import LazyModule
from tests.cli.demo.consoles import a_console

SHORT = evolve(FAIR_WEATHER, customers=12)


@pytest.fixture(autouse=True)
def _campaign_without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play part three like the others: a process of its own takes real time. demo/test_campaign.py has the real one."""
    monkeypatch.setattr(campaign, "KILLED", evolve(campaign.KILLED, customers=12, latency=0.08, sending=()))
    monkeypatch.setattr(campaign, "play_campaign", play)


@pytest.mark.usefixtures("virtual_time")
def test_demo_ends_with_0_when_every_promise_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landbot_async.cli.demo.play.PLANS", (SHORT,))
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0
    assert "done: 12 of 12 sent" in result.output
    assert not re.search(r"[0-9a-f]{40}|\x1b", result.output)


@pytest.mark.usefixtures("virtual_time")
def test_demo_ends_with_1_when_one_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landbot_async.cli.demo.play.PLANS", (evolve(SHORT, jitter=2.0), SHORT))
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1
    assert "A promise was broken" in result.output


def test_ctrl_c_ends_it_quietly_with_130() -> None:
    # A shell starts what runs in the background with SIGINT ignored, and a child would inherit that.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from landbot_async.cli import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "landbot demo\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    assert "Traceback" not in output


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("lines", [0, 20])
def test_a_reader_of_the_demo_who_has_enough_is_no_broken_promise(lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.TextIOWrapper):
        """An output whose reader has gone after some lines."""

        left = lines

        def write(self, text: str) -> int:
            self.left -= text.count("\n")
            if self.left < 0:
                raise BrokenPipeError
            return len(text)

    with Path(os.devnull).open("wb") as file:
        monkeypatch.setattr(sys, "stdout", Gone(file))
        with pytest.raises(typer.Exit) as end:
            demo()
    assert end.value.exit_code == 141


@pytest.mark.anyio
async def test_piped_it_prints_plain_lines() -> None:
    console, shown = a_console()
    began = anyio.current_time()
    assert await show_demo(console)
    assert anyio.current_time() - began < 29
    text = shown.getvalue().decode()
    assert text.endswith(f"\nEvery promise held.\n{NEXT}\n")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120
    assert " 12 s: 113 of 180 sent" in text or " 12 s: 114 of 180 sent" in text
    assert "done: 180 of 180 sent\n" in text
    assert "  429 for a message: retried (all pause 0.10 s), not processed\n" in text
    assert re.search(r"^  looked at customer \d+: it had arrived$", text, re.MULTILINE)
    assert re.search(r"^no response to a message +4 +raised: outcome unknown +2 of 4 *$", text, re.MULTILINE)
    assert re.search(r"^\d+ +APIConnectionError +False +had not arrived +sent again *$", text, re.MULTILINE)
    assert "Retried blindly, 3 of them would have got it twice; given up, 4 would have got nothing." in text
    assert not re.search(r"[0-9a-f]{40}", text)


@pytest.mark.usefixtures("virtual_time")
def test_without_the_extra_of_the_sandbox_the_campaign_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landbot_async.cli.demo.play.PLANS", (SHORT,))
    monkeypatch.setitem(sys.modules, "landbot_async.cli.demo.campaign", None)
    monkeypatch.setattr("landbot_async.cli.commands.demo.campaign", LazyModule("demo.campaign"))
    with monkeypatch.context() as patched:
        patched.setitem(PACKAGES, "landbot_async", "uvicorn")
        result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0
    assert "2. Left out: A campaign that is killed needs uvicorn, which is not installed: pip install" in result.output


@pytest.mark.once
@pytest.mark.anyio
async def test_on_a_terminal_it_draws() -> None:
    console, shown = a_console(terminal=True)
    assert await show_demo(console)
    text = shown.getvalue().decode()
    assert "\x1b[?25l" in text  # the cursor is hidden
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # and comes back
    assert "○" in text
    assert "looked up: had arrived" in text
    assert "✓" in text
    assert not re.search(r"[0-9a-f]{40}", text)


@pytest.mark.anyio
async def test_cut_short_it_says_how_far_it_came() -> None:
    console, shown = a_console()
    with anyio.move_on_after(4):
        await show_demo(console)
    assert re.search(r"^stopped: 3\d of 180 sent", shown.getvalue().decode(), re.MULTILINE)


@pytest.mark.anyio
async def test_cut_short_on_a_terminal_the_cursor_comes_back() -> None:
    console, shown = a_console(terminal=True)
    with anyio.move_on_after(4):
        await show_demo(console)
    assert shown.getvalue().endswith(b"\x1b[?25h")
