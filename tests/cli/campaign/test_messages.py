"""Messages with gaps, and the parameters that fill them."""

from collections.abc import Mapping

import pytest

from landbot_async.cli.campaign.customers import Chosen
from landbot_async.cli.campaign.messages import TemplateMessage, TextMessage, checked_text, gaps
from landbot_async.cli.campaign.notes import row_of
from landbot_async.cli.campaign.recipients import Recipient
from landbot_async.outbox import Outgoing

CELLS = {"name": "Zoë", "city": "Łódź"}
CHOSEN = Chosen(42, Recipient(3, None, "34600000001", "", CELLS))


@pytest.mark.parametrize(
    ("text", "columns", "cells", "result"),
    [
        ("Hello {Name}!", ["name"], {"name": "Zoë"}, "Hello Zoë!"),
        ("{a}{ b }", ["a", "b"], {"a": "1", "b": "{a}"}, "1{a}"),
        ("{{x}} 100 %", [], {}, "{x} 100 %"),
        ("no gap", [], {}, "no gap"),
        ("{a.b}", ["a.b"], {"a.b": "x"}, "x"),
    ],
)
def test_the_gaps_of_a_text_are_filled(text: str, columns: list[str], cells: Mapping[str, str], result: str) -> None:
    message = TextMessage(text)
    assert message.columns == columns
    assert message.preview(cells) == result


def test_what_is_shown_of_a_text_is_what_is_sent() -> None:
    message = TextMessage("Hello {name}")
    assert message.outgoing(CHOSEN, "k") == Outgoing.text(
        42, "Hello Zoë", key="k", note=message.outgoing(CHOSEN, "k").note
    )
    assert row_of(message.outgoing(CHOSEN, "k").note) == (3, "34600000001")
    assert message.kind == ""
    with pytest.raises(ValueError, match="must not be empty"):
        TextMessage(" ").outgoing(CHOSEN, "k")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hola {{1}}, {{ 2 }} {{3}} {{1}}", "Hola Zoë, Łódź {{3}} Zoë"),
        ("{1} {{0}} {{x}}", "{1} {{0}} {{x}}"),
        (None, "Zoë, Łódź"),
    ],
)
def test_a_template_is_shown_with_its_gaps_filled(text: str | None, shown: str) -> None:
    message = TemplateMessage(5, "es", ["name", "city"], text)
    assert message.preview(CELLS) == shown
    made = message.outgoing(CHOSEN, "k")
    assert made == Outgoing.template(42, 5, "es", body=["Zoë", "Łódź"], key="k", note=made.note)
    assert message.kind == "5-"


@pytest.mark.parametrize("text", ["Hello {name}", "{{x}}", "", "{a}{b}}}"])
def test_braces_belong_to_gaps_or_are_doubled(text: str) -> None:
    assert checked_text(text) == text


@pytest.mark.parametrize("text", ["Hello {name", "name}", "{{{{a}", "{a}}"])
def test_a_brace_that_stands_alone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a brace stands alone"):
        checked_text(text)


def test_parameters_name_gaps_and_columns() -> None:
    assert gaps(["2=City", "1= first name "]) == ["first name", "city"]
    assert gaps([]) == []


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["name"], "'name' is not N=COLUMN"),
        (["0=name"], "'0=name' is not N=COLUMN"),
        (["1= "], "'1= ' is not N=COLUMN"),
        (["²=x"], "is not N=COLUMN"),
        (["1=a", "1=b"], "gap 1 is given twice"),
        (["2=a"], "numbered from 1"),
    ],
)
def test_other_parameters_are_refused(given: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        gaps(given)
