"""`main`: how the command begins, with and without its extra, and with closed streams."""

import importlib
import runpy
import subprocess
import sys
from importlib.resources import files

import pytest

from landbot_async.cli import main


def test_ctrl_c_while_it_imports_ends_it_quietly_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("landbot_async.cli.extra_required", interrupted)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("missing", ["rich", "typer"])
def test_without_the_extra_it_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith((f"{missing}.", "landbot_async.cli."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        f"The landbot command needs {missing}, which is not installed: pip install 'landbot-async[cli]', or '.[cli]' in a checkout\n"
    )


def test_another_missing_module_is_not_blamed_on_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "landbot_async.cli.exit_codes", None)
    monkeypatch.delitem(sys.modules, "landbot_async.cli.app", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"landbot_async\.cli\.exit_codes"):
        main()


def test_python_m_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["landbot", "--help"])
    # By its file: pytest's loader of what belongs to a plugin's package has nothing for run_module.
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(files("landbot_async") / "__main__.py"), run_name="__main__")
    assert not end.value.code
    assert "demo" in capsys.readouterr().out


def test_importing_the_module_of_python_m_runs_nothing() -> None:
    importlib.import_module("landbot_async.__main__")


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
