"""The note of each message."""

import pytest

from landbot_async.cli.campaign.notes import note, row_of


@pytest.mark.parametrize(("row", "phone"), [(2, "34600000001"), (3, "")])
def test_a_note_tells_row_and_phone(row: int, phone: str) -> None:
    assert row_of(note(row, phone)) == (row, phone)


@pytest.mark.parametrize("text", [None, "{}", "[]", "mine", "7"])
def test_a_note_that_was_forgotten_or_is_not_ours_tells_nothing(text: str | None) -> None:
    assert row_of(text) == (None, "")
