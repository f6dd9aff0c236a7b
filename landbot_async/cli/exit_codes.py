"""The exit codes: one for each kind of failure. The table is what `landbot --help` shows."""

from __future__ import annotations

import enum
from typing import Final

from landbot_async import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    LandbotError,
    NotFoundError,
    RateLimitError,
    ServerError,
)


class ExitCode(enum.IntEnum):
    """What the command ends with."""

    DONE = 0
    OTHER = 1
    USAGE = 2
    TOKEN = 3
    NOT_FOUND = 4
    REFUSED = 5
    RATE_LIMIT = 6
    UNREACHABLE = 7
    UNKNOWN = 8
    INTERRUPTED = 130
    READER_GONE = 141


MEANINGS: Final = {
    ExitCode.DONE: "done",
    ExitCode.OTHER: "another failure, such as an answer that cannot be read",
    ExitCode.USAGE: "wrong usage: nothing was sent",
    ExitCode.TOKEN: "no token or base URL to work with, or Landbot does not take the token (401)",
    ExitCode.NOT_FOUND: "not found (404)",
    ExitCode.REFUSED: "refused (any other status, such as 412 or 422)",
    ExitCode.RATE_LIMIT: "still over the rate limit after a minute (429)",
    ExitCode.UNREACHABLE: "Landbot failed (5xx) or could not be reached",
    ExitCode.UNKNOWN: "nobody knows whether the message was sent: look before you send it again",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.READER_GONE: "whoever read the output stopped reading",
}

# The first that fits counts.
_CODES: Final = (
    (ConfigurationError, ExitCode.TOKEN),
    (AuthenticationError, ExitCode.TOKEN),
    (NotFoundError, ExitCode.NOT_FOUND),
    (RateLimitError, ExitCode.RATE_LIMIT),
    (ServerError, ExitCode.UNREACHABLE),
    (APIStatusError, ExitCode.REFUSED),
    (APIConnectionError, ExitCode.UNREACHABLE),
    (LandbotError, ExitCode.OTHER),
)


def exit_code(error: LandbotError) -> ExitCode:
    """The exit code for an error."""
    if not error.safe_to_retry:
        return ExitCode.UNKNOWN
    return next(code for kind, code in _CODES if isinstance(error, kind))
