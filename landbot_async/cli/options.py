"""The arguments and options that several commands share, and how their words are read."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer


class Format(enum.StrEnum):
    """The ways in which rows are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


def whole_number(least: int, what: str, most: int | None = None) -> Callable[[str | int], int]:
    """Return a parser for whole numbers from `least` up to `most`; `what` names them in its error.

    It takes the default of an option too, which typer passes on as it is.
    """

    def parse(text: str | int) -> int:
        word = str(text)
        # `str.isdecimal` accepts the digits of any script, as `int` does.
        number = int(word) if word.isdecimal() and len(word) <= 18 else least - 1
        if number < least or (most is not None and number > most):
            to = "" if most is None else f" to {most}"
            raise typer.BadParameter(f"{word!r} is not {what} (a whole number from {least}{to})")
        return number

    return parse


def seconds(least: float) -> Callable[[str | float], float]:
    """Return a parser for durations of at least `least` seconds. It takes the default of an option too."""

    def parse(text: str | float) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number < math.inf:
            raise typer.BadParameter(f"{str(text)!r} is not a number of seconds (from {least:g})")
        return number

    return parse


identity: Final = whole_number(1, "an id")
count: Final = whole_number(1, "a count")
port: Final = whole_number(0, "a port", 65535)


def web_address(text: str) -> str:
    """Return the text if it is the address of a server."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and not any(map(str.isspace, text))
    except ValueError:
        usable = False
    if not usable:
        raise typer.BadParameter(f"{text!r} is not an http(s) address")
    return text


def encodable(text: str | None) -> str | None:
    """Return the text if it is not empty and a request can contain it."""
    if text is not None and not text.strip():
        raise typer.BadParameter("it is empty")
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("it is not in this terminal's encoding") from None
    return text


def from_stdin(what: str) -> str:
    """Return what standard input contains, without the line's end; `what` names it in errors."""
    try:
        text = typer.get_text_stream("stdin", encoding="utf-8").read().rstrip("\r\n")
    except UnicodeDecodeError:
        raise typer.BadParameter(f"the {what} on standard input is not UTF-8") from None
    if not text.strip():
        raise typer.BadParameter(f"the {what} on standard input is empty")
    return text


def text_or_stdin(text: str) -> str | None:
    """Return the text to send; a dash takes it from standard input."""
    return encodable(from_stdin("text") if text == "-" else text)


def id_argument(name: str, help: str = "") -> Any:
    """Return the declaration of an argument that is an id."""
    return typer.Argument(parser=identity, metavar=name, show_default=False, help=help or None)


def id_option(*names: str, help: str) -> Any:
    """Return the declaration of an option that is an id."""
    return typer.Option(*names, parser=identity, metavar="ID", show_default=False, help=help)


CustomerId = Annotated[int, id_argument("CUSTOMER", "The customer's id.")]
ChannelId = Annotated[int, id_argument("CHANNEL", "The channel's id.")]
OnChannel = Annotated[int | None, id_option("--channel", help="Only on this channel.")]
Form = Annotated[
    Format | None,
    typer.Option("--format", show_default=False, help="How to write; by default a table in a terminal, else jsonl."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FILE", show_default=False, help="Write a file that only you can read: .csv or .jsonl."
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", parser=count, metavar="N", show_default=False, help="Stop after this many rows."),
]
