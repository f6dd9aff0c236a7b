"""The file of a campaign, and what a person needs next."""

from pathlib import Path

import anyio
import pytest

from landbot_async import ConfigurationError
from landbot_async._core.extras import MissingExtraError
from landbot_async.cli.campaign.journal import database, name_of, next_command, open_reader, place, quoted, summary
from landbot_async.outbox.states import STATUSES, Status


def counts(**some: int) -> dict[Status, int]:
    return {status: some.get(status, 0) for status in STATUSES}


def test_the_environment_may_name_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database({}) is None
    assert database({"LANDBOT_JOURNAL_URL": " "}) is None
    assert repr(database({"LANDBOT_JOURNAL_URL": "postgresql://u:secret@db/x"})) == "Secret('***')"
    assert name_of(Path("a/spring.campaign")) == name_of(Path("spring")) == "spring"
    assert place(Path("a/spring.campaign")) == "spring.campaign"
    monkeypatch.setenv("LANDBOT_JOURNAL_URL", "postgresql://db/x")
    assert place(Path("a/spring.campaign")) == "spring in the database of LANDBOT_JOURNAL_URL"


@pytest.mark.parametrize("url", ["redis://u:secret@h", "postgresql://u:secret@[::1/x", "/a/file"])
def test_a_url_that_cannot_be_used(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDBOT_JOURNAL_URL", url)
    with pytest.raises(ConfigurationError, match="must be a URL such as postgresql://") as error:
        anyio.run(open_reader, Path("spring.campaign"))
    assert "secret" not in str(error.value)


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise MissingExtraError("An Outbox on Postgres needs psycopg")

    monkeypatch.setenv("LANDBOT_JOURNAL_URL", "postgresql://db/x")
    monkeypatch.setattr("landbot_async.outbox.OutboxReader", missing)
    with pytest.raises(ConfigurationError, match="LANDBOT_JOURNAL_URL: An Outbox on Postgres needs psycopg"):
        anyio.run(open_reader, Path("spring.campaign"))


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
