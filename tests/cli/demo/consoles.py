"""A console whose output a test can read."""

import io

from rich.console import Console


def a_console(*, terminal: bool = False, encoding: str = "utf-8", width: int = 80) -> tuple[Console, io.BytesIO]:
    shown = io.BytesIO()
    file = io.TextIOWrapper(shown, encoding=encoding, write_through=True)
    # What a CI's own variables say about terminals is none of the test's business.
    environ = {"COLUMNS": str(width), "LINES": "50", "TERM": "xterm-256color"}
    console = Console(file=file, force_terminal=terminal, width=width, highlight=False, _environ=environ)
    return console, shown
