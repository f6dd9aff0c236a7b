"""The `landbot` command. It needs typer and rich, which the extra `[cli]` brings."""

import os
import signal
import sys

from .extras import needing

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say what to install for it; ends with `SystemExit`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # The shell closed it (`>&-`): nobody looks, and its number must not go to the next socket.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for the process's lifetime
    try:
        with needing("The landbot command", "cli"):
            from .app import app  # noqa: PLC0415  # the extra may be missing
    except KeyboardInterrupt:  # importing takes a moment, and Ctrl-C may come in it
        sys.exit(128 + signal.SIGINT)
    app(prog_name="landbot")
