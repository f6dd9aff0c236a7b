"""Running a command in this process."""

import io
import json
import time
from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner

from landbot_async.cli.app import app


def landbot(*words: str, code: int = 0, stdin: str | bytes | None = None) -> tuple[str, str]:
    """Run a command, and return what it wrote to stdout and to stderr."""
    result = CliRunner().invoke(app, words, input=stdin, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def rows(*words: str) -> list[Any]:
    """Run a command, and return the JSON lines that it wrote."""
    return [json.loads(line) for line in landbot(*words)[0].splitlines()]


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait in real time until something has happened, up to some seconds."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True
