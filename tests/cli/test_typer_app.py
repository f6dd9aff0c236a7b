"""Groups of commands."""

from pathlib import Path

import pytest

from landbot_async.sandbox import Sandbox

from .helpers import landbot


@pytest.mark.parametrize("words", [["hooks", "8"], ["hooks", "list", "8"], ["hooks", "--format", "jsonl", "8"]])
def test_in_a_group_with_a_listing_the_word_list_may_be_left_out(words: list[str], sandbox: Sandbox) -> None:
    assert landbot(*words) == ("", "")
    assert sandbox.received == 1


@pytest.mark.parametrize("words", [["hooks", "-h"], ["hooks", "--help"]])
def test_its_help_stays(words: list[str]) -> None:
    assert "ensure" in landbot(*words)[0]


def test_a_group_without_words_shows_its_help() -> None:
    assert "ensure" in "".join(landbot("hooks", code=2))


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["customer"], "CUSTOMER"),
        (["campaign", "cancel"], "FILE [KEY]"),
        (["send-template"], "CUSTOMER TEMPLATE LANGUAGE [PARAM]..."),
    ],
)
def test_the_help_of_a_command_names_arguments_without_their_types(words: list[str], usage: str) -> None:
    shown = landbot(*words, "-h")[0]
    assert f"Usage: root {' '.join(words)} [OPTIONS] {usage}\n" in shown
    arguments = shown.partition("Arguments:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in arguments] == usage.replace("[", "").replace("]", "").replace("...", "").split()
    assert "<" not in "".join(arguments)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["customers", "--format", "xml"], "'xml' is not one of 'table', 'jsonl', 'csv'."),
        (["customers", "--limit", "0"], "'0' is not a count (a whole number from 1)"),
        (["sandbox", "--port", "x"], "'x' is not a port (a whole number from 0 to 65535)"),
        (["campaign", "forget", "x.campaign", "--before", "x"], "'x' does not match the formats '%Y-%m-%d'."),
    ],
)
def test_an_error_says_what_was_typed_and_nothing_of_the_library(
    words: list[str], error: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.campaign").touch()
    assert landbot(*words, code=2)[1].endswith(f": {error}\n")
