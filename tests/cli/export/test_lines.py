"""Files of JSON Lines that survive whatever ends their writer."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from landbot_async.cli.export.lines import LinesFile, customer_id, read_lines, transcript_id

LINES = {
    number: f'{{"customer_id": {number}, "messages": [{{"type": "text", "message": "Zoë {number}"}}]}}'
    for number in (1, 22, 333)
}
WHOLE = "".join(f"{line}\n" for line in LINES.values()).encode()


def test_lines_are_appended_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "transcripts.jsonl"
    with LinesFile(path, transcript_id) as file:
        file.append({1: LINES[1]})
        file.append({22: LINES[22], 333: LINES[333]})
        file.append({})
        assert file.ids == [1, 22, 333]
        # They are there before the file is closed.
        assert path.read_bytes() == WHOLE
        file.save()
    with LinesFile(path, transcript_id) as file:
        assert file.ids == [1, 22, 333]
    assert [row["customer_id"] for row in read_lines(path)] == [1, 22, 333]


def test_wherever_the_last_write_was_cut_the_whole_lines_stay_and_the_rest_goes(tmp_path: Path) -> None:
    path = tmp_path / "transcripts.jsonl"
    for cut in range(len(WHOLE) + 1):
        path.write_bytes(WHOLE[:cut])
        with LinesFile(path, transcript_id) as file:
            assert len(file.ids) == WHOLE[:cut].count(b"\n")
            file.append({number: line for number, line in LINES.items() if number not in file.ids})
        assert path.read_bytes() == WHOLE


@pytest.mark.parametrize(
    "hole", [b"\0" * 40, b"x", b"\n", b"\xff\n", b"[1]\n", b'{"id": "1"}\n', b'{"customer_id": 0, "messages": []}\n']
)
@pytest.mark.parametrize("identify", [customer_id, transcript_id])
def test_what_follows_a_hole_is_asked_for_again(
    hole: bytes, identify: Callable[[bytes], int | None], tmp_path: Path
) -> None:
    whole = b'{"id": 7, "name": "Zo\xc3\xab"}\n' if identify is customer_id else WHOLE[: WHOLE.index(b"\n") + 1]
    path = tmp_path / "lines.jsonl"
    path.write_bytes(whole + hole + whole)
    with LinesFile(path, identify) as file:
        assert file.ids == [7 if identify is customer_id else 1]
    assert path.read_bytes() == whole


def test_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_bytes(b"")
    old.chmod(0o644)
    for path in (old, new):
        with LinesFile(path, customer_id):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_bytes(WHOLE)

    def broken(_line: bytes) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        LinesFile(tmp_path / "lines.jsonl", broken)
