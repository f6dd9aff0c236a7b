"""The `landbot` command. It needs typer and rich, which the extra `[cli]` installs."""

import os
import signal
import sys
from importlib import import_module

from landbot_async._core.extras import MissingExtraError, extra_required

__all__ = ["main"]


def main() -> None:
    """Run the command line; if its extra is missing, say what to install. Always ends with `SystemExit`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # If the shell closed a stream (`>&-`), Python has None for it, and the next socket would get its number.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for the process's lifetime
    try:
        with extra_required("The landbot command", "cli"):
            import_module("rich")  # `app` itself imports it only when a command runs
            from .app import app  # noqa: PLC0415  # the extra may be missing
    except MissingExtraError as missing:
        sys.stderr.write(f"{missing}\n")
        sys.exit(2)
    except KeyboardInterrupt:  # imports take a moment, in which Ctrl-C may come
        sys.exit(128 + signal.SIGINT)
    app(prog_name="landbot")
