"""`landbot hooks`, run against a sandbox."""

import pytest

from landbot_async import AsyncLandbot
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.options import Format
from landbot_async.cli.session import run
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot, rows


def test_hooks_come_without_their_tokens(sandbox: Sandbox) -> None:
    async def make(client: AsyncLandbot) -> None:
        await client.hooks.create(8, "https://example.org/one", token="hook-s3cret", name="one")
        await client.hooks.create(8, "https://example.org/two")

    run(make)
    assert [(each["url"], each["token"]) for each in rows("hooks", "8")] == [
        ("https://example.org/one", "***"),
        ("https://example.org/two", None),
    ]
    for form in Format:
        assert "s3cret" not in landbot("hooks", "8", "--format", form)[0]


def test_a_hook_is_ensured_and_its_token_comes_from_stdin(sandbox: Sandbox) -> None:
    words = ["hooks", "ensure", "8", "https://example.org/one", "--name", "bot", "--token-stdin"]
    out, said = landbot(*words, stdin="hook-s3cret\n")
    assert "s3cret" not in out + said
    assert "https://example.org/one" in out
    # Once more, elsewhere: the hook of this name is replaced, and without a token the old one stays.
    landbot("hooks", "ensure", "8", "https://example.org/two", "--name", "bot")
    assert [(each["url"], each["name"], each["token"]) for each in rows("hooks", "8")] == [
        ("https://example.org/two", "bot", "***")
    ]


@pytest.mark.parametrize(("given", "wrong"), [("", "empty"), ("\n", "empty"), (b"\xff", "not UTF-8")])
def test_a_token_on_stdin_is_no_empty_one(sandbox: Sandbox, given: str | bytes, wrong: str) -> None:
    words = ["hooks", "ensure", "8", "https://example.org/", "--token-stdin"]
    _, said = landbot(*words, stdin=given, code=ExitCode.USAGE)
    assert f"the token on standard input is {wrong}" in said
    assert sandbox.received == 0


def test_a_hook_is_deleted(sandbox: Sandbox) -> None:
    landbot("hooks", "ensure", "8", "https://example.org/one")
    [hook] = rows("hooks", "8")
    number = str(hook["id"])
    assert landbot("hooks", "delete", "8", number)[0] == f"Landbot deleted hook {number} of channel 8.\n"
    assert rows("hooks", "8") == []
    said = landbot("hooks", "delete", "8", number, code=ExitCode.NOT_FOUND)[1]
    assert said == f"There is no hook {number} of channel 8 (404).\n"
