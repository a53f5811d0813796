"""Python code as strings of syntax nodes, and how alike two of them are: phi-1's AST match rate."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import polars as pl

from textbookgen_decontamination.ngrams import Problem
from textbookgen_decontamination.rules import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FENCE = re.compile(r"^```[ \t]*(?:python|py|python3)?[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE | re.IGNORECASE)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SKIPPED = ("annotation", "returns", "decorator_list", "type_params", "ctx", "type_comment")
_FUNCTION = re.compile(r"^([ \t]*)(?:async )?def .*\n(?:\1[ \t]+.*\n?|[ \t]*\n)*", re.MULTILINE)
_MOST = 6  # a short function has at most so many times the nodes of its body, arguments and annotations counted
_BUILTINS = frozenset(dir(builtins))
_LETTERS: dict[str, str] = {}


def _letter(name: str) -> str:
    """One character for a kind of node, so that strings can be compared by a fast library."""
    return _LETTERS.setdefault(name, chr(0x10000 + len(_LETTERS)))


def parse(code: str) -> ast.Module | None:
    """The syntax tree of code, or None where it is no Python of this interpreter's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in a document's strings are no news to who runs a recipe
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def code_in(text: str) -> Iterator[ast.Module]:
    """The code of a document: its fenced blocks or else the whole of it, and where that does not parse, each function in it.

    A body without its head counts too.
    """
    text = text.replace("\r\n", "\n")
    for block in _FENCE.findall(text) or [text]:
        if tree := parse(block) or (parse(f"def _():\n{block}") if block.lstrip("\n")[:1].isspace() else None):
            yield tree
        else:
            yield from filter(None, (parse(textwrap.dedent(item.group())) for item in _FUNCTION.finditer(block)))


def linear(tree: ast.AST) -> str:
    """The nodes of a tree in the order of the source, a character each: without names, comments, docstrings and annotations,
    with operators and the types of constants."""
    letters: list[str] = []
    _walk(tree, letters)
    return "".join(letters)


def _walk(node: ast.AST, letters: list[str]) -> None:
    letters.append(_letter(_kind(node)))
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED:
            continue
        children = value if isinstance(value, list) else [value]
        if (
            field == "body"
            and isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.Module))
            and children
            and _is_docstring(children[0])
        ):
            children = children[1:]
        for child in children:
            if isinstance(child, ast.AST):
                _walk(child, letters)


def _kind(node: ast.AST) -> str:
    """What a node is; names are left out but for those that are the language's own, and what is looked up on an object."""
    name = type(node).__name__
    match node:
        case ast.Constant(value=value):
            return f"{name} {type(value).__name__}"
        case ast.Name(id=known) if known in _BUILTINS:
            return f"{name} {known}"
        case ast.Attribute(attr=attribute):
            return f"{name} {attribute}"
    return name


def spelled(text: str, names: bool) -> str:
    """Code as words, one a node: without format, comments and docstrings, and without `names` as `linear` has it.

    Text in which there is no code is given back as it is.
    """
    words = [word for tree in code_in(text) for word in _spell(tree, names)]
    return " ".join(words) or text


def _spell(node: ast.AST, names: bool) -> Iterator[str]:
    said = (
        [value for _, value in ast.iter_fields(node) if isinstance(value, str | int | float | bytes | complex)] if names else []
    )
    yield re.sub(r"\W+", "_", "_".join([_kind(node), *map(repr, said)]))
    for child in ast.iter_child_nodes(node):
        if not (_is_docstring(child) or isinstance(child, ast.expr_context)):
            yield from _spell(child, names)


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def bodies(tree: ast.Module) -> list[str]:
    """What each function does, at any depth but within functions, or what the module does where it has none."""
    functions = [node for node in tree.body if isinstance(node, _FUNCTIONS)]
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    functions += [node for item in classes for node in item.body if isinstance(node, _FUNCTIONS)]
    return ["".join(map(linear, _statements(node))) for node in functions] or [linear(tree)]


def whole(tree: ast.Module, most: int) -> str | None:
    """What the one function of a module does, spelled with its constants; its own names are numbered as they come.

    None where the module has anything besides that function and imports, or the function more than `most` nodes, or a
    docstring (the item's own is told by its words, another one tells another function): only what is nothing else can be told
    by so little.
    """
    statements = [node for node in tree.body if not (isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node))]
    if len(statements) != 1 or not isinstance(statements[0], _FUNCTIONS):
        return None
    if _is_docstring(statements[0].body[0]) or next(islice(ast.walk(statements[0]), most, None), None) is not None:
        return None
    numbers: dict[str, int] = {}
    return " ".join(word for node in _statements(statements[0]) for word in _exactly(node, numbers))


def _exactly(node: ast.AST, numbers: dict[str, int]) -> Iterator[str]:
    match node:
        case ast.Constant(value=value):
            yield repr(value)
        case ast.Name(id=name) if name not in _BUILTINS:
            yield str(numbers.setdefault(name, len(numbers)))
        case _:
            yield _kind(node)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr_context):
            yield from _exactly(child, numbers)


def _statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    return function.body[1:] if _is_docstring(function.body[0]) else function.body


@dataclass(frozen=True)
class TreeMatch:
    """phi-1's study of pruning (Gunasekar et al. 2023, section 5): edit distance of syntax trees, without names and comments.

    Unlike the paper's, our trees keep the names of built-ins and attributes, which nobody renames: with them short functions
    can be told apart, and hardly any clean code is taken.

    The rate is `1 - Levenshtein(a, b) / max(len(a), len(b))` over linearised trees; the paper prunes at 0.8 to 0.95.
    Functions are compared by their bodies, so that a solution counts without its head. Those of fewer than `least` nodes
    are all alike: they count only where a document is such a function and nothing else, and the constants are the same too.
    """

    problems: Sequence[Problem]
    rate: float = 0.95
    least: int = 8

    @cached_property
    def trees(self) -> tuple[list[str], list[int]]:
        """The linearised functions of items, and the item of each."""
        pairs = [
            (item, at)
            for at, problem in enumerate(self.problems)
            for tree in (list(code_in(problem.text)) or code_in(problem.solution))
            for item in bodies(tree)
            if len(item) >= self.least
        ]
        return [tree for tree, _ in pairs], [at for _, at in pairs]

    @cached_property
    def _short(self) -> dict[str, int]:
        """The solutions that are too short to be compared, spelled exactly."""
        result: dict[str, int] = {}
        for at, problem in enumerate(self.problems):
            for tree in code_in(problem.solution):
                said = whole(tree, _MOST * self.least)
                if said and max(map(len, bodies(tree))) < self.least:
                    result.setdefault(said, at)
        return result

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """The item whose tree is most like one of the document's."""
        parsed = [(row, tree) for row, text in enumerate(texts) for tree in code_in(text)]
        short: dict[int, int] = {}
        for row, tree in parsed:
            if (said := whole(tree, _MOST * self.least)) in self._short:
                short[row] = self._short[said]
        for row, owner in short.items():
            problem = self.problems[owner]
            yield Finding(
                row, f"solution of {problem.benchmark}", 1.0, f"{problem.id}: nothing but its solution", problem.place
            )
        for row, (rate, owner) in self._best(parsed).items():
            problem = self.problems[owner]
            if row not in short:
                detail = f"{problem.id}: syntax trees match at {rate:.3f}"
                yield Finding(row, f"syntax tree of {problem.benchmark}", rate, detail, problem.place)

    def _best(self, parsed: Sequence[tuple[int, ast.Module]]) -> dict[int, tuple[float, int]]:
        """The best rate of each document that has one, and the item."""
        owners, best = self.trees[1], dict[int, tuple[float, int]]()
        mine, rates = self.rates(parsed)
        for row, line in zip(mine, rates, strict=True):
            at = int(line.argmax())
            if line[at] > best.get(row, (0.0, 0))[0]:
                best[row] = (float(line[at]), owners[at])
        return best

    def rates(self, parsed: Sequence[tuple[int, ast.Module]]) -> tuple[list[int], NDArray[np.float32]]:
        """The document of each function that is compared, and its rate with each of `trees`, 0 for those below `rate`."""
        import numpy as np
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        mine = [(row, item) for row, tree in parsed for item in bodies(tree) if len(item) >= self.least]
        trees = self.trees[0]
        if not trees or not mine:
            return [], np.zeros((0, len(trees)), np.float32)
        result = cdist([item for _, item in mine], trees, scorer=Levenshtein.normalized_similarity, score_cutoff=self.rate)
        return [row for row, _ in mine], result
