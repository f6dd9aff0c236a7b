"""Check that public names and signatures changed only where the changelog says so.

`public-names.txt` beside this file lists them as of the last release. If a line differs from the code, its name has to
stand in the changelog's section "Unreleased". `--write` makes the list anew: do that with a release.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import griffe

ROOT: Final = Path(__file__).parent.parent
NAMES: Final = Path(__file__).with_name("public-names.txt")
PACKAGE: Final = "landbot_async"


def public_names() -> dict[str, str]:
    """Return every public name of the package's public modules with its signature or type."""
    package = griffe.load(PACKAGE, search_paths=[str(ROOT)], try_relative_path=False, resolve_aliases=True)
    exported = {
        f"{module.path}.{name}": _target(module[str(name)])
        for module in _public_modules(package)
        for name in module.exports or ()
    }
    public = {item.path for item in exported.values()}
    found: dict[str, str] = {}
    for path, item in sorted(exported.items()):
        found[path] = _described(item)
        if isinstance(item, griffe.Class):
            members = {name: _target(member) for name, member in item.all_members.items()}
            for name, member in sorted(members.items()):
                # Members of a public base are listed there, and those of other packages nowhere.
                owner = member.path.rpartition(".")[0]
                ours = owner == item.path or (owner.startswith(f"{PACKAGE}.") and owner not in public)
                if ours and (name == "__init__" or not name.startswith("_")):
                    found[f"{path}.{name}"] = _described(member)
    return found


def _public_modules(module: griffe.Object | griffe.Alias) -> Iterator[griffe.Module]:
    """Yield the modules without an underscore in their path that say what they export."""
    if isinstance(module, griffe.Module) and module.exports:
        yield module
    for name, member in sorted(module.modules.items()):
        if not name.startswith("_") and not member.is_alias:
            yield from _public_modules(member)


def _target(item: griffe.Object | griffe.Alias) -> griffe.Object:
    """Return the object that a name leads to."""
    return item.final_target if isinstance(item, griffe.Alias) else item


def _described(item: griffe.Object) -> str:
    """Return the signature of a function, the bases of a class, or the type of anything else."""
    if isinstance(item, griffe.Function):
        return item.signature(return_type=True, name="")
    if isinstance(item, griffe.Class):
        return f"class({', '.join(str(base) for base in item.bases)})"
    if isinstance(item, griffe.Attribute) and item.annotation:
        return f": {item.annotation}"
    return str(item.kind.value)


def undeclared(before: Mapping[str, str], now: Mapping[str, str], changelog: str) -> list[str]:
    """Return a line for each difference whose name the changelog does not mention."""
    unreleased = changelog.partition("## [Unreleased]")[2].partition("\n## [")[0]
    mentioned = set(re.findall(r"\w+", unreleased))
    lines: list[str] = []
    for path in sorted(before.keys() | now.keys()):
        owner, _, name = path.rpartition(".")
        # Of a class that came, went or became another thing, the changelog has to name the class only.
        whole = owner in before.keys() | now.keys() and before.get(owner) != now.get(owner)
        if before.get(path) == now.get(path) or whole:
            continue
        if (owner.rpartition(".")[2] if name == "__init__" else name) not in mentioned:
            lines.append(f"{path}\n    was: {before.get(path, 'missing')}\n    now: {now.get(path, 'missing')}")
    return lines


def main() -> int:
    """Write the list, or compare it with the code."""
    now = public_names()
    if sys.argv[1:] == ["--write"]:
        NAMES.write_text("".join(f"{path} {what}".rstrip() + "\n" for path, what in now.items()), encoding="utf-8")
        return 0
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    before = {path: what for path, _, what in (line.partition(" ") for line in lines)}
    wrong = undeclared(before, now, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    print(f"{len(now)} public names")
    if wrong:
        print('These changed, and CHANGELOG.md, "Unreleased", does not mention them:\n' + "\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
