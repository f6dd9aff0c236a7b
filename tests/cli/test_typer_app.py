"""Groups of commands."""

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
