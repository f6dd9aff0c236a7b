"""The rules of docs/architecture.md: what may import what, and how large files and folders may grow."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

from .documents import PACKAGE, ROOT

NAME = PACKAGE.name

# What each part of the package may import besides itself; "" is `landbot_async/__init__.py`.
MAY_IMPORT = {
    "_core": set(),
    "": {"_core"},
    "logging": {"_core"},
    "otel": {"_core"},
    "webhooks": {"", "_core"},
    "redis": {"", "_core", "webhooks"},
    "postgres": {"", "_core", "webhooks"},
    "outbox": {"", "_core", "postgres", "webhooks"},
    "sandbox": {"", "_core"},
    "pytest_plugin": {"", "sandbox"},
    "cli": {"", "_core", "logging", "otel", "outbox", "postgres", "redis", "sandbox", "webhooks"},
    "__main__": {"cli"},
}
# The same inside the sandbox: "" are the modules beside the folders.
SANDBOX_MAY_IMPORT = {
    "workspace": {""},
    "apis": {"", "workspace"},
    "network": {"", "apis"},
    "deliveries": {"", "workspace"},
    "": {"apis", "deliveries", "network", "workspace"},
    "server": {"", "apis", "deliveries", "network", "workspace"},
}
# And inside `_core`: the rest stands below the resources, and these below the clients.
CLIENTS = {"apichat", "client", "platform"}
# Folders that docs/architecture.md names as one, because their modules are alike.
ALIKE = {"resources", "commands", "demo", "export", "campaign"}


def _modules() -> dict[str, Path]:
    """Return every module by its name."""
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def _imported(module: str, path: Path, modules: dict[str, Path]) -> set[str]:
    """Return the package's modules that a module imports, anywhere in it and for types only as well."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.partition(".")[0] == NAME)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            if source.partition(".")[0] == NAME:
                names = {f"{source}.{alias.name}" for alias in node.names}
                found.update(name if name in modules else source for name in names)
    return found - {module}


MODULES = _modules()
IMPORTS = {module: _imported(module, path, MODULES) for module, path in MODULES.items()}


def _part(module: str, below: str = NAME) -> str:
    """Return the folder or module directly below a package that a module belongs to; "" for the package itself."""
    return module.removeprefix(below).removeprefix(".").partition(".")[0]


def _wing(module: str) -> str:
    """Return the folder of the sandbox that a module belongs to; "" if it stands beside the folders."""
    part = _part(module, f"{NAME}.sandbox")
    return part if (PACKAGE / "sandbox" / part).is_dir() else ""


def _core_floor(module: str) -> int:
    """Return the floor of a module of `_core`: 2 for clients, 1 for resources, 0 for all others."""
    part = _part(module, f"{NAME}._core")
    return 2 if part in CLIENTS else int(part == "resources")


def test_there_is_no_cycle() -> None:
    assert list(graphlib.TopologicalSorter(IMPORTS).static_order())


def test_every_part_is_in_the_table() -> None:
    assert {_part(module) for module in MODULES} - MAY_IMPORT.keys() == set()
    assert {_wing(module) for module in MODULES if module.startswith(f"{NAME}.sandbox")} == SANDBOX_MAY_IMPORT.keys()


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_it_may(part: str) -> None:
    arrows = [(module, other) for module in MODULES if _part(module) == part for other in IMPORTS[module]]
    assert [arrow for arrow in arrows if _part(arrow[1]) not in MAY_IMPORT[part] | {part}] == []


@pytest.mark.parametrize("wing", SANDBOX_MAY_IMPORT)
def test_a_folder_of_the_sandbox_imports_only_what_it_may(wing: str) -> None:
    sandbox = [module for module in MODULES if module.startswith(f"{NAME}.sandbox")]
    arrows = [(module, other) for module in sandbox if _wing(module) == wing for other in IMPORTS[module]]
    inside = [arrow for arrow in arrows if arrow[1].startswith(f"{NAME}.sandbox")]
    assert [arrow for arrow in inside if _wing(arrow[1]) not in SANDBOX_MAY_IMPORT[wing] | {wing}] == []


def test_inside_the_core_nothing_imports_upwards() -> None:
    core = [module for module in MODULES if module.startswith(f"{NAME}._core")]
    arrows = [(module, other) for module in core for other in IMPORTS[module]]
    assert [arrow for arrow in arrows if _core_floor(arrow[0]) < _core_floor(arrow[1])] == []


def test_the_sandboxs_folder_is_not_crowded() -> None:
    assert len(list((PACKAGE / "sandbox").glob("*.py"))) <= 8


def test_the_map_names_every_module_and_no_other() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    chapters: dict[str, str] = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))

    def chapter(path: Path) -> str:
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        return chapters[next((title for title in chapters if f"`{part}`" in title), "`cli`, and the rest")]

    def named(path: Path) -> str:
        folder = path.parent.name
        return f"`{folder}/`" if folder in ALIKE else f"`{path.name}`"

    modules = [path for path in MODULES.values() if not path.name.startswith("__")]
    missing = [str(path.relative_to(PACKAGE)) for path in modules if named(path) not in chapter(path)]
    assert missing == []
    folders = (PACKAGE, ROOT / "tests", ROOT / "benchmarks", ROOT / ".ci")
    there = {"noxfile.py", *(path.name for folder in folders for path in folder.rglob("*.py"))}
    assert {name for name in re.findall(r"`(?:\w+/)*(\w+\.py)`", text) if name not in there} == set()


def test_no_module_is_longer_than_500_lines() -> None:
    lines = {module: path.read_text(encoding="utf-8").count("\n") for module, path in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > 500} == {}
