"""The frame of every command that talks to Landbot: the client, where the output goes, and how it ends."""

from __future__ import annotations

import functools
import io
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO, cast

import anyio
import typer
from attrs import frozen

import landbot_async
from landbot_async._core.errors import ConfigurationError, LandbotError
from landbot_async._core.events import CallFailed

from .columns import Listing
from .environment import LIMITER_URL, TOKEN, missing_token, server, setting
from .exit_codes import ExitCode, error_text, exit_code
from .lazy import LazyModule
from .options import Format
from .safe_text import visible
from .signals import ENDING, Stop, cancelled_by
from .writers import discard_output, writer

if TYPE_CHECKING:  # as in `columns`
    from collections.abc import AsyncIterable

    from landbot_async import AsyncLandbot, Event, Pages

    from . import limiter, progress, terminal
else:
    limiter, progress = LazyModule("limiter"), LazyModule("progress")
    terminal = LazyModule("terminal")

FORMATS: Final = {
    "": Format.JSONL,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
    ".csv": Format.CSV,
}
"""The format of a file, by the end of its name."""


def open_client() -> AbstractAsyncContextManager[AsyncLandbot]:
    """Return the client that a command works with, to be entered.

    Raises:
        ConfigurationError: the environment has no token, or its token or base URL cannot be right.
    """
    if not setting(TOKEN):
        raise ConfigurationError(missing_token())
    if setting(LIMITER_URL):
        return limiter.limited_client(os.environ)
    return landbot_async.AsyncLandbot()


def say(text: str) -> None:
    """Print a line for the person at the terminal."""
    typer.echo(visible(text), err=True)


def say_server(landbot: AsyncLandbot, more: str = "") -> None:
    """Print whether this is LIVE or a SANDBOX, in colour, and what else there is to know before anything is sent."""
    from rich.text import Text  # noqa: PLC0415  # as in `terminal`

    host, live = server(landbot.base_url)
    label, style = ("LIVE", "bold white on red") if live else ("SANDBOX", "bold green")
    console = terminal.Printer(stderr=True, highlight=False, markup=False)
    console.print(Text.assemble((label, style), " ", visible(host), f" · {visible(more)}" if more else ""))


def run(
    job: Callable[[AsyncLandbot], Awaitable[None]],
    *,
    about: str = "",
    sends: bool = False,
    stop: Stop | None = None,
) -> None:
    """Do a job with a client; a failure is told on stderr and becomes the exit code.

    Args:
        job: what to do with the client.
        about: what the command line named, such as "customer 42", for the text of an error.
        sends: the job changes or sends something, so a person at the terminal is told which server it is.
        stop: lets the job end in good order at the first Ctrl-C or SIGTERM.
    """
    signalled: list[int | None] = []
    guarded(lambda: signalled.append(anyio.run(_with_client, job, sends, stop)), about=about)
    if signalled[0] is not None:
        end(ExitCode(128 + signalled[0]))


def guarded(job: Callable[[], None], *, about: str = "") -> None:
    """Do a job without a client; a failure is told on stderr and becomes the exit code."""
    try:
        try:
            job()
        finally:
            sys.stdout.flush()
    except LandbotError as error:
        end(exit_code(error), error_text(error, about))
    except BrokenPipeError:
        discard_output()
        end(ExitCode.READER_GONE)
    except OSError as error:
        end(ExitCode.OTHER, str(error))
    except KeyboardInterrupt:
        end(ExitCode.INTERRUPTED)


async def _with_client(job: Callable[[AsyncLandbot], Awaitable[None]], sends: bool, stop: Stop | None) -> int | None:
    async with open_client() as landbot:
        if sends and sys.stderr.isatty():
            say_server(landbot)
        return await cancelled_by(ENDING, functools.partial(job, landbot), stop)


def end(code: ExitCode, text: str = "") -> NoReturn:
    """End the command with an exit code, and say why."""
    if text:
        say(text)
    raise typer.Exit(code) from None


def confirm(question: str) -> None:
    """Ask before anything is sent; without a yes, end the command.

    A yes may come through a pipe. If there is nobody to ask, that is wrong usage.
    """
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    try:
        response = sys.stdin.readline()
    except KeyboardInterrupt:
        response = "\n"
        say("")
    if response.strip().lower() in ("y", "yes"):
        return
    if not response:
        say("")
        end(ExitCode.USAGE, "There is nobody to ask: give --yes. Nothing was sent.")
    end(ExitCode.STOPPED, "Nothing was sent.")


def accepted(text: str) -> None:
    """Print that something was done."""
    try:
        typer.echo(visible(text))
    except OSError:
        discard_output()  # it is done all the same: a caller who took this for a failure would do it twice


async def once(landbot: AsyncLandbot, call: Callable[[AsyncLandbot], Awaitable[Any]], doubt: str) -> Any:
    """Make a call that must not happen twice; if it is interrupted in flight, say what may have happened."""
    events: list[Event] = []
    try:
        return await call(landbot.with_options(on_event=events.append))
    except anyio.get_cancelled_exc_class():
        if any(isinstance(event, CallFailed) and not event.safe_to_retry for event in events):
            say(f"Interrupted in flight: {doubt}")
        raise


@contextmanager
def usage_errors() -> Generator[None]:
    """Report an argument that the client refuses before it sends anything as wrong usage."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


@frozen
class Target:
    """The place for a command's rows, and their format. None is the format that suits the place."""

    format: Format | None = None
    path: Path | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse a file whose name promises another format.

        Raises:
            typer.BadParameter: nothing says how to write the file.
        """
        if self.format is None and self.path is not None and self.path.suffix.lower() not in FORMATS:
            known = ", ".join(filter(None, FORMATS))
            raise typer.BadParameter(
                f"{self.path.name} does not end in one of {known}: rename it, or choose with --format",
                param_hint="--output",
            )

    @property
    def chosen(self) -> Format:
        """The format in which the rows are written."""
        if self.format is not None:
            return self.format
        if self.path is not None:
            return FORMATS[self.path.suffix.lower()]
        return Format.TABLE if sys.stdout.isatty() else Format.JSONL

    @contextmanager
    def open(self) -> Generator[TextIO]:
        """Open the file to write to. A table is what the terminal can show; the other formats are UTF-8 everywhere."""
        if self.path is not None:
            with private_file(self.path) as file:
                yield file
            return
        stdout = cast("io.TextIOWrapper", sys.stdout)
        if self.chosen is Format.TABLE:
            stdout.reconfigure(errors="backslashreplace")
        else:
            stdout.reconfigure(encoding="utf-8", newline="\n")
        yield sys.stdout

    def show(self, listing: Listing, item: Any) -> None:
        """Write a single record."""
        with self.open() as file, writer(self.chosen, file, listing, single=True) as rows:
            rows.write(item)
        self._sum_up(listing, 1)

    def list(self, listing: Listing, items: list[Any]) -> None:
        """Write records that are all there."""
        with self.open() as file, writer(self.chosen, file, listing) as rows:
            for item in items:
                rows.write(item)
        self._sum_up(listing, len(items))

    async def stream(self, listing: Listing, items: AsyncIterable[Any]) -> None:
        """Write records as they come."""
        written = 0
        with self.open() as file, writer(self.chosen, file, listing) as rows:
            async for item in items:
                rows.write(item)
                written += 1
        self._sum_up(listing, written)

    async def walk(self, listing: Listing, pages: Pages[Any], limit: int | None = None) -> None:
        """Write the records of a walk as they come, up to `limit`."""
        # A table in a terminal shows by itself how far it is.
        quiet = self.path is None and sys.stdout.isatty()
        written = 0
        with self.open() as file, writer(self.chosen, file, listing) as rows:
            async with pages:
                with progress.progress(listing.things, quiet=quiet) as step:
                    async for item in pages:
                        rows.write(item)
                        step(pages.total if limit is None else min(limit, pages.total or limit))
                        written += 1
                        if written == limit:
                            break
        self._sum_up(listing, written)

    def _sum_up(self, listing: Listing, written: int) -> None:
        if self.path is not None:
            say(f"Wrote {written} {listing.thing if written == 1 else listing.things} to {self.path}.")
        elif not written and self.chosen is Format.TABLE:
            say(f"No {listing.things}.")


@contextmanager
def private_file(path: Path) -> Generator[TextIO]:
    """Open a new file that only its owner can read. It takes the place of an older one when the block ends.

    Raises:
        OSError: it cannot be written, or `path` is not a regular file.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a regular file")
    if not path.parent.is_dir():
        raise OSError(f"{path.parent} is not a directory")
    # mkstemp makes it for its owner only, from the first moment and whatever the older file allowed.
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8", newline="\n"
    ) as file:
        try:
            yield cast("TextIO", file)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            file.close()
            Path(file.name).unlink()
            raise
