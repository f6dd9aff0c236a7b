"""Around every command that talks to Landbot: the client, where the output goes, and how it ends."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO, cast

import anyio
import typer
from attrs import frozen

from landbot_async import AsyncLandbot, ConfigurationError, LandbotError

from .columns import Listing
from .exit_codes import ExitCode, exit_code
from .progress import progress
from .writers import Format, discard_output, visible, writer

if TYPE_CHECKING:  # as in `listings`
    from landbot_async import Pages

TOKEN: Final = "LANDBOT_API_TOKEN"  # noqa: S105  # the name of the variable
HINT: Final = (
    f"There is no token. The command line takes a teammate's agent token from {TOKEN} alone, never as an argument:"
    f" read -rs {TOKEN} && export {TOKEN}"
)


def open_client() -> AsyncLandbot:
    """The client that a command works with.

    Raises:
        ConfigurationError: the environment has no token, or token or base URL cannot be right.
    """
    if not os.environ.get(TOKEN, "").strip():
        raise ConfigurationError(HINT)
    return AsyncLandbot()


def say(text: str) -> None:
    """A line for the person at the terminal."""
    typer.echo(visible(text), err=True)


def run(job: Callable[[AsyncLandbot], Awaitable[None]]) -> None:
    """Do the job with a client. A failure is told on stderr and becomes the exit code."""
    try:
        try:
            anyio.run(_with_client, job)
        finally:
            sys.stdout.flush()
    except LandbotError as error:
        _end(exit_code(error), str(error))
    except BrokenPipeError:
        discard_output()
        _end(ExitCode.READER_GONE)
    except OSError as error:
        _end(ExitCode.OTHER, str(error))
    except KeyboardInterrupt:
        _end(ExitCode.INTERRUPTED)


async def _with_client(job: Callable[[AsyncLandbot], Awaitable[None]]) -> None:
    async with open_client() as landbot:
        await job(landbot)


def _end(code: ExitCode, text: str = "") -> NoReturn:
    if text:
        say(text)
    raise typer.Exit(code) from None


@frozen
class Target:
    """Where a command's rows go, and how they are written; None is what suits it best."""

    format: Format | None = None
    path: Path | None = None

    @property
    def form(self) -> Format:
        """How the rows are written."""
        if self.format is not None:
            return self.format
        if self.path is not None:
            return Format.CSV if self.path.suffix.lower() == ".csv" else Format.JSONL
        return Format.TABLE if sys.stdout.isatty() else Format.JSONL

    @contextmanager
    def open(self) -> Generator[TextIO]:
        """The file to write to. What is for machines is UTF-8 everywhere, a table what the terminal can show."""
        if self.path is not None:
            with private_file(self.path) as file:
                yield file
            return
        stdout = cast("io.TextIOWrapper", sys.stdout)
        if self.form is Format.TABLE:
            stdout.reconfigure(errors="backslashreplace")
        else:
            stdout.reconfigure(encoding="utf-8", newline="\n")
        yield sys.stdout

    def show(self, listing: Listing, item: Any) -> None:
        """Write one row that stands alone."""
        with self.open() as file:
            writer(self.form, file, listing, alone=True).write(item)

    def list(self, listing: Listing, items: list[Any]) -> None:
        """Write rows that are all there."""
        with self.open() as file:
            rows = writer(self.form, file, listing)
            for item in items:
                rows.write(item)
        self._none(listing, found=bool(items))

    async def walk(self, listing: Listing, pages: Pages[Any]) -> None:
        """Write the rows of a walk as they come."""
        # A table in a terminal shows by itself how far it is.
        quiet = self.path is None and sys.stdout.isatty()
        found = False
        with self.open() as file:
            rows = writer(self.form, file, listing)
            async with pages:
                with progress(listing.things, quiet=quiet) as step:
                    async for item in pages:
                        rows.write(item)
                        step(pages.total)
                        found = True
        self._none(listing, found=found)

    def _none(self, listing: Listing, *, found: bool) -> None:
        if not found and self.form is Format.TABLE:
            say(f"No {listing.things}.")


@contextmanager
def private_file(path: Path) -> Generator[TextIO]:
    """A file that only its owner can read, there once it is whole; until then an older one stays as it was.

    Raises:
        OSError: it cannot be written, or `path` is something else than a file.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no regular file")
    if not path.parent.is_dir():
        raise OSError(f"{path.parent} is no directory")
    # Made by mkstemp, so for its owner alone from the first moment, whatever was allowed for an older one.
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
