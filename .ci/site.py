"""The pages of the site, and a check of the site that was built from them.

`python .ci/site.py pages` writes build/pages: docs/, the files of the top folder that are pages too, and the reference.
`python .ci/site.py check` reads site/ and says which links lead nowhere, and what a page loads from another host.
"""

from __future__ import annotations

import logging
import posixpath
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urldefrag

import griffe

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = ROOT / "docs"
PAGES: Final = ROOT / "build/pages"
SITE: Final = ROOT / "site"
PACKAGE: Final = "landbot_async"

# Files outside of docs/ that are pages too: where they are, and where in the site.
ADDED: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/bridge.py": "bridge.md",
}
# What the home page has below its first sentence.
BUTTONS: Final = (
    "[First steps](docs/start.md){ .md-button .md-button--primary } [The guide](docs/guide.md){ .md-button }"
    " [Every method](docs/api.md#every-method){ .md-button }"
)
# The reference: each page with its title, and what it says first.
REFERENCE: Final = {
    "clients": ("Clients", "The clients, their options, and what they share."),
    "methods": ("Methods", "The groups of methods of an `AsyncLandbot`, such as `landbot.customers`."),
    "records": ("Records", "What Landbot returns. [Models](../guide.md#models) tells how they are read."),
    "events": (
        "Events",
        "What `on_event` gets. See [the guide](../guide.md#events-metrics-and-logs).",
    ),
    "errors": ("Errors", "By the text of an error: [troubleshooting](../troubleshooting.md)."),
    "webhooks": ("landbot_async.webhooks", "Deliveries and the inbox: [Receiving](../webhooks.md)."),
    "outbox": ("landbot_async.outbox", "Many sends, each accounted for: [The Outbox](../outbox.md)."),
    "sandbox": ("landbot_async.sandbox", "A Landbot in your process: [Testing](../testing.md)."),
    "redis": (
        "landbot_async.redis",
        "The limit and the memory of deliveries in Redis: [Deployment](../deployment.md).",
    ),
    "postgres": ("landbot_async.postgres", "The same in Postgres: [Deployment](../deployment.md)."),
    "logging": ("landbot_async.logging", "[Log lines](../guide.md#events-metrics-and-logs)."),
    "otel": ("landbot_async.otel", "[Traces](../guide.md#events-metrics-and-logs)."),
    "pytest_plugin": ("landbot_async.pytest_plugin", "Fixtures for pytest: [Testing](../testing.md#with-pytest)."),
}
# The page of a name of the package itself, by the module that defines it; all others are on "clients".
OF_MODULE: Final = {"errors": "errors", "events": "events", "models": "records"}

LINK: Final = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)(?P<path>[^()\s#]+)(?P<anchor>#[^()\s]*)?(?=\))")


def write_pages() -> None:
    """Write the Markdown of all pages."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(DOCS, PAGES, ignore=shutil.ignore_patterns("*.md", "*.py"))
    for path in sorted(DOCS.glob("*.md")):
        _write(path.name, _linked(path.read_text(encoding="utf-8"), f"docs/{path.name}", path.name))
    for name, place in ADDED.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        if place == "index.md":
            text = text.replace("\n* **", f"\n{BUTTONS}\n\n* **", 1)
        _write(place, _linked(text, name, place) if name.endswith(".md") else _example(name, text))
    for page, text in reference().items():
        _write(f"reference/{page}.md", text)


def _write(place: str, text: str) -> None:
    path = PAGES / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _linked(text: str, source: str, place: str) -> str:
    """Return the text of the file `source` with its links between files led to the pages of the site."""
    return LINK.sub(lambda link: _moved(link["path"], source, place) + (link["anchor"] or ""), text)


def check() -> list[str]:
    """Return the faults of the site: links that lead nowhere, things of other hosts, pages that no menu names."""
    pages = {path.relative_to(SITE).as_posix(): _Links(path) for path in sorted(SITE.rglob("*.html"))}
    wrong = [f"{name}: {fault}" for name, page in pages.items() for fault in _faults(name, page, pages)]
    for style in SITE.rglob("*.css"):
        foreign = re.findall(r"url\(\s*[\"']?((?:https?:)?//[^)]*)", style.read_text(encoding="utf-8"))
        wrong += [f"{style.relative_to(SITE)}: loads {url}" for url in foreign]
    named = set(_texts(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]))
    there = {path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md")}
    wrong += [f"{page} is missing in the navigation of zensical.toml" for page in sorted(there - named)]
    return wrong if pages else ["there is no site"]


def _texts(nav: object) -> Iterator[str]:
    """Yield the pages of a part of the navigation."""
    if isinstance(nav, str):
        yield nav
    parts = nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ()
    for part in parts:
        yield from _texts(part)


def reference() -> dict[str, str]:
    """Return the pages of the reference: every public name is on one of them."""
    package = griffe.load(PACKAGE, search_paths=[str(ROOT)], try_relative_path=False, resolve_aliases=True)
    names: dict[str, list[str]] = {page: [] for page in REFERENCE}
    for name in _exports(package):
        target = package[name].final_target if package[name].is_alias else package[name]
        module = target.path.split(".")[-2]
        page = "methods" if ".resources." in target.path else OF_MODULE.get(module, "clients")
        names[page].append(target.path)
    for group, module in package["_core.resources"].modules.items():
        if group != "base":
            own = (each for each in module.classes.values() if not each.is_alias and not each.name.startswith("_"))
            names["methods"] += [each.path for each in own if any(base.name == "Resource" for base in each.bases)]
    for page in REFERENCE:
        if page in package.modules:
            names[page] = [f"{PACKAGE}.{page}.{name}" for name in _exports(package.modules[page])]
    return {page: _page(page, sorted(set(paths), key=_order)) for page, paths in names.items()}


def unreadable() -> list[str]:
    """Return a line for each docstring that griffe cannot read as it is written."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    listener = Listener()
    logging.getLogger("griffe").addHandler(listener)
    try:
        package = griffe.load(PACKAGE, search_paths=[str(ROOT)], try_relative_path=False)
        _read_docstrings(package)
    finally:
        logging.getLogger("griffe").removeHandler(listener)
    return lines


def _read_docstrings(item: griffe.Object | griffe.Alias) -> None:
    """Parse the docstring of an object, and of everything in it."""
    if item.docstring is not None:
        item.docstring.parse("google")
    for member in item.members.values():
        if not member.is_alias:
            _read_docstrings(member)


def _order(path: str) -> tuple[bool, str]:
    """Sort what a page is about before everything else."""
    name = path.rpartition(".")[2]
    return (name not in {"AsyncApichat", "AsyncLandbot", "Inbox", "LandbotError", "Outbox", "Sandbox"}, name)


def _exports(module: griffe.Module | griffe.Object | griffe.Alias) -> Iterator[str]:
    """Yield the public names of a module."""
    for name in module.exports or ():
        if str(name) != "__version__":
            yield str(name)


def _page(page: str, paths: list[str]) -> str:
    title, first = REFERENCE[page]
    return "\n\n".join([f"# {title}", first, *(f"::: {path}{_options(page, path)}" for path in paths)]) + "\n"


def _options(page: str, path: str) -> str:
    """Return the options of an object: its bases if they are public, and a group of methods as users write it."""
    if page == "methods":
        options = [f"heading: landbot.{path.split('.')[-2]}", "merge_init_into_class: false"]
    elif page in ("errors", "webhooks"):
        options = ["show_bases: true", "inherited_members: false"]
    else:
        return ""
    return "\n    options:" + "".join(f"\n      {option}" for option in options)


def _example(name: str, text: str) -> str:
    """Return the page of a program."""
    return f"# {name}\n\n[A channel of your own](recipes.md#a-channel-of-your-own) says more.\n\n```python\n{text}```\n"


def _moved(path: str, source: str, place: str) -> str:
    """Return the link from the page at `place` to the page of the file that `source` links to by `path`."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    in_site = ADDED.get(target, target.removeprefix("docs/"))
    return posixpath.relpath(in_site, posixpath.dirname(place) or ".")


class _Links(HTMLParser):
    """The ids, links and loaded files of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if "href" in given:
            kind = given.get("rel", "")
            (self.links if tag == "a" or kind in ("prev", "next", "canonical") else self.loaded).append(given["href"])
        if "src" in given:
            self.loaded.append(given["src"])


def _faults(name: str, page: _Links, pages: dict[str, _Links]) -> Iterator[str]:
    """Yield the faults of a page's links."""
    for url in page.loaded:
        if re.match(r"(https?:)?//", url):
            yield f"loads {url}"
    for url in (*page.links, *page.loaded):
        if re.match(r"[a-z]+:|//", url):
            continue
        path, anchor = urldefrag(url)
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path))) if path else name
        if name != "404.html" and not (SITE / target).is_file():
            yield f"{url} does not exist"
        elif anchor and target in pages and unquote(anchor) not in pages[target].ids:
            yield f"{url} has no such section"


def main() -> int:
    """Write the pages, or check the site."""
    if sys.argv[1:] == ["pages"]:
        write_pages()
        wrong = unreadable()
    else:
        wrong = check()
    print("\n".join(wrong) or "no faults")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
