"""The browser itself."""

import pytest

from .chromium import chromium


def test_without_a_browser_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="apt-get install chromium chromium-driver"):
        chromium().__enter__()
