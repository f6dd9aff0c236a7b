"""Modules that are imported when they are first used."""

import sys

import pytest

from landbot_async.cli.lazy import LazyModule


def test_a_module_is_imported_with_its_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "landbot_async.cli.columns", raising=False)
    columns = LazyModule("columns")
    assert "landbot_async.cli.columns" not in sys.modules
    assert columns.Column is columns.Column
    assert "landbot_async.cli.columns" in sys.modules
