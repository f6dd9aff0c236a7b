"""Telling an argument that was not given from one that is None."""

from __future__ import annotations

import enum
from typing import Final, Literal, TypeAlias, TypeVar

T = TypeVar("T")


class NotGiven(enum.Enum):
    """Its one member stands for an argument that was not given."""

    NOT_GIVEN = enum.auto()

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
Given: TypeAlias = T | Literal[NotGiven.NOT_GIVEN]
