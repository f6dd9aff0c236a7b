"""`landbot listen`: its options."""

import sys
from typing import Any

import pytest

from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.listen import Listening
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--channel", "x"],
        ["--channel", "8", "--forward-to", "localhost:8000"],
        ["--channel", "8", "--forward-to", "http://[/"],
        ["--channel", "8", "--public-url", "ftp://example.org/"],
        ["--channel", "8", "--public-url", "https://a b/"],
        ["--channel", "8", "--port", "70000"],
    ],
)
def test_wrong_usage_ends_with_2(words: list[str], sandbox: Sandbox) -> None:
    landbot("listen", *words, code=ExitCode.USAGE)
    assert sandbox.received == 0


@pytest.mark.parametrize(("token", "taken"), [("hook-s3cret", "hook-s3cret"), (" ", None)])
def test_the_token_comes_from_the_environment(
    token: str, taken: str | None, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Listening] = []

    async def listen(_client: Any, listening: Listening) -> None:
        asked.append(listening)

    monkeypatch.setattr("landbot_async.cli.listen.listen", listen)
    monkeypatch.setenv("LANDBOT_HOOK_TOKEN", token)
    landbot("listen", "--channel", "8", "--public-url", "https://me.example/", "--forward-to", "http://127.0.0.1:5/")
    assert asked == [Listening(8, "https://me.example/", "http://127.0.0.1:5/", 8001, taken)]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("uvicorn.", "landbot_async.sandbox.server"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "landbot_async.cli.listen")
    said = landbot("listen", "--channel", "8", code=ExitCode.USAGE)[1]
    assert said == (
        "landbot listen needs uvicorn, which is not installed: pip install 'landbot-async[sandbox]', or '.[sandbox]' in"
        " a checkout\n"
    )
