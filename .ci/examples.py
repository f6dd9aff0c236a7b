"""Write every Python block of the documents to a file of its own, to be type-checked: `python .ci/examples.py FOLDER`.

A block stands in its file at the line where it stands in its page, so that messages lead there. A block that awaits
something outside of a function becomes the body of one, which gets an open client as `landbot`. pyright finds its
settings beside the files: strict as for a user, without the exceptions of this project.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
FENCE: Final = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEAD: Final = "from landbot_async import AsyncLandbot as Client\n\n\nasync def example(landbot: Client) -> None:\n"


def examples(page: str) -> list[tuple[int, str]]:
    """Return the Python blocks of a page as modules, each with the number of its first line."""
    found = [(page.count("\n", 0, match.start(1)) + 1, match[1]) for match in FENCE.finditer(page)]
    if len(found) != page.count("```python"):
        raise ValueError("a Python block is indented or not closed, so it is neither checked nor run")
    return [(line, _module(code, line)) for line, code in found]


def _module(code: str, line: int) -> str:
    """Return a block as a module, with as many lines in front as in its page."""
    try:
        compile(code, "example", "exec", dont_inherit=True)
    except SyntaxError:
        ast.parse(code)  # which raises for any other fault
        return "\n" * (line - 1 - HEAD.count("\n")) + HEAD + textwrap.indent(code, "    ")
    return "\n" * (line - 1) + code


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.py"):
        old.unlink()
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    count = 0
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]):
        for line, module in examples(path.read_text(encoding="utf-8")):
            name = re.sub(r"\W", "_", path.relative_to(ROOT).with_suffix("").as_posix().lower())
            (folder / f"{name}_{line}.py").write_text(module, encoding="utf-8")
            count += 1
    print(f"{count} examples")


if __name__ == "__main__":
    main()
