"""The message of a campaign: a text or a template, with columns of the spreadsheet in its gaps. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from attrs import frozen

from landbot_async.outbox import Outgoing

from .customers import Chosen
from .notes import note

_GAP: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_TEMPLATE_GAP: Final = re.compile(r"\{\{\s*([0-9]{1,3})\s*\}\}")


def checked_text(text: str) -> str:
    """Return the text of a message, if each brace in it belongs to a gap or is doubled.

    Raises:
        ValueError: one does not.
    """
    if "{" in (rest := _GAP.sub("", text)) or "}" in rest:
        raise ValueError("a brace stands alone: a gap is {column}, and a brace itself is written {{ or }}")
    return text


class CampaignMessage(Protocol):
    """A message with gaps."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns that fill its gaps."""
        ...

    @property
    def kind(self) -> str:
        """The part of the keys that tells two messages to the same customer apart."""
        ...

    def preview(self, cells: Mapping[str, str]) -> str:
        """Return what a customer will read, as far as that is known."""
        ...

    def outgoing(self, chosen: Chosen, key: str) -> Outgoing:
        """Return the message to a customer.

        Raises:
            ValueError: it cannot be sent, such as a text that is empty.
        """
        ...


@frozen
class TextMessage:
    """A text such as `Hello {name}`. `{{` and `}}` stand for braces."""

    text: str

    @property
    def columns(self) -> Sequence[str]:
        """The columns that fill its gaps."""
        return [found[1].strip().lower() for found in _GAP.finditer(self.text) if found[1] is not None]

    @property
    def kind(self) -> str:
        """Nothing: a campaign has one text."""
        return ""

    def preview(self, cells: Mapping[str, str]) -> str:
        """Return the text with the cells of a row in its gaps."""

        def cell(found: re.Match[str]) -> str:
            return found[0][0] if found[1] is None else cells[found[1].strip().lower()]

        return _GAP.sub(cell, self.text)

    def outgoing(self, chosen: Chosen, key: str) -> Outgoing:
        """Return the message to a customer."""
        return Outgoing.text(
            chosen.customer_id,
            self.preview(chosen.recipient.cells),
            key=key,
            note=note(chosen.recipient.row, chosen.recipient.phone),
        )


@frozen
class TemplateMessage:
    """A WhatsApp template.

    Attributes:
        template_id: its id.
        language: such as `"es"`.
        columns: the columns for its gaps, in their order.
        text: its text, or None if Landbot does not say.
    """

    template_id: int
    language: str
    columns: Sequence[str]
    text: str | None = None

    @property
    def kind(self) -> str:
        """The template's id."""
        return f"{self.template_id}-"

    def preview(self, cells: Mapping[str, str]) -> str:
        """Return the template's text with the cells of a row in its gaps, or the cells alone."""
        values = [cells[column] for column in self.columns]
        if self.text is None:
            return ", ".join(values)

        def cell(found: re.Match[str]) -> str:
            place = int(found[1])
            return values[place - 1] if 1 <= place <= len(values) else found[0]

        return _TEMPLATE_GAP.sub(cell, self.text)

    def outgoing(self, chosen: Chosen, key: str) -> Outgoing:
        """Return the message to a customer."""
        body = [chosen.recipient.cells[column] for column in self.columns]
        return Outgoing.template(
            chosen.customer_id,
            self.template_id,
            self.language,
            body=body,
            key=key,
            note=note(chosen.recipient.row, chosen.recipient.phone),
        )


def gaps(given: Sequence[str]) -> list[str]:
    """Return the columns for a template's gaps, from parameters such as `1=first_name`.

    Raises:
        ValueError: one is of another form, or they are not numbered from 1.
    """
    columns: dict[int, str] = {}
    for each in given:
        place, equals, column = each.partition("=")
        if not equals or not re.fullmatch(r"[1-9][0-9]?", place, re.ASCII) or not column.strip():
            raise ValueError(f"{each!r} is not N=COLUMN, such as 1=first_name")
        if int(place) in columns:
            raise ValueError(f"gap {place} is given twice")
        columns[int(place)] = column.strip().lower()
    if sorted(columns) != list(range(1, len(columns) + 1)):
        raise ValueError("the gaps of a template are numbered from 1, and none may be missing")
    return [columns[place] for place in sorted(columns)]
