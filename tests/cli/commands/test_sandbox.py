"""`landbot sandbox`: its options, and what it says without its extra."""

import sys

import pytest
from typer.testing import CliRunner

from landbot_async.cli.app import app
from landbot_async.cli.commands.sandbox import Window
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
