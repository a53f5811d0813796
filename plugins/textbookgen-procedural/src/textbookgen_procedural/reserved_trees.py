"""Syntax trees reserved for the held-out benchmark: what training may write must differ from each of them.

The measure is phi-1's match rate as `decontamination/overlap` computes it: one minus the edit distance of two bodies as
sequences of syntax nodes, over the longer length. Names, values of constants and annotations do not count; operators, types of
constants, and the names of built-ins and attributes do.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from textbookgen_procedural.compositions import Composition
from textbookgen_procedural.held_out_steps import held_out_steps
from textbookgen_procedural.value_types import VARIABLES

#: The match rate from which what the teacher writes is too similar to a held-out exercise.
MAX_RATE = 0.795  # below the 0.8 of others, whose arithmetic may round up
_BUILTINS = frozenset(dir(builtins))
_SKIPPED = ("annotation", "returns", "decorator_list", "ctx", "type_comment")
_CHARACTERS: dict[str, str] = {}


def body_tree(lines: Sequence[str]) -> str:
    """Return the nodes of a function's body in the order of the source, one character each."""
    return "".join(_nodes(statement) for statement in ast.parse("\n".join(lines)).body)


def _nodes(node: ast.AST) -> str:
    label = type(node).__name__
    match node:
        case ast.Constant(value=value):
            label += f" {type(value).__name__}"
        case ast.Name(id=name) if name in _BUILTINS:
            label += f" {name}"
        case ast.Attribute(attr=name):
            label += f" {name}"
    return _CHARACTERS.setdefault(label, chr(0x10000 + len(_CHARACTERS))) + "".join(map(_nodes, _children(node)))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for field in _compared_fields(type(node).__name__):
        value = getattr(node, field, None)
        if isinstance(value, list):
            yield from value
        elif isinstance(value, ast.AST):
            yield value


@cache
def _compared_fields(kind: str) -> tuple[str, ...]:
    return tuple(field for field in getattr(ast, kind)._fields if field not in _SKIPPED)


def is_reserved(lines: Sequence[str]) -> bool:
    """Return whether a body is too similar to one of the held-out benchmark."""
    return tree_is_reserved(body_tree(lines))


@lru_cache(maxsize=65536)
def tree_is_reserved(tree: str) -> bool:
    """Return whether a body, as `body_tree` returns it, is too similar to one of the held-out benchmark."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import extractOne

    scorer = Levenshtein.normalized_similarity
    return extractOne(tree, reserved_trees(), scorer=scorer, score_cutoff=MAX_RATE) is not None


@cache
def reserved_trees() -> tuple[str, ...]:
    """Return the distinct trees of the benchmark's items."""
    bodies = (Composition(steps, VARIABLES[steps[0].primitive.input_type][0]).body() for steps in held_out_steps())
    return tuple(dict.fromkeys(map(body_tree, bodies)))
