"""The message that names the extra to install."""

import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from landbot_async._core.extras import PACKAGES, MissingExtraError, extra_required


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette.routing", None)
    with pytest.raises(MissingExtraError) as error, extra_required("The page", "sandbox"):
        import_module("starlette.routing")
    assert str(error.value) == (
        "The page needs starlette, which is not installed: pip install 'landbot-async[sandbox]', or '.[sandbox]' in a"
        " checkout"
    )
    assert error.value.name == "starlette.routing"


def test_any_other_missing_module_is_raised_unchanged() -> None:
    with pytest.raises(ModuleNotFoundError) as error, extra_required("The page", "sandbox"):
        import_module("landbot_async.missing")
    assert type(error.value) is ModuleNotFoundError


def test_every_package_of_the_table_is_in_an_extra() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    installed = {
        each.partition(">")[0].partition("[")[0]
        for extra in project["optional-dependencies"].values()
        for each in extra
    }
    assert set(PACKAGES.values()) <= installed
