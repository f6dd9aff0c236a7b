"""Environment variables: their values and help, the lines that set them, and the server that they lead to."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from landbot_async._core.urls import this_machine

LIMITER_URL: Final = "LANDBOT_LIMITER_URL"
JOURNAL_URL: Final = "LANDBOT_JOURNAL_URL"
TOKEN: Final = "LANDBOT_API_TOKEN"  # noqa: S105  # the name of the variable
HOOK_TOKEN: Final = "LANDBOT_HOOK_TOKEN"  # noqa: S105  # as above
BASE_URL: Final = "LANDBOT_BASE_URL"

VARIABLES: Final = {
    TOKEN: "the agent token of a teammate",
    BASE_URL: "another server, such as a sandbox",
    LIMITER_URL: "Redis or Postgres, to share the limit",
    JOURNAL_URL: "Postgres, for campaigns without files",
    HOOK_TOKEN: "the token of the hook",
}
"""The variables that commands read, with their help."""
CLIENT: Final = (TOKEN, BASE_URL, LIMITER_URL)
"""Those of every command that talks to Landbot."""
CAMPAIGN: Final = (*CLIENT, JOURNAL_URL)
"""Those of commands that also work on a campaign."""


class Shell(enum.StrEnum):
    """The ways of setting a variable."""

    SH = "sh"
    FISH = "fish"
    POWERSHELL = "powershell"
    DOTENV = "dotenv"


# Values are URLs and tokens, which need no quotes in any of them.
_LINES: Final = {
    Shell.SH: "export {name}={value}",
    Shell.FISH: "set -gx {name} {value}",
    Shell.POWERSHELL: '$env:{name} = "{value}"',
    Shell.DOTENV: "{name}={value}",
}
# Typed without showing, and without a trace in the shell's history.
_PROMPTS: Final = {
    Shell.SH: "read -rs {name} && export {name}",
    Shell.FISH: "read -sgx {name}",
    Shell.POWERSHELL: "$env:{name} = Read-Host -MaskInput",
}


def setting(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the value of a variable without white space around it. It is empty if the variable is not set."""
    return environment.get(name, "").strip()


def variables_help(names: Iterable[str]) -> str:
    """Return the end of a command's help: the variables that it reads. It is empty if there are none."""
    lines = [f"  {name:19}  {VARIABLES[name]}" for name in names]
    # The \b keeps the lines as they are.
    return "\n".join(("\b", "Environment variables:", *lines)) if lines else ""


def line(shell: Shell, name: str, value: str) -> str:
    """Return the line that sets a variable."""
    return _LINES[shell].format(name=name, value=value)


def prompt(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the command that reads a secret variable from the keyboard, in the shell that is probably in use."""
    if environment.get("SHELL", "").endswith("fish"):
        shell = Shell.FISH
    elif "PSModulePath" in environment and "SHELL" not in environment:
        shell = Shell.POWERSHELL
    else:
        shell = Shell.SH
    return _PROMPTS[shell].format(name=name)


def missing_token() -> str:
    """Return what to do about a missing token."""
    return (
        f"There is no token. The command takes a teammate's agent token from {TOKEN} only, never as an argument:"
        f" {prompt(TOKEN)}. Without an account, start `landbot sandbox`."
    )


def server(base_url: str) -> tuple[str, bool]:
    """Return the server of a base URL, and True if it is Landbot's or may be: not a sandbox on this machine."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    # `.invalid` is the sandbox in process: no real name ends so.
    return parts.netloc, not (this_machine(host) or host.endswith(".invalid"))
