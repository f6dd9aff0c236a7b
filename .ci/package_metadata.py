"""The README and the links of the package, as a package index shows them. Hatchling runs this when it builds.

An index shows the README without its repository, where relative links and pictures lead nowhere. So they are made
absolute, to the repository that the package is built from. GitHub's workflows say which that is. A build elsewhere does
not know, and then the README goes without its pictures and relative links.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK: Final = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?!https?:|mailto:)(?P<target>[^)\s]+)\)")


class PackageMetadata(MetadataHookInterface):
    """Hatchling's hook for `dynamic` in pyproject.toml."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the README and, if the repository is known, the links beside it."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        server, name, commit = (os.environ.get(f"GITHUB_{each}", "") for each in ("SERVER_URL", "REPOSITORY", "SHA"))
        repository = f"{server}/{name}" if server and name and commit else ""
        metadata["readme"] = {"content-type": "text/markdown", "text": for_an_index(text, repository, commit)}
        metadata["urls"] = {"Landbot's documentation": "https://dev.landbot.io/"}
        if repository:
            metadata["urls"] |= {
                "Source": repository,
                "Documentation": f"{repository}/blob/{commit}/README.md#documents",
                "Changelog": f"{repository}/blob/{commit}/CHANGELOG.md",
                "Issues": f"{repository}/issues",
            }


def for_an_index(text: str, repository: str, commit: str) -> str:
    """Return the README with absolute links to the repository at this commit; without them if it is not known."""
    return LINK.sub(_absolute(repository, commit) if repository else _without, text)


def _absolute(repository: str, commit: str) -> Callable[[re.Match[str]], str]:
    def link(found: re.Match[str]) -> str:
        target = found["target"] if not found["target"].startswith("#") else f"README.md{found['target']}"
        view = "raw" if found["picture"] else "blob"
        return f"{found['picture']}[{found['text']}]({repository}/{view}/{commit}/{target})"

    return link


def _without(found: re.Match[str]) -> str:
    return "" if found["picture"] else found["text"]
