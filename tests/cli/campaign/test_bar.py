"""The line that shows how far a campaign has come."""

import io
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from landbot_async.cli.campaign.bar import SPAN, Line, Tally, bar
from landbot_async.outbox import Receipt
from tests.cli.helpers import Terminal

from .test_journal import counts


def receipt(status: Any = "sent") -> Receipt:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    return Receipt("k", 1, status, 1, now, now, now, None, None)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def tally(sent: int, *, queued: int, target: int | None = None, every: float = 0.1) -> Tally:
    clock = Clock()
    made = Tally(counts(queued=queued, failed=1, unknown=0), target, clock)
    for _ in range(sent):
        made.note(receipt())
        clock.now += every
    return made


def drawn(made: Tally, width: int, name: str = "spring") -> str:
    shown = io.StringIO()
    console = Console(file=shown, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(Line(name, made))
    [line] = shown.getvalue().splitlines()
    assert len(line) <= width
    return line.rstrip()


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (120, "spring  ━━━━━━━━━━                                501/2,001  sent 500  failed 1  2:31 left  10.0/s"),
        (80, "spring  ━━━━━                  501/2,001  sent 500  failed 1  2:31 left  10.0/s"),
        (62, "501/2,001  sent 500  failed 1  2:31 left  10.0/s"),
        (40, "501/2,001  sent 500  failed 1"),
        (20, "501/2,001"),
        (5, ""),
    ],
)
def test_a_line_has_what_there_is_room_for(width: int, shown: str) -> None:
    if width == 5:
        console = Console(file=io.StringIO(), width=width)
        console.print(Line("spring", tally(500, queued=2000)))
        return
    assert drawn(tally(500, queued=2000), width) == shown


def test_the_time_left_is_that_of_this_run() -> None:
    assert tally(100, queued=2000, target=200).left == "0:10 left"
    assert tally(100, queued=2000, target=5000).left == "3:12 left"
    assert tally(100, queued=90_000, every=1.0).left == "25:48:17 left"
    assert tally(2, queued=90).left == ""  # too early to tell
    assert tally(0, queued=90).rate == 0.0


def test_the_rate_is_that_of_the_last_seconds() -> None:
    made = tally(600, queued=2000, every=0.1)
    assert made.rate == pytest.approx(10.0, rel=0.01)
    assert len(made._times) <= SPAN * 10 + 2


def test_what_ended_in_other_ways_is_shown() -> None:
    made = tally(1, queued=9)
    made.note(receipt("unknown"))
    assert drawn(made, 50) == "3/10  sent 1  failed 1  unknown 1"
    assert "\\u001b" in drawn(made, 100, "\x1b[1mspring")


@pytest.mark.parametrize("terminal", [True, False])
def test_it_is_drawn_on_a_terminal_only_and_lines_are_told_on_both(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with bar("spring", tally(1, queued=9)) as tell:
        tell("Stopping \x1b")
    assert "Stopping \\u001b\n" in stderr.getvalue()
    assert ("spring" in stderr.getvalue()) == terminal
