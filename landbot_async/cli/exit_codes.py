"""The exit codes, one for each kind of ending, and the line that tells a person what went wrong."""

from __future__ import annotations

import enum
from typing import Final

from landbot_async._core.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    JournalFullError,
    JournalInUseError,
    JournalMismatchError,
    KeyConflictError,
    LandbotError,
    LimiterError,
    NotFoundError,
    RateLimitError,
    ServerError,
)


class ExitCode(enum.IntEnum):
    """The codes that the command exits with."""

    DONE = 0
    OTHER = 1
    USAGE = 2
    TOKEN = 3
    NOT_FOUND = 4
    REFUSED = 5
    RATE_LIMIT = 6
    UNREACHABLE = 7
    UNKNOWN = 8
    SOME_FAILED = 9
    STOPPED = 10
    SOME_UNKNOWN = 11
    FILE = 12
    HANGUP = 129
    INTERRUPTED = 130
    READER_GONE = 141
    TERMINATED = 143


MEANINGS: Final = {
    ExitCode.DONE: "done",
    ExitCode.OTHER: "another failure, such as a response that cannot be read",
    ExitCode.USAGE: "wrong usage: nothing was sent",
    ExitCode.TOKEN: "token, base URL or environment unusable, or token refused (401)",
    ExitCode.NOT_FOUND: "not found (404)",
    ExitCode.REFUSED: "refused (any other status, such as 412 or 422)",
    ExitCode.RATE_LIMIT: "still over the rate limit after a minute (429)",
    ExitCode.UNREACHABLE: "Landbot failed (5xx) or could not be reached",
    ExitCode.UNKNOWN: "unknown whether it was sent: look before you send it again",
    ExitCode.SOME_FAILED: "finished, but some failed",
    ExitCode.STOPPED: "stopped, some are still queued: the same command continues",
    ExitCode.SOME_UNKNOWN: "finished, but the outcome of some is unknown: reconcile",
    ExitCode.FILE: "the file is in use by another process, or cannot grow",
    ExitCode.HANGUP: "the terminal was closed (SIGHUP)",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.READER_GONE: "the reader of the output stopped reading",
    ExitCode.TERMINATED: "SIGTERM",
}
"""The meaning of each code, as `landbot --help` and docs/command-line.md list them."""

# The first class that matches counts.
_CODES: Final = (
    (ConfigurationError, ExitCode.TOKEN),
    (AuthenticationError, ExitCode.TOKEN),
    (JournalInUseError, ExitCode.FILE),
    (JournalFullError, ExitCode.FILE),
    (JournalMismatchError, ExitCode.USAGE),
    (KeyConflictError, ExitCode.USAGE),
    (LimiterError, ExitCode.UNREACHABLE),
    (NotFoundError, ExitCode.NOT_FOUND),
    (RateLimitError, ExitCode.RATE_LIMIT),
    (ServerError, ExitCode.UNREACHABLE),
    (APIStatusError, ExitCode.REFUSED),
    (APIConnectionError, ExitCode.UNREACHABLE),
    (LandbotError, ExitCode.OTHER),
)
# What a person is told, where the library's own text is for programmers. {about} is what the command line named. As
# above, the first class that matches counts.
_TEXTS: Final = (
    (AuthenticationError, "Landbot does not accept the token (401). LANDBOT_API_TOKEN takes a teammate's agent token."),
    (NotFoundError, "There is no {about} (404)."),
    (RateLimitError, "Landbot still refuses requests after a minute (429): another program may use the same token."),
    (ServerError, "Landbot failed ({status}) with {about}. Try again later."),
    (APIStatusError, "Landbot refused this for {about} ({status}): {detail}. Nothing was changed or sent."),
)
_UNKNOWN: Final = (
    (ServerError, "Landbot failed ({status}) with {about}."),
    (APIConnectionError, "The connection broke before Landbot's response about {about} arrived."),
    (LandbotError, "Landbot's response about {about} cannot be understood."),
)
_LOOK: Final = " It may have taken effect: check before you retry, or it may happen twice."


def exit_code(error: LandbotError) -> ExitCode:
    """Return the exit code for an error."""
    if not error.safe_to_retry:
        return ExitCode.UNKNOWN
    return next(code for kind, code in _CODES if isinstance(error, kind))


def error_text(error: LandbotError, about: str = "") -> str:
    """Return the line that tells a person about an error.

    Args:
        error: what a call raised.
        about: what the command line named, such as "customer 42"; empty if it named nothing.
    """
    texts = _TEXTS if error.safe_to_retry else _UNKNOWN
    text = next((text for kind, text in texts if isinstance(error, kind)), None)
    if text is None or (not about and "{about}" in text):
        return str(error).replace("say moved=True", "run it with --moved")
    detail = error.message.rstrip(".") if isinstance(error, APIStatusError) else ""
    status = getattr(error, "status", None)
    words = text.format(about=about, status=status, detail=detail or "no reason given")
    return words if error.safe_to_retry else words + _LOOK
