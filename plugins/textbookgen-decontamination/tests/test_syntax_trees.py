"""What syntax trees capture of code, and what they ignore."""

from __future__ import annotations

import ast

import polars as pl
from textbookgen_decontamination.ngrams import Problem
from textbookgen_decontamination.syntax_trees import SyntaxTreeRule, function_bodies, linearize
from textbookgen_dedup.text.python_code import parse_document

ITEM = Problem("toy", "0", "", "\n".join(["def f(x):", *(f"    x += {n}" for n in range(5)), "    return x"]))
CODE = "def f(a, b):\n    'Adds.'\n    total = a + b  # sum\n    return total\n"


def tree(code: str) -> str:
    return linearize(ast.parse(code))


def test_names_comments_docstrings_and_annotations_do_not_count() -> None:
    assert tree(CODE) == tree("def other(x: int, y: int) -> int:\n    z = x + y\n    return z\n")


def test_operators_types_of_constants_builtins_and_attributes_count() -> None:
    assert tree("a + b") != tree("a - b")
    assert tree("a = 1") != tree("a = 'x'")
    assert tree("a = 1") == tree("b = 2")
    assert tree("len(a)") != tree("sum(a)")
    assert tree("a.append(b)") != tree("a.remove(b)")


def bodies_in(text: str) -> list[str]:
    return [body for code in parse_document(text) for body in function_bodies(code)]


def test_code_is_found_in_pages_bodies_and_broken_files() -> None:
    whole = bodies_in(CODE)
    assert bodies_in(f"Read this:\n\n```python\n{CODE}```\nIs it clear?") == whole
    assert bodies_in(f"Add two numbers.\n{CODE}\nand so on.") == whole
    assert bodies_in("    'Adds.'\n    total = a + b\n    return total\n") == whole
    assert bodies_in(f"class C:\n    def broken(\n\n{CODE}") == whole
    assert bodies_in(CODE.replace("\n", "\r\n")) == whole
    assert bodies_in("nothing (here") == []


def test_a_rate_equal_to_the_bound_counts() -> None:
    """Two of 22 nodes are edited: exactly 20/22. rapidfuzz's own cutoff loses such rates."""
    (item,) = function_bodies(ast.parse(ITEM.solution))
    edited = ITEM.solution.replace("x += 0", "x -= 0").replace("x += 1", "x -= 1")
    rate = 1 - 2 / len(item)
    rows, rates = SyntaxTreeRule([ITEM], rate).match_rates([(0, ast.parse(edited))])
    assert (rows, rates.tolist()) == ([0], [[rate]])
    assert SyntaxTreeRule([ITEM], rate + 1e-7).match_rates([(0, ast.parse(edited))])[1].tolist() == [[0.0]]


def test_a_short_solution_matches_other_names_used_in_the_same_way_only() -> None:
    rule = SyntaxTreeRule([Problem("toy", "0", "def f(x, y):\n", "    return x - y\n")])
    texts = pl.Series(
        ["def g(a, b):\n    return a - b\n", "def g(a, b):\n    return a - a\n", "def g(a, b):\n    return a + b\n"]
    )
    assert [finding.row for finding in rule.find(texts)] == [0]
