"""The note of each message in the journal: what the report tells of its row."""

from __future__ import annotations

import json


def note(row: int, phone: str) -> str:
    """Return the note of a row."""
    return json.dumps({"row": row, "phone": phone})


def row_of(note: str | None) -> tuple[int | None, str]:
    """Return the row and the phone number in a note; neither if it was forgotten or is none of ours."""
    try:
        kept = json.loads(note or "{}")
        return kept.get("row"), kept.get("phone", "")
    except (ValueError, AttributeError):
        return None, ""
