"""Check the public names: what they promise, how they are annotated, and that each attribute is documented.

* Names and signatures changed only where the changelog says so.
* A signature names only types that users can import, and no private name.
* Every public attribute has a docstring below it, which editors and the reference show.

`public-names.txt` beside this file lists them as of the last published release, which its first line names. If a line
differs from the code, its name has to stand in the changelog above that release. `--write` makes the list anew, as of
the package's version: do that when a release is published.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import griffe

ROOT: Final = Path(__file__).parent.parent
NAMES: Final = Path(__file__).with_name("public-names.txt")
PACKAGE: Final = "landbot_async"
# Classes that only the library makes, so nobody has to name the types of their arguments.
MADE_BY_THE_LIBRARY: Final = frozenset(
    ["Agents", "Channels", "Customers", "Fields", "Hooks", "Pages", "Receipts", "SharedTicket", "Templates", "Ticket"]
)


def public_items() -> dict[str, griffe.Object]:
    """Return every public name of the package's public modules, members of classes included, with what it means."""
    package = griffe.load(PACKAGE, search_paths=[str(ROOT)], try_relative_path=False, resolve_aliases=True)
    exported = {
        f"{module.path}.{name}": _target(module[str(name)])
        for module in _public_modules(package)
        for name in module.exports or ()
    }
    public = {item.path for item in exported.values()}
    found: dict[str, griffe.Object] = {}
    for path, item in sorted(exported.items()):
        found[path] = item
        if isinstance(item, griffe.Class):
            members = {name: _target(member) for name, member in item.all_members.items()}
            for name, member in sorted(members.items()):
                # Members of a public base are listed there, and those of other packages nowhere.
                owner = member.path.rpartition(".")[0]
                ours = owner == item.path or (owner.startswith(f"{PACKAGE}.") and owner not in public)
                if ours and (name == "__init__" or not name.startswith("_")):
                    found[f"{path}.{name}"] = member
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
    """Return a line for each difference whose name this part of the changelog does not mention."""
    mentioned = set(re.findall(r"\w+", changelog))
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


def unnamed_types(items: Mapping[str, griffe.Object]) -> list[str]:
    """Return a line for each type in a signature that users cannot import, or that is private."""
    public = {item.path for item in items.values()}
    lines: set[str] = set()
    for path, item in items.items():
        owner, _, name = path.rpartition(".")
        made_by_us = name == "__init__" and owner.rpartition(".")[2] in MADE_BY_THE_LIBRARY
        parameters = list(item.parameters) if isinstance(item, griffe.Function) else []
        annotations = [parameter.annotation for parameter in parameters]
        if isinstance(item, griffe.Function | griffe.Attribute):
            annotations.append(item.annotation)
        names = {each.name for each in parameters}
        for annotation in annotations:
            if isinstance(annotation, griffe.Expr):
                names |= {each.name for each in annotation.iterate(flat=True) if isinstance(each, griffe.ExprName)}
                hidden = [] if made_by_us else _hidden(annotation, item, public)
                lines |= {f"{path}: {each} cannot be imported" for each in hidden}
        lines |= {f"{path}: {each} is private" for each in names if each.startswith("_")}
    return sorted(lines)


def _hidden(annotation: griffe.Expr, item: griffe.Object, public: set[str]) -> Iterator[str]:
    """Yield the types of an annotation that are ours and not public. An alias of public types counts as they do."""
    for name in annotation.iterate(flat=True):
        if not isinstance(name, griffe.ExprName) or not name.canonical_path.startswith(f"{PACKAGE}."):
            continue
        try:
            type_ = _target(item.package.get_member(name.canonical_path.removeprefix(f"{PACKAGE}.")))
        except griffe.AliasResolutionError:
            continue  # a name of another package
        if type_.path in public:
            continue
        value = type_.value if isinstance(type_, griffe.Attribute) else None
        if isinstance(value, griffe.ExprCall) and value.canonical_path == "typing.TypeVar":
            continue
        if isinstance(value, griffe.Expr) and "Literal" not in str(value):
            yield from _hidden(value, type_, public)
        else:
            yield type_.path


def undocumented(items: Mapping[str, griffe.Object]) -> list[str]:
    """Return a line for each public thing without a docstring. `__init__` is documented by its class."""
    return [
        f"{path} has no docstring"
        for path, item in items.items()
        if not path.endswith("__init__") and not any(each.docstring for each in _inherited(item))
    ]


def _inherited(item: griffe.Object) -> Iterator[griffe.Object]:
    """Yield a member, and the members of the same name of the bases of its class."""
    yield item
    if isinstance(item.parent, griffe.Class):
        for base in item.parent.mro():
            if item.name in base.members:
                yield _target(base.members[item.name])


def main() -> int:
    """Write the list, or compare it with the code, and check the rest."""
    items = public_items()
    now = {path: _described(item) for path, item in items.items()}
    if sys.argv[1:] == ["--write"]:
        version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
        lines = [f"# {version}", *(f"{path} {what}".rstrip() for path, what in now.items())]
        NAMES.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return 0
    published, *lines = NAMES.read_text(encoding="utf-8").splitlines()
    before = {path: what for path, _, what in (line.partition(" ") for line in lines)}
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    since = changelog.partition(f"\n## [{published.removeprefix('# ')}]")[0]
    wrong = undeclared(before, now, since)
    print(f"{len(now)} public names")
    complaints = {
        f"These changed since {published.removeprefix('# ')}, and CHANGELOG.md does not mention them:": wrong,
        "Annotations of public names that users cannot write themselves:": unnamed_types(items),
        "Public names that say nothing about themselves:": undocumented(items),
    }
    for complaint, lines in complaints.items():
        if lines:
            print("\n".join([complaint, *lines]))
    return any(complaints.values())


if __name__ == "__main__":
    sys.exit(main())
