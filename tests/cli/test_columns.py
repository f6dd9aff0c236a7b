"""The columns of each kind of record."""

import csv
import io
from typing import Any

import pytest

from landbot_async import Template, TranscriptMessage
from landbot_async.cli import columns
from landbot_async.cli.columns import TEMPLATES, TRANSCRIPT, Listing
from landbot_async.cli.options import Format
from landbot_async.cli.writers import writer


def cells(listing: Listing, item: Any) -> dict[str, str]:
    file = io.StringIO()
    with writer(Format.CSV, file, listing) as rows:
        rows.write(item)
    return next(csv.DictReader(io.StringIO(file.getvalue())))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (TranscriptMessage("text", "Hi"), "Hi"),
        (TranscriptMessage("event", 5), "5"),
        (TranscriptMessage("dialog", title="Choose"), "Choose"),
        (TranscriptMessage("image", url="https://example.org/a"), "https://example.org/a"),
        (TranscriptMessage("event"), ""),
    ],
)
def test_what_a_message_says(message: TranscriptMessage, said: str) -> None:
    assert cells(TRANSCRIPT, message)["message"] == said


@pytest.mark.parametrize(
    ("extra", "shown"),
    [
        ({}, ""),
        ({"languages": ["en", "es_MX"]}, "en, es_MX"),
        ({"language": "en"}, "en"),
        ({"name": "x", "lang": {"code": "en"}}, '{"code": "en"}'),
    ],
)
def test_the_languages_of_a_template_are_shown_whatever_their_key(extra: dict[str, Any], shown: str) -> None:
    assert cells(TEMPLATES, Template(5, 1, "Hi {{1}}", extra=extra))["languages"] == shown


def test_the_first_column_of_every_listing_is_in_tables() -> None:
    listings = [each for each in vars(columns).values() if isinstance(each, Listing)]
    assert len(listings) == 7
    for listing in listings:
        assert listing.things == f"{listing.thing}s"
        assert listing is columns.WHOAMI or listing.columns[0].least
