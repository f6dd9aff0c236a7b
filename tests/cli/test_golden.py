"""The output of every command: in a real terminal of 80 and of 120 columns, without colours, and in a pipe.

`GOLDEN=write python -m pytest tests/cli/test_golden.py` writes the texts anew. Escape is written as ␛.
"""

import contextlib
import fcntl
import functools
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections import Counter
from pathlib import Path

import pytest

from .golden_session import COMMANDS, every_command, main

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "import pytest; from tests.cli.golden_session import main; main(pytest.MonkeyPatch())"]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")}
    return {**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), **more}


def in_terminal(columns: int, folder: Path, **more: str) -> str:
    """Run the session in a terminal, and return what it showed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(
        COMMAND, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment(**more), start_new_session=True
    ) as process:
        os.close(slave)
        shown = b"".join(iter(functools.partial(read, master), b""))
        os.close(master)
        assert process.wait(30) == 0
    return shown.decode().replace("\r\n", "\n")


def read(master: int) -> bytes:
    """Return what a terminal shows next, or nothing at its end."""
    part = b""
    with contextlib.suppress(OSError):  # Linux's way of telling that the other side is closed
        part = os.read(master, 65536)
    return part


def in_pipe(folder: Path) -> str:
    """Run the session in a pipe, and return what it wrote."""
    done = subprocess.run(
        COMMAND,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=environment(),
        check=True,
        timeout=60,
    )
    return done.stdout.decode()


# What a progress bar draws, and removes at its end, depends on the time; so do the times of messages.
FRAMES = re.compile(r"\x1b\[\?25l.*?\x1b\[\?25h(?:\r|\x1b\[1A|\x1b\[2K)*", re.DOTALL)
TIME = re.compile(r"20\d\d-(?!01-01)\d\d-\d\d \d\d:\d\d:\d\d")

SHOWN = {
    "80": lambda folder: in_terminal(80, folder),
    "120": lambda folder: in_terminal(120, folder),
    "80-no-color": lambda folder: in_terminal(80, folder, NO_COLOR="1"),
    "pipe": in_pipe,
}


@pytest.mark.once
@pytest.mark.parametrize("name", list(SHOWN))
def test_every_command_shows_what_it_showed(name: str, tmp_path: Path) -> None:
    shown = TIME.sub("2026-05-01 10:00:00", FRAMES.sub("", SHOWN[name](tmp_path))).replace("\x1b", "␛")
    file = GOLDEN / f"{name}.txt"
    _ = os.environ.get("GOLDEN") == "write" and file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")
    assert shown.count("$ landbot ") == len(COMMANDS)
    assert "Traceback" not in shown
    assert not re.search(r"^  \w.*\.\.\.$", shown, re.MULTILINE)  # the help of a command is cut off
    assert ("␛" in shown) == (name != "pipe")
    colours = "␛[1;32m" in shown
    assert colours == (name in ("80", "120"))


@pytest.mark.once
def test_the_session_ends_with_these_codes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Counter(main(monkeypatch)) == {0: len(COMMANDS) - 11, 1: 1, 2: 3, 4: 5, 5: 1, 9: 1}


# They end by a signal only, or take most of a minute: tests/cli/test_listen.py, test_sandbox.py, demo/test_screen.py.
NOT_RUN = {("demo",), ("listen",), ("sandbox",)}


def test_the_session_has_every_command() -> None:
    run = [words for words in COMMANDS if "-h" not in words]
    groups = {words[:-1] for words in every_command()}
    assert {("campaign", "forget"), ("whoami",), ("hooks", "list")} <= set(every_command())
    for words in every_command():
        assert [*words, "-h"] in COMMANDS
        if words not in groups and words not in NOT_RUN:
            # The word `list` may be left out.
            shown = [word for word in words if word != "list"]
            assert any(each[: len(shown)] == shown for each in run), words
