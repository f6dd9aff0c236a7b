"""The steps of a message as the journal holds them. Looking into a journal needs no more of a message than this."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Step(NamedTuple):
    """One thing to do for a customer: a message, or what follows it.

    Attributes:
        kind: `"text"`, `"image"`, `"location"`, `"template"`, `"bot"` or `"fields"`.
        body: the body of the request; for fields the bodies by name.
        ids: further ids of the path.
    """

    kind: str
    body: Mapping[str, Any]
    ids: Mapping[str, int]

    @property
    def idempotent(self) -> bool:
        """True if it may be done again whatever came of it."""
        return self.kind == "fields"


def steps_of(content: str) -> list[Step]:
    """Return the steps of a message from its form in the journal."""
    return [Step(*each) for each in json.loads(content)]
