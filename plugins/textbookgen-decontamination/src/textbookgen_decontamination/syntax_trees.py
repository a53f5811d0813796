"""Syntax trees of Python functions as strings, and their edit distance: phi-1's AST match rate."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import polars as pl
from textbookgen_dedup.text.python_code import BUILTINS, is_docstring, node_label, parse_document

from textbookgen_decontamination.ngrams import Problem
from textbookgen_decontamination.rules import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SKIPPED = ("annotation", "returns", "decorator_list", "type_params", "ctx", "type_comment")
_NODES_PER_BODY_NODE = 6  # bound for short functions, with arguments and annotations
_CHARACTERS: dict[str, str] = {}


def _character(label: str) -> str:
    """Return one character for a node label, so that trees can be compared as strings."""
    return _CHARACTERS.setdefault(label, chr(0x10000 + len(_CHARACTERS)))


def linearize(tree: ast.AST) -> str:
    """Return the nodes of a tree in the order of the source, one character each.

    Operators and the types of constants count; names, comments, docstrings and annotations do not.
    """
    characters: list[str] = []
    _append_nodes(tree, characters)
    return "".join(characters)


def _append_nodes(node: ast.AST, characters: list[str]) -> None:
    characters.append(_character(node_label(node)))
    has_docstring = isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.Module))
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED:
            continue
        children = value if isinstance(value, list) else [value]
        if field == "body" and has_docstring and children and is_docstring(children[0]):
            children = children[1:]
        for child in children:
            if isinstance(child, ast.AST):
                _append_nodes(child, characters)


Body = ast.FunctionDef | ast.AsyncFunctionDef | ast.Module


def functions_of(tree: ast.Module) -> list[Body]:
    """Return each function and method of a module; the module itself if it has none."""
    functions: list[Body] = [node for node in tree.body if isinstance(node, _FUNCTIONS)]
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    functions += [node for item in classes for node in item.body if isinstance(node, _FUNCTIONS)]
    return functions or [tree]


def linearize_body(node: Body) -> str:
    """Return the linearized body of a function without its docstring; a module is linearized as a whole."""
    return linearize(node) if isinstance(node, ast.Module) else "".join(map(linearize, _statements(node)))


def function_bodies(tree: ast.Module) -> list[str]:
    """Return the linearized body of each function and method of a module; of the module if it has none."""
    return [linearize_body(node) for node in functions_of(tree)]


def exact_words(node: Body) -> str:
    """Return the body of a function exactly, with its constants, and its names numbered as they occur."""
    numbers: dict[str, int] = {}
    return " ".join(word for statement in _statements(node) for word in _exact_words(statement, numbers))


def sole_function(tree: ast.Module, max_nodes: int) -> str | None:
    """Return the body of a module's only function exactly, with its constants, and its names numbered as they occur.

    Returns:
        None if the module has anything besides that function and imports, or if the function has more than `max_nodes` nodes
        or a docstring: a function this short is evidence only where it is all there is. (A docstring of the item is found
        by its words; another docstring means another function.)
    """
    statements = [node for node in tree.body if not (isinstance(node, ast.Import | ast.ImportFrom) or is_docstring(node))]
    if len(statements) != 1 or not isinstance(statements[0], _FUNCTIONS):
        return None
    if is_docstring(statements[0].body[0]) or next(islice(ast.walk(statements[0]), max_nodes, None), None) is not None:
        return None
    return exact_words(statements[0])


def _exact_words(node: ast.AST, numbers: dict[str, int]) -> Iterator[str]:
    match node:
        case ast.Constant(value=value):
            yield repr(value)
        case ast.Name(id=name) if name not in BUILTINS:
            yield str(numbers.setdefault(name, len(numbers)))
        case _:
            yield node_label(node)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr_context):
            yield from _exact_words(child, numbers)


def _statements(node: Body) -> list[ast.stmt]:
    return node.body[1:] if node.body and is_docstring(node.body[0]) else node.body


@dataclass(frozen=True)
class SyntaxTreeRule:
    """phi-1's pruning (Gunasekar et al. 2023, section 5): edit distance of syntax trees without names and comments.

    Unlike the paper's, our trees keep the names of built-ins and attributes, which renaming leaves alone: they distinguish
    short functions, so that hardly any clean code is dropped.

    The rate is `1 - Levenshtein(a, b) / max(len(a), len(b))` over linearized trees; the paper prunes at 0.8 to 0.95.
    Functions are compared by their bodies, so that a solution without its `def` line counts. Functions of fewer than
    `min_nodes` nodes are all alike: they count only if the document is such a function and nothing else, with the same
    constants.
    """

    problems: Sequence[Problem]
    min_rate: float = 0.95
    min_nodes: int = 8

    @cached_property
    def trees(self) -> tuple[list[str], list[int]]:
        """The linearized functions of items, and the item of each."""
        pairs = [
            (body, at)
            for at, problem in enumerate(self.problems)
            for tree in problem.trees()
            for body in function_bodies(tree)
            if len(body) >= self.min_nodes
        ]
        return [tree for tree, _ in pairs], [at for _, at in pairs]

    @cached_property
    def _short_solutions(self) -> dict[str, int]:
        """The solutions that are too short to be compared by their trees, written exactly, and their items."""
        solutions: dict[str, int] = {}
        for at, problem in enumerate(self.problems):
            for tree in parse_document(problem.solution):
                exact = self._exact(tree)
                if exact and max(map(len, function_bodies(tree))) < self.min_nodes:
                    solutions.setdefault(exact, at)
        return solutions

    def _exact(self, tree: ast.Module) -> str | None:
        return sole_function(tree, _NODES_PER_BODY_NODE * self.min_nodes)

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """Yield the item whose tree is most similar to one of the document's, if the rate reaches `min_rate`."""
        trees = [(row, tree) for row, text in enumerate(texts) for tree in parse_document(text)]
        short: dict[int, int] = {}
        for row, tree in trees:
            if (exact := self._exact(tree)) in self._short_solutions:
                short[row] = self._short_solutions[exact]
        for row, item in short.items():
            problem = self.problems[item]
            detail = f"{problem.id}: the document is this solution"
            yield Finding(row, f"solution of {problem.benchmark}", 1.0, detail, problem.label)
        for row, (rate, item) in self._best(trees).items():
            problem = self.problems[item]
            if row not in short:
                detail = f"{problem.id}: syntax trees match at {rate:.3f}"
                yield Finding(row, f"syntax tree of {problem.benchmark}", rate, detail, problem.label)

    def _best(self, trees: Sequence[tuple[int, ast.Module]]) -> dict[int, tuple[float, int]]:
        """Return the best rate of each document that has one, and the item."""
        items, best = self.trees[1], dict[int, tuple[float, int]]()
        rows, rates = self.match_rates(trees)
        for row, row_rates in zip(rows, rates, strict=True):
            at = int(row_rates.argmax())
            if row_rates[at] > best.get(row, (0.0, 0))[0]:
                best[row] = (float(row_rates[at]), items[at])
        return best

    def match_rates(self, trees: Sequence[tuple[int, ast.Module]]) -> tuple[list[int], NDArray[np.float64]]:
        """Compare functions with those of items.

        Args:
            trees: rows of documents and their syntax trees.

        Returns:
            The row of each of n functions that is long enough, and its (n, items) match rates with `self.trees`; rates below
            `min_rate` are 0.
        """
        functions = [(row, body) for row, tree in trees for body in function_bodies(tree) if len(body) >= self.min_nodes]
        return [row for row, _ in functions], self.rates_of([body for _, body in functions])

    def rates_of(self, bodies: Sequence[str]) -> NDArray[np.float64]:
        """Return the (n, items) match rates of n linearized functions with `self.trees`; rates below `min_rate` are 0."""
        import numpy as np
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        items = self.trees[0]
        if not items or not bodies:
            return np.zeros((len(bodies), len(items)), np.float64)
        cutoff = self.min_rate - 1e-6  # rapidfuzz rejects some rates equal to its cutoff, such as 0.8 for 4 edits of 20
        rates = cdist(bodies, items, scorer=Levenshtein.normalized_similarity, score_cutoff=cutoff, dtype=np.float64)
        rates[rates < self.min_rate] = 0.0
        return rates
