"""Python code as strings of syntax nodes, and how alike two of them are: phi-1's AST match rate."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from textbookgen_minhash.grams import Problem
from textbookgen_minhash.rules import Finding

_FENCE = re.compile(r"^```[ \t]*(?:python|py|python3)?[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE | re.IGNORECASE)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SKIPPED = ("annotation", "returns", "decorator_list", "type_params", "ctx", "type_comment")
_LETTERS: dict[str, str] = {}


def _letter(name: str) -> str:
    """One character for a kind of node, so that strings can be compared by a fast library."""
    return _LETTERS.setdefault(name, chr(0x100 + len(_LETTERS)))


def parse(code: str) -> ast.Module | None:
    """The syntax tree of code, or None where it is no Python of this interpreter's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in a document's strings are no news to who runs a recipe
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def code_in(text: str) -> Iterator[ast.Module]:
    """The code of a document: its fenced blocks that parse, or else the whole of it."""
    blocks = _FENCE.findall(text) or [text]
    for block in blocks:
        if tree := parse(block):
            yield tree


def linear(tree: ast.AST) -> str:
    """The nodes of a tree in the order of the source, a character each: without names, comments, docstrings and annotations,
    with operators and the types of constants."""
    letters: list[str] = []
    _walk(tree, letters)
    return "".join(letters)


def _walk(node: ast.AST, letters: list[str]) -> None:
    name = type(node).__name__
    letters.append(_letter(f"{name}:{type(node.value).__name__}" if isinstance(node, ast.Constant) else name))
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED:
            continue
        children = value if isinstance(value, list) else [value]
        if field == "body" and isinstance(node, (*_DEFINITIONS, ast.Module)) and children and _is_docstring(children[0]):
            children = children[1:]
        for child in children:
            if isinstance(child, ast.AST):
                _walk(child, letters)


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def definitions(tree: ast.Module) -> list[str]:
    """The functions and classes of a module, at any depth but within functions, or the module where it has none."""
    found = [node for node in tree.body if isinstance(node, _DEFINITIONS)]
    found += [node for each in found if isinstance(each, ast.ClassDef) for node in each.body if isinstance(node, _DEFINITIONS)]
    return [linear(node) for node in found] or [linear(tree)]


@dataclass(frozen=True)
class TreeMatch:
    """phi-1's study of pruning (Gunasekar et al. 2023, section 5): edit distance of syntax trees, without names and comments.

    The rate is `1 - Levenshtein(a, b) / max(len(a), len(b))` over linearised trees; the paper prunes at 0.8 to 0.95.
    Definitions of fewer than `least` nodes are passed over: short functions are all alike.
    """

    problems: Sequence[Problem]
    rate: float = 0.95
    least: int = 20

    @cached_property
    def _trees(self) -> tuple[list[str], list[int]]:
        """The linearised definitions of items, and the item of each."""
        pairs = [
            (each, at)
            for at, problem in enumerate(self.problems)
            for tree in code_in(problem.text)
            for each in definitions(tree)
            if len(each) >= self.least
        ]
        return [tree for tree, _ in pairs], [at for _, at in pairs]

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """The item whose tree is most like one of the document's."""
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        trees, owners = self._trees
        mine = [(row, each) for row, text in enumerate(texts) for tree in code_in(text) for each in definitions(tree)]
        mine = [(row, each) for row, each in mine if len(each) >= self.least]
        if not trees or not mine:
            return
        rates = cdist([each for _, each in mine], trees, scorer=Levenshtein.normalized_similarity, score_cutoff=self.rate)
        best: dict[int, tuple[float, int]] = {}
        for (row, _), line in zip(mine, rates, strict=True):
            at = int(line.argmax())
            if line[at] > 0 and float(line[at]) > best.get(row, (0.0, 0))[0]:
                best[row] = (float(line[at]), owners[at])
        for row, (rate, owner) in best.items():
            problem = self.problems[owner]
            detail = f"{problem.id}: syntax trees match at {rate:.3f}"
            yield Finding(row, f"syntax tree of {problem.benchmark}", rate, detail, problem.place)
