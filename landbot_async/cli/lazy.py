"""Modules that are imported when a command first uses them, so that `landbot --help` does not wait for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class LazyModule:
    """A module of this package, imported when one of its attributes is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(f".{self._name}", __package__), attribute)
