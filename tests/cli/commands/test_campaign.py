"""The options of `landbot campaign`."""

from pathlib import Path

import pytest

from landbot_async.cli.exit_codes import ExitCode
from landbot_async.sandbox import Sandbox
from tests.cli.helpers import landbot


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spring.csv").write_text("customer_id,name\n1,Ana\n", encoding="utf-8")
    Path("spring.campaign").touch()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["prepare", "spring.csv"], "give either --text, or --template and --language"),
        (["prepare", "spring.csv", "--text", "x", "--template", "5", "--language", "es"], "give either --text"),
        (["prepare", "spring.csv", "--text", "x", "--language", "es"], "a text has no language and no --param"),
        (["prepare", "spring.csv", "--text", "x", "--param", "1=name"], "a text has no language and no --param"),
        (["prepare", "spring.csv", "--text", " "], "it is empty"),
        (["prepare", "spring.csv", "--text", "Hello {name"], "a brace stands alone"),
        (["prepare", "spring.csv", "--template", "5"], "say in which language the template is"),
        (["prepare", "spring.csv", "--template", "5", "--language", "es", "--param", "x"], "is not N=COLUMN"),
        (["run", "nope.campaign"], "Make it with: landbot campaign prepare nope.csv"),
        (["run", "nope"], "there is no file nope."),
        (["run", "spring.campaign", "--between", "9:00-20:00"], "say in which zone, such as Europe/Madrid"),
        (["run", "spring.campaign", "--between", "9-20", "--zone", "UTC"], "is not START-END"),
        (["run", "spring.campaign", "--zone", "Mars/Base"], "is not a time zone such as Europe/Madrid"),
        (["run", "spring.campaign", "--zone", "../x"], "is not a time zone such as Europe/Madrid"),
        (["run", "spring.campaign", "--expires", "2026-12-01T20:00"], "say in which zone"),
        (["run", "spring.campaign", "--first", "0"], "is not a count"),
        (["resolve", "spring.campaign", "k"], "give either --sent or --again"),
        (["resolve", "spring.campaign", "k", "--sent", "--again"], "give either --sent or --again"),
        (["retry", "spring.campaign", "--error", "x"], "is not an HTTP status"),
        (["status", "nope.campaign"], "there is no file nope.campaign."),
    ],
)
def test_wrong_usage_is_told_before_anything_happens(words: list[str], why: str) -> None:
    said = landbot("campaign", *words, code=ExitCode.USAGE)[1]
    assert why in " ".join(said.split())


@pytest.mark.real_time
@pytest.mark.parametrize("words", [["--text", "-"], ["--text", "Hello {name}"]])
def test_a_text_may_come_on_stdin(words: list[str], sandbox: Sandbox) -> None:
    Path("spring.campaign").unlink()
    out, _ = landbot("campaign", "prepare", "spring.csv", *words, stdin="Hello {name}\n")
    assert "First: customer 1  Hello Ana\n" in out
    assert sandbox.sent == []


@pytest.mark.parametrize("verb", ["run", "status", "report", "retry", "reconcile", "cancel", "forget"])
def test_a_journal_that_is_no_database_is_refused(verb: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDBOT_JOURNAL_URL", "mysql://user:secret@db/x")
    said = landbot("campaign", verb, "spring.campaign", code=ExitCode.TOKEN)[1]
    assert said.startswith("LANDBOT_JOURNAL_URL must be a URL such as postgresql://")
    assert "secret" not in said
