"""The file of a campaign, and what a person needs next."""

from pathlib import Path

import pytest

from landbot_async import ConfigurationError
from landbot_async.cli.campaign.journal import check_journal, next_command, quoted, remove, summary
from landbot_async.outbox.states import STATUSES, Status


def counts(**some: int) -> dict[Status, int]:
    return {status: some.get(status, 0) for status in STATUSES}


def test_a_database_is_refused_until_there_is_one() -> None:
    check_journal({})
    check_journal({"LANDBOT_JOURNAL_URL": " "})
    with pytest.raises(ConfigurationError, match="LANDBOT_JOURNAL_URL is set, but") as error:
        check_journal({"LANDBOT_JOURNAL_URL": "postgresql://user:secret@db/x"})
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "verb"),
    [("queued", "run"), ("sending", "run"), ("unknown", "reconcile"), ("failed", "report"), ("sent", "report")],
)
def test_the_next_command(status: str, verb: str) -> None:
    assert next_command(Path("spring.campaign"), counts(**{status: 1})) == f"landbot campaign {verb} spring.campaign"
    assert next_command(Path("spring.campaign"), counts(queued=1, unknown=1)).startswith("landbot campaign run")


def test_a_path_is_shown_as_one_types_it() -> None:
    assert quoted(Path("a/spring-1.campaign")) == str(Path("a/spring-1.campaign"))
    assert quoted(Path("my spring.campaign")) == '"my spring.campaign"'
    assert quoted("spring; date") == '"spring; date"'
    assert quoted("$(date)") == "'$(date)'"


def test_a_summary_has_what_there_is() -> None:
    assert summary(counts()) == "0 sent"
    assert summary(counts(sent=1234, failed=1, queued=2)) == "1,234 sent, 1 failed, 2 queued"


def test_a_file_is_removed_with_its_companions(tmp_path: Path) -> None:
    for name in ("a.campaign", "a.campaign-wal", "b.campaign"):
        (tmp_path / name).touch()
    remove(tmp_path / "a.campaign")
    assert [each.name for each in tmp_path.iterdir()] == ["b.campaign"]
