"""Fidelity of regenerated code: whether two pieces of Python do the same operations, whatever their local names."""

from __future__ import annotations

import ast

from textbookgen.api.reply_code import parse_python

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_SILENT = ast.arg | ast.arguments | ast.Module | ast.Expr | ast.Assign | ast.AnnAssign | ast.expr_context


def tree_similarity(source: str, other: str) -> float:
    """Return the similarity of two pieces of Python, from 0 to 1; 0 if one does not parse.

    Trees are read as sequences of operations (see `operations`) and compared by normalized edit distance: phi-1's match rate
    (arXiv 2306.11644, section 5.2) on a serialization of our own choice. One wrong operation in a long function costs little,
    so this measures closeness, not equality.
    """
    from rapidfuzz.distance import Levenshtein

    one, two = operations(source), operations(other)
    return 0.0 if one is None or two is None else float(Levenshtein.normalized_similarity(one, two))


def same_operations(source: str, other: str) -> bool:
    """Return whether two pieces of Python do the same operations in the same order, apart from local names."""
    one = operations(source)
    return one is not None and one == operations(other)


def operations(source: str) -> list[str] | None:
    """Return what a piece of Python does, operands before operators; None if it does not parse.

    Named are: the operators, the values of constants, attributes, keyword arguments, built-in and global names, the names of
    public functions and classes, and parameters by their place, as long as they have their first value. Left out are names
    of local variables and of private helpers, annotations, docstrings, and assignments that only give a value a name.
    """
    tree = parse_python(source)
    if tree is None:
        return None
    reader = _OperationReader(tree)
    reader.read(tree)
    return reader.operations


class _OperationReader:
    """Collects the operations of a program, operands before operators."""

    def __init__(self, tree: ast.Module) -> None:
        nodes = list(ast.walk(tree))
        stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        arguments = {node.arg for node in nodes if isinstance(node, ast.arg)}
        errors = {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
        self.operations: list[str] = []
        self._local = stored | arguments | errors
        self._parameters: dict[str, int] = {}  # those of the innermost function that still have their first value

    def read(self, node: ast.AST) -> None:
        """Add the operations of a node: those of its parts, then its own."""
        before = self._parameters
        if isinstance(node, _Function):
            names = [item.arg for item in ast.walk(node.args) if isinstance(item, ast.arg)]
            self._parameters = {name: place for place, name in enumerate(names)}
        for part in self._parts(node):
            self.read(part)
        if isinstance(node, _Function):
            self._parameters = before
        if (label := self._label(node)) is not None:
            self.operations.append(label)

    def _parts(self, node: ast.AST) -> list[ast.AST]:
        """The parts of a node without annotations and docstring; a value comes before the names it is assigned to."""
        skipped = ("annotation", "returns", "ctx")
        fields = [(name, value) for name, value in ast.iter_fields(node) if name not in skipped]
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            fields.sort(key=lambda field: field[0] in ("target", "targets"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            fields.sort(key=lambda field: field[0] == "func")
        listed = [value if isinstance(value, list) else [value] for _, value in fields]
        parts = [part for parts in listed for part in parts if isinstance(part, ast.AST)]
        return [part for part in parts if not _is_docstring(node, part)]

    def _label(self, node: ast.AST) -> str | None:
        match node:
            case ast.Name():
                return self._name(node)
            case ast.Constant():
                return f"{type(node.value).__name__} {node.value!r}"
            case ast.Attribute():
                return f".{node.attr}"
            case ast.keyword():
                return f"{node.arg}="
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return f"{type(node).__name__} {'' if node.name.startswith('_') else node.name}"
            case ast.alias():
                return f"import {node.name}"
        return None if isinstance(node, _SILENT) else type(node).__name__

    def _name(self, node: ast.Name) -> str | None:
        """A parameter by its place, or a global name; None for a local variable and a private helper."""
        if isinstance(node.ctx, ast.Store):
            self._parameters = {name: place for name, place in self._parameters.items() if name != node.id}
            return None
        if node.id in self._parameters:
            return f"parameter {self._parameters[node.id]}"
        return None if node.id in self._local or node.id.startswith("_") else node.id


def _is_docstring(node: ast.AST, child: ast.AST) -> bool:
    if not isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return node.body[:1] == [child] and ast.get_docstring(node) is not None
