"""`landbot api`, run against a sandbox."""

import json
import sys

import pytest

from landbot_async.cli.commands.api import call
from landbot_async.cli.exit_codes import ExitCode
from landbot_async.cli.session import run
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import Terminal, landbot


@pytest.mark.parametrize("path", ["channels/8/", "/channels/8/"])
def test_any_endpoint_can_be_called_and_no_token_is_shown(sandbox: Sandbox, path: str) -> None:
    out, said = landbot("api", "get", path)
    assert out.count("\n") == 1
    assert json.loads(out)["channel"]["token"] == "***"
    assert said == ""


def test_in_a_terminal_it_is_indented(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Terminal()
    monkeypatch.setattr(sys, "stdout", stdout)
    run(lambda client: call(client, "GET", "channels/8/", {}, None, idempotent=None))
    assert stdout.getvalue().startswith('{\n  "success": true,\n  "channel": {\n')


def test_it_takes_a_query_and_a_body(sandbox: Sandbox) -> None:
    out = landbot("api", "GET", "customers/", "--param", "limit=1", "--param", "channel_id=9")[0]
    assert len(json.loads(out)["customers"]) == 1
    landbot("api", "POST", "customers/1/send_text/", "--json", '{"message": "one"}')
    landbot("api", "POST", "customers/1/send_text/", "--json", "-", stdin='{"message": "two"}')
    assert [each.text for each in sandbox.sent] == ["one", "two"]


def test_a_response_without_a_body_prints_nothing(sandbox: Sandbox) -> None:
    assert landbot("api", "DELETE", "customers/1/") == ("", "")


@pytest.mark.parametrize(("words", "code", "received"), [([], ExitCode.UNKNOWN, 1), (["--idempotent"], 7, 5)])
def test_a_post_is_retried_only_if_that_is_said_to_be_harmless(
    sandbox: Sandbox, words: list[str], code: int, received: int
) -> None:
    sandbox.fault(503, times=None)
    landbot("api", "POST", "customers/1/send_text/", *words, code=code)
    assert sandbox.received == received


def test_what_is_not_there_is_named(sandbox: Sandbox) -> None:
    said = landbot("api", "GET", "bots/", code=ExitCode.NOT_FOUND)[1]
    assert said == "There is no resource bots/ (404).\n"
