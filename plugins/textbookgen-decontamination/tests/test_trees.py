"""What of code the syntax trees see, and what they do not."""

from __future__ import annotations

import ast

from textbookgen_decontamination.syntax_trees import bodies, code_in, linear

CODE = "def f(a, b):\n    'Adds.'\n    total = a + b  # sum\n    return total\n"


def tree(code: str) -> str:
    return linear(ast.parse(code))


def test_names_comments_docstrings_and_annotations_do_not_count() -> None:
    assert tree(CODE) == tree("def other(x: int, y: int) -> int:\n    z = x + y\n    return z\n")


def test_operators_types_of_constants_builtins_and_attributes_count() -> None:
    assert tree("a + b") != tree("a - b")
    assert tree("a = 1") != tree("a = 'x'")
    assert tree("a = 1") == tree("b = 2")
    assert tree("len(a)") != tree("sum(a)")
    assert tree("a.append(b)") != tree("a.remove(b)")


def found(text: str) -> list[str]:
    return [body for code in code_in(text) for body in bodies(code)]


def test_code_is_found_in_pages_bodies_and_broken_files() -> None:
    whole = found(CODE)
    assert found(f"Read this:\n\n```python\n{CODE}```\nIs it clear?") == whole
    assert found(f"Add two numbers.\n{CODE}\nand so on.") == whole
    assert found("    'Adds.'\n    total = a + b\n    return total\n") == whole
    assert found(f"class C:\n    def broken(\n\n{CODE}") == whole
    assert found(CODE.replace("\n", "\r\n")) == whole
    assert found("nothing (here") == []
