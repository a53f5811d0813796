"""Copies of syntax trees, made several times faster than by `copy.deepcopy`."""

from __future__ import annotations

import ast
from typing import Any, TypeVar

Node = TypeVar("Node", bound=ast.AST)


def copied(node: Node) -> Node:
    """Return a copy of a syntax tree; contexts such as `ast.Load` are shared, and all of it is on line 0 of a source."""
    fields = {name: _copied_field(getattr(node, name, None)) for name in node._fields}
    copy = type(node)(**fields)
    if isinstance(copy, ast.stmt):
        copy.lineno = 0
    return copy


def _copied_field(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied_field(item) for item in value]
    return copied(value) if isinstance(value, ast.AST) and value._fields else value
