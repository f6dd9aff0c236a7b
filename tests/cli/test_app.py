"""The `landbot` command: its doors, its exit codes, and what it says without its extra."""

import functools
import importlib
import io
import os
import re
import runpy
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer
from attrs import evolve
from typer.testing import CliRunner

from landbot_async import __version__
from landbot_async.cli import main
from landbot_async.cli.app import app, demo
from landbot_async.cli.demo.play import FAIR_WEATHER

SHORT = evolve(FAIR_WEATHER, customers=12)


@pytest.fixture(autouse=True)
def _no_colours_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    # nox and CIs may set these; the tests are about a pipe.
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def _virtual_time(anyio_backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, options = anyio_backend
    run = functools.partial(anyio.run, backend=backend, backend_options=options)
    monkeypatch.setattr("landbot_async.cli.app.anyio.run", run)


@pytest.mark.usefixtures("_virtual_time")
def test_demo_ends_with_0_when_every_promise_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landbot_async.cli.demo.play.PLANS", (SHORT,))
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0
    assert "done: 12 of 12 sent" in result.output
    assert not re.search(r"[0-9a-f]{40}|\x1b", result.output)


@pytest.mark.usefixtures("_virtual_time")
def test_demo_ends_with_1_when_one_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landbot_async.cli.demo.play.PLANS", (evolve(SHORT, jitter=2.0), SHORT))
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1
    assert "A promise was broken" in result.output


def test_ctrl_c_ends_it_quietly_with_130() -> None:
    command = [sys.executable, "-c", "from landbot_async.cli import main; main()", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "landbot demo\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == ""
    assert "Traceback" not in output


def test_and_so_it_does_while_it_imports(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("landbot_async.cli.needing", interrupted)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("missing", ["rich", "typer"])
def test_without_the_extra_it_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "landbot_async.cli.app")
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        f"The landbot command needs {missing}, which is not installed: pip install 'landbot-async[cli]', or '.[cli]' in a checkout\n"
    )


def test_another_missing_module_is_no_matter_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "landbot_async.cli.exit_codes", None)
    monkeypatch.delitem(sys.modules, "landbot_async.cli.app")
    with pytest.raises(ModuleNotFoundError, match=r"landbot_async\.cli\.exit_codes"):
        main()


def test_python_m_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["landbot", "--help"])
    # By its file: pytest's loader of what belongs to a plugin's package has nothing for run_module.
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(files("landbot_async") / "__main__.py"), run_name="__main__")
    assert not end.value.code
    assert "demo" in capsys.readouterr().out


def test_help_needs_no_sandbox_and_no_models() -> None:
    code = (
        "import sys; from landbot_async.cli.app import app;"
        "print(*{'landbot_async.sandbox', 'landbot_async.cli.demo.play', 'landbot_async._core.models'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "\n"


def test_importing_the_module_of_python_m_runs_nothing() -> None:
    importlib.import_module("landbot_async.__main__")


@pytest.mark.usefixtures("_virtual_time")
@pytest.mark.parametrize("lines", [0, 20])
def test_a_reader_of_the_demo_who_has_enough_is_no_broken_promise(lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.TextIOWrapper):
        """An output whose reader has gone after some lines."""

        left = lines

        def write(self, text: str) -> int:
            self.left -= text.count("\n")
            if self.left < 0:
                raise BrokenPipeError
            return len(text)

    with Path(os.devnull).open("wb") as file:
        monkeypatch.setattr(sys, "stdout", Gone(file))
        with pytest.raises(typer.Exit) as end:
            demo()
    assert end.value.exit_code == 141


@pytest.mark.parametrize(("words", "code"), [(["customer", "1"], 3), (["send", "1", "-"], 2), (["--version"], 0)])
def test_it_can_do_without_streams(words: list[str], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # As after `>&- 2>&- <&-`, where Python has none.
    monkeypatch.setattr(sys, "argv", ["landbot", *words])
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with pytest.raises(SystemExit) as end:
        main()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()
    assert (end.value.code or 0) == code


def test_the_library_imports_nothing_of_the_command_line() -> None:
    # httpx itself imports rich where it finds it, for a command of its own.
    code = (
        "import sys, httpx; before = set(sys.modules); from landbot_async import *;"
        "print(*{'rich', 'typer', 'landbot_async.cli', 'landbot_async.sandbox'} & (set(sys.modules) - before))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "\n"


def test_it_tells_its_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"landbot-async {__version__}\n"
