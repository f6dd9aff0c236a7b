"""What a command says when its extra is missing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator

# What the extras bring that is imported by its name.
BROUGHT = frozenset({"rich", "starlette", "typer", "uvicorn"})


@contextlib.contextmanager
def needing(what: str, extra: str) -> Generator[None]:
    """Around imports that need an extra: without it, say what to install and end with `SystemExit`."""
    try:
        yield
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in BROUGHT:
            raise
        sys.stderr.write(
            f"{what} needs {package}, which is not installed: pip install 'landbot-async[{extra}]',"
            f" or '.[{extra}]' in a checkout\n"
        )
        raise SystemExit(2) from None
