"""Groups of commands."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from landbot_async.cli.typer_app import _quick, new_app
from landbot_async.sandbox import Sandbox

from .helpers import landbot


@pytest.mark.parametrize("words", [["hooks", "8"], ["hooks", "list", "8"], ["hooks", "--format", "jsonl", "8"]])
def test_in_a_group_with_a_listing_the_word_list_may_be_left_out(words: list[str], sandbox: Sandbox) -> None:
    assert landbot(*words) == ("", "")
    assert sandbox.received == 1


@pytest.mark.parametrize("words", [["hooks", "-h"], ["hooks", "--help"]])
def test_its_help_stays(words: list[str]) -> None:
    assert "ensure" in landbot(*words)[0]


def test_a_group_without_words_shows_its_help() -> None:
    assert "ensure" in "".join(landbot("hooks", code=2))


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["customer"], "CUSTOMER"),
        (["campaign", "cancel"], "FILE [KEY]"),
        (["send-template"], "CUSTOMER TEMPLATE LANGUAGE [PARAM]..."),
    ],
)
def test_the_help_of_a_command_names_arguments_without_their_types(words: list[str], usage: str) -> None:
    shown = landbot(*words, "-h")[0]
    assert f"Usage: root {' '.join(words)} [OPTIONS] {usage}\n" in shown
    arguments = shown.partition("Arguments:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in arguments] == usage.replace("[", "").replace("]", "").replace("...", "").split()
    assert "<" not in "".join(arguments)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["customers", "--format", "xml"], "'xml' is not one of 'table', 'jsonl', 'csv'."),
        (["customers", "--limit", "0"], "'0' is not a count (a whole number from 1)"),
        (["sandbox", "--host", ""], "it is empty"),
        (["campaign", "cancel", "x.campaign", ""], "it is empty"),
        (["campaign", "resolve", "x.campaign", "\udce9", "--sent"], "it is not in this terminal's encoding"),
        (["sandbox", "--port", "x"], "'x' is not a port (a whole number from 0 to 65535)"),
        (["campaign", "forget", "x.campaign", "--before", "x"], "'x' does not match the formats '%Y-%m-%d'."),
    ],
)
def test_an_error_says_what_was_typed_and_nothing_of_the_library(
    words: list[str], error: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.campaign").touch()
    assert landbot(*words, code=2)[1].endswith(f": {error}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["campaign", "--help"],
        ["sandbox", "--help"],
        ["campaign", "status", "x.campaign"],
        ["send", "1", "Hello"],
        ["send-template", "1", "2", "es"],
    ],
)
def test_a_command_starts_without_pydantic(words: list[str], tmp_path: Path) -> None:
    code = (
        f"import sys; sys.argv[1:] = {words!r}; from landbot_async.cli import main\n"
        "try: main()\n"
        "except SystemExit: print('pydantic' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    ).stdout
    assert shown.splitlines()[-1] == "False"


def test_other_values_are_converted_by_typer(capsys: pytest.CaptureFixture[str]) -> None:
    app = new_app()

    @app.callback()
    def group(folder: Path) -> None:
        """Have a value of its own."""
        print(repr(folder.name))

    @app.command("add")
    def add(numbers: list[int], *, text: list[str] | None = None, plain: str = "x") -> None:
        """Add numbers."""
        print(sum(numbers), text, plain)

    for words in (["a/b", "add", "1", "2"], ["b", "add", "3", "--text", "c", "--text", "d", "--plain", "y"]):
        with pytest.raises(SystemExit, match="0"):
            typer.main.get_command(app)(words)
    assert capsys.readouterr().out == "'b'\n3 None x\n'b'\n3 ['c', 'd'] y\n"


def test_a_typer_that_converts_in_another_way_converts_everything() -> None:
    """What the quick conversion looks at is not documented."""
    given = list[object]()

    class Parameter(SimpleNamespace):
        def get_runtime_param(self) -> Any:
            return SimpleNamespace(coerce=lambda value, param, ctx: given.append(value))

    without: Any = SimpleNamespace(multiple=False, nargs=1)
    assert vars(_quick([without])[0]) == {"multiple": False, "nargs": 1}
    for described in ({}, {"type_descriptor": None}, {"type_descriptor": SimpleNamespace()}):
        [quick] = _quick([Parameter(multiple=False, nargs=1, **described)])
        assert "get_runtime_param" in vars(quick)
        quick.get_runtime_param().coerce("x", param=quick, ctx=None)
    assert given == ["x", "x", "x"]
