"""Docstrings, of tests too, say first what a thing is or does: nearly none begins with a question word."""

import ast
import re

import pytest

from .documents import PACKAGE, ROOT

QUESTIONS = {"what", "who", "whom", "whose", "where", "whether", "which", "when", "how", "as", "nobody", "nor"}
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@pytest.mark.once
def test_at_most_three_in_a_hundred_docstrings_open_with_a_question_word() -> None:
    opened = {
        f"{folder.name}/{path.relative_to(folder)}: {text}": text
        for folder in (PACKAGE, *(ROOT / name for name in ("tests", "benchmarks", "examples")))
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, Documented) and (text := ast.get_docstring(node))
    }
    first = {name: re.sub(r"^\W+", "", text).partition(" ")[0].lower() for name, text in opened.items()}
    asking = [name.splitlines()[0] for name, word in first.items() if word in QUESTIONS]
    assert len(asking) <= 0.03 * len(opened), "\n".join(asking)
