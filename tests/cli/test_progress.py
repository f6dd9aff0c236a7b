"""The progress bar of long walks."""

import io
import sys

import pytest

from landbot_async.cli.progress import duration, progress

from .helpers import Terminal


@pytest.mark.parametrize(
    ("terminal", "quiet", "total", "shown"),
    [
        (True, False, 250, True),
        (True, False, None, True),
        (True, False, 100, False),
        (True, True, 250, False),
        (False, False, 250, False),
    ],
)
def test_progress_is_shown_on_a_terminal_for_long_walks(
    terminal: bool, quiet: bool, total: int | None, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress("customers", quiet=quiet) as step:
        for _ in range(3):
            step(total)
    assert ("customers" in stderr.getvalue() and "3/" in stderr.getvalue()) == shown


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        (0, "less than a minute"),
        (599, "less than a minute"),
        (600, "about a minute"),
        (900, "about 2 minutes"),
        (3000, "about 5 minutes"),
        (20_000, "about 33 minutes"),
        (100_000, "about 2.8 hours"),
    ],
)
def test_how_long_it_takes_is_said_in_words(requests: int, words: str) -> None:
    assert duration(requests) == words
