"""The widths of a table in a terminal."""

from collections.abc import Sequence

import pytest

from landbot_async.cli.columns import Column
from landbot_async.cli.terminal import fitted, tightened


def _columns(*widths: tuple[int, int]) -> Sequence[Column]:
    return [Column(str(place), str, least, most) for place, (least, most) in enumerate(widths)]


@pytest.mark.parametrize(
    ("room", "widths"),
    [
        (1, [5]),
        (11, [5]),
        (12, [5, 5]),
        (13, [5, 6]),
        (19, [5, 12]),
        (20, [5, 5, 6]),
        (22, [5, 6, 7]),
        (27, [5, 9, 9]),
        (30, [5, 11, 10]),
        (100, [5, 20, 10]),
    ],
)
def test_as_many_columns_as_fit_share_the_room(room: int, widths: list[int]) -> None:
    # The last is for CSV single.
    assert [width for _, width in fitted(_columns((5, 5), (5, 20), (6, 10), (0, 0)), room)] == widths


def test_columns_are_tightened_to_their_cells() -> None:
    columns = [Column("a", str, 5, 5), Column("name", str, 5, 20), Column("c", str, 5, 20), Column("csv", str)]
    rows = [["12", "", "漢字漢字", "x"], ["1", "", "y" * 30, ""]]
    assert [(each.least, each.most) for each in tightened(columns, rows)] == [(2, 2), (4, 4), (5, 20), (0, 0)]
