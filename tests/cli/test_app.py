"""The `landbot` command as a whole: its help, its version, and what it imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from landbot_async import __version__
from landbot_async.cli.environment import CAMPAIGN, CLIENT, HOOK_TOKEN, JOURNAL_URL, VARIABLES
from landbot_async.cli.exit_codes import MEANINGS, ExitCode

from .golden_session import every_command
from .helpers import landbot

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")


def test_help_imports_neither_the_client_nor_rich() -> None:
    code = (
        "import sys; from landbot_async.cli.app import app; from typer.testing import CliRunner;"
        "assert 'demo' in CliRunner().invoke(app, ['--help']).output;"
        "print(*{'httpx', 'rich', 'landbot_async.sandbox', 'landbot_async._core.client'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "\n"


def test_rows_for_a_pipe_do_not_import_rich() -> None:
    code = (
        "import sys; from landbot_async.cli.columns import WHOAMI, TokenReport; from landbot_async.cli.session import *;"
        "import landbot_async.cli.campaign.report; Target().show(WHOAMI, TokenReport('http://127.0.0.1/', [], 3));"
        "print('rich' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[1:] == ["False"]


def test_it_tells_its_version() -> None:
    assert landbot("--version")[0] == f"landbot-async {__version__}\n"


# Of other commands, by their first word or all; a group of commands reads none by itself.
READ = {
    "sandbox": (),
    "demo": (),
    "hooks": (),
    "field": (),
    "campaign": CAMPAIGN,
    "campaign status": (JOURNAL_URL,),
    "campaign report": (JOURNAL_URL,),
    "listen": (*CLIENT, HOOK_TOKEN),
}


@pytest.mark.parametrize("words", [(), *every_command()], ids=" ".join)
def test_help_names_the_variables_that_the_command_reads(words: tuple[str, ...]) -> None:
    told = landbot(*words, "--help")[0].partition("Environment variables:\n")[2].partition("\n\n")[0]
    usual = tuple(VARIABLES) if not words else CAMPAIGN if words[0] == "campaign" else CLIENT
    read = READ.get(" ".join(words), usual)
    assert told.splitlines() == [f"    {name:19}  {VARIABLES[name]}" for name in read]


def test_the_documents_have_every_variable_of_the_help() -> None:
    assert all(f"\n| `{name}` | " in PAGE for name in VARIABLES)


def test_help_lists_every_exit_code() -> None:
    shown = landbot("-h")[0].splitlines()
    assert [line for line in shown if line[:7].strip().isdigit()] == [
        f"  {code:5d}  {meaning}" for code, meaning in MEANINGS.items()
    ]
    assert set(MEANINGS) == set(ExitCode)


def test_the_page_lists_every_exit_code() -> None:
    assert [line for line in PAGE.splitlines() if line.startswith("| ") and line[2].isdigit()] == [
        f"| {code:d} | {meaning} |" for code, meaning in MEANINGS.items()
    ]


@pytest.mark.parametrize("width", ["40", "80", "120"])
def test_no_line_of_the_help_is_cut_in_a_narrow_terminal(width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    shown = landbot("--help")[0]
    assert "…" not in shown
    assert "--install-completion" in shown
    commands = shown.partition("Commands:")[2].partition("Exit codes:")[0]
    assert "..." not in commands or width == "40"


@pytest.mark.parametrize(
    ("words", "expected"),
    [("landbot cust", {"customers", "customer"}), ("landbot customers --format ", {"table", "jsonl", "csv"})],
)
def test_a_shell_completes_commands_and_values(words: str, expected: set[str]) -> None:
    variables = {"_LANDBOT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-m", "landbot_async"]
    shown = subprocess.run(command, env={**os.environ, **variables}, check=True, capture_output=True, text=True)
    assert set(shown.stdout.split()) == expected
