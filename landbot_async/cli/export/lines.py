"""JSON Lines files that are appended to, and that a later run continues after any kind of end."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

_TRANSCRIPT: Final = re.compile(rb'\{"customer_id": ([1-9][0-9]*), "messages": .*\}\n', re.DOTALL)


def customer_id(line: bytes) -> int | None:
    """Return the id in a line of a customer, or None if the line is not whole."""
    try:
        number = json.loads(line)["id"] if line.endswith(b"\n") else None
    except (ValueError, TypeError, KeyError):
        return None
    return number if isinstance(number, int) else None


def transcript_id(line: bytes) -> int | None:
    """Return the customer's id in a line of a transcript, or None if the line is not whole."""
    found = _TRANSCRIPT.fullmatch(line)
    return int(found[1]) if found else None


class LinesFile:
    """A file of one JSON object a line, open for appending. Only its owner can read it (mode 0600).

    Args:
        path: the file; created if it is missing.
        identify: reads the id in a line, and tells a whole line from one that was cut off in the middle.

    Attributes:
        ids: the ids of its lines, in their order.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, identify: Callable[[bytes], int | None]) -> None:
        self._file = open(path, "r+b", opener=_private)  # noqa: SIM115  # closed below
        try:
            path.chmod(0o600)
            self.ids: list[int] = list(self._whole_lines(identify))
        except BaseException:
            self._file.close()
            raise

    def _whole_lines(self, identify: Callable[[bytes], int | None]) -> Iterator[int]:
        """Yield the ids of the whole lines, and cut off what follows them: what a kill or a power cut left behind."""
        end = 0
        for line in self._file:
            number = identify(line)
            if number is None:
                break
            end += len(line)
            yield number
        self._file.seek(end)
        self._file.truncate()

    def append(self, lines: Mapping[int, str]) -> None:
        """Append lines, by their ids. A kill of this process does not lose them afterwards."""
        self._file.write("".join(f"{line}\n" for line in lines.values()).encode())
        self._file.flush()
        self.ids.extend(lines)

    def save(self) -> None:
        """Write the lines through to the disk. A power cut does not lose them afterwards."""
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def read_lines(path: Path) -> Iterator[Any]:
    """Yield the objects of a file."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
