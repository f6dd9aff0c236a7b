"""`landbot sandbox`: its options, and what it says without its extra."""

import inspect
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from landbot_async.cli.app import app
from landbot_async.cli.commands.sandbox import Window, sandbox
from landbot_async.sandbox.network.windows import WINDOWS


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith((f"{package}.", "landbot_async.sandbox.server"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "landbot_async.cli.sandbox", raising=False)
    result = CliRunner().invoke(app, ["sandbox"])
    assert result.exit_code == 2
    assert result.output == (
        f"landbot sandbox needs {package}, which is not installed: pip install 'landbot-async[sandbox]',"
        " or '.[sandbox]' in a checkout\n"
    )


def test_its_windows_are_the_sandboxs() -> None:
    assert {window.value for window in Window} == set(WINDOWS)


def test_by_default_it_has_the_customers_that_the_first_examples_write_to() -> None:
    root = Path(__file__).parents[3]
    examples = "".join((root / page).read_text(encoding="utf-8") for page in ("README.md", "docs/command-line.md"))
    ids = [int(number) for number in re.findall(r"(?:send_text\(|landbot send )(\d+)", examples)]
    assert 42 in ids
    assert max(ids) <= inspect.signature(sandbox).parameters["customers"].default
