"""The code blocks of the documents: finding and running them."""

from __future__ import annotations

import ast
import inspect
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

import landbot_async
from landbot_async import AsyncLandbot
from landbot_async.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
# The package that is tested: the checkout's, or one that is installed.
PACKAGE = Path(landbot_async.__file__).parent
HEADING_OR_BLOCK = re.compile(r"^#+ (?P<heading>[^\n]+)$|^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text(encoding="utf-8")


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the Python blocks, each with the heading above it."""
    heading, found = "", []
    # Comments in blocks look like headings, so both are looked for at a time.
    for match in HEADING_OR_BLOCK.finditer(text):
        if match["code"] is None:
            heading = match["heading"]
        else:
            found.append((heading, match["code"]))
    return found


def settle_in(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lead every client without settings of its own to the sandbox, by the environment; files go to `tmp_path`."""
    monkeypatch.setenv("LANDBOT_API_TOKEN", sandbox.token)
    monkeypatch.setenv("LANDBOT_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("LANDBOT_CHANNEL_TOKEN", sandbox.channel_token(10))
    monkeypatch.setenv("LANDBOT_CHAT_BASE_URL", sandbox.chat_base_url)
    monkeypatch.setattr(
        "landbot_async._core.http.new_client", lambda *_: httpx.AsyncClient(transport=sandbox._transport)
    )
    monkeypatch.chdir(tmp_path)


async def run(code: str, landbot: AsyncLandbot | None = None) -> dict[str, Any]:
    """Run an example: the block itself, then its `main` and its tests if it has any that are async.

    Levels of logging that it sets are reset behind it.
    """
    names: dict[str, Any] = {"__name__": "example", "landbot": landbot}
    compiled = compile(code, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    levels = {logger: logger.level for logger in map(logging.getLogger, ("", "landbot_async", "httpx"))}
    try:
        pending = eval(compiled, names)
        if inspect.isawaitable(pending):
            await pending
        for name, value in list(names.items()):
            if (name == "main" or name.startswith("test_")) and inspect.iscoroutinefunction(value):
                await value()
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
    return names
