"""Python code in documents: finding it, parsing it, and its syntax tree as words."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import warnings
from collections.abc import Iterator

_CODE_BLOCK = re.compile(r"^```[ \t]*(?:python|py|python3)?[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE | re.IGNORECASE)
_FUNCTION = re.compile(r"^([ \t]*)(?:async )?def .*\n(?:\1[ \t]+.*\n?|[ \t]*\n)*", re.MULTILINE)

#: Names that are part of the language, which renaming leaves alone.
BUILTINS = frozenset(dir(builtins))


def parse(code: str) -> ast.Module | None:
    """Return the syntax tree of code, or None if this interpreter cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in a document's strings do not concern the user of a recipe
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def parse_document(text: str) -> Iterator[ast.Module]:
    """Yield the syntax trees of the code in a document.

    The code is its fenced blocks, or the whole text if there are none. Where a block does not parse, each function in it
    is tried by itself. The body of a function without its `def` line is accepted.
    """
    text = text.replace("\r\n", "\n")
    for block in _CODE_BLOCK.findall(text) or [text]:
        if tree := parse(block) or (parse(f"def _():\n{block}") if block.lstrip("\n")[:1].isspace() else None):
            yield tree
        else:
            yield from filter(None, (parse(textwrap.dedent(item.group())) for item in _FUNCTION.finditer(block)))


def node_label(node: ast.AST) -> str:
    """Return a node's type, with the type of a constant and the names of built-ins and attributes; other names are left out."""
    name = type(node).__name__
    match node:
        case ast.Constant(value=value):
            return f"{name} {type(value).__name__}"
        case ast.Name(id=known) if known in BUILTINS:
            return f"{name} {known}"
        case ast.Attribute(attr=attribute):
            return f"{name} {attribute}"
    return name


def is_docstring(node: object) -> bool:
    """Whether a statement is a string by itself."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def code_as_words(text: str, names: bool) -> str:
    """Return the code of a document with one word per syntax node, without format, comments and docstrings.

    Args:
        text: a document; one without Python code is returned unchanged.
        names: include names and values, so that only code with the same ones is equal.
    """
    words = [word for tree in parse_document(text) for word in _words_of(tree, names)]
    return " ".join(words) or text


def _words_of(node: ast.AST, names: bool) -> Iterator[str]:
    fields = [value for _, value in ast.iter_fields(node)] if names else []
    values = [repr(value) for value in fields if isinstance(value, str | int | float | bytes | complex)]
    yield re.sub(r"\W+", "_", "_".join([node_label(node), *values]))
    for child in ast.iter_child_nodes(node):
        if not (is_docstring(child) or isinstance(child, ast.expr_context)):
            yield from _words_of(child, names)
