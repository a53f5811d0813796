"""Asks for an exercise: one function to complete, its solution, and asserts that tell whether it is right."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply
from textbookgen_textbooks.replies import code, parsed


class Exercise(Generator):
    """Writes Python exercises, phi-1's CodeExercises (arXiv 2306.11644, section 2.2).

    The document is the function with what it needs (imports, private helpers), as the teacher wrote it. Asserts are kept
    beside it; prints and a main block are left out. Columns: `textbooks.prompt` (how the text begins: all up to the
    docstring and its newline), `textbooks.tests` (asserts, one below the other; empty if there are none),
    `textbooks.entry_point` (the function's name), `textbooks.concept`.
    """

    name: ClassVar[str] = "exercise"
    task: ClassVar[str] = "exercise"
    kind: ClassVar[str] = "exercise"

    prompt: Annotated[str, Template] = Field("phi1/exercise.md.j2", description="name of the prompt template")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The exercise.

        Raises:
            UnusableReply: there is not exactly one public function with a docstring and a body, or other code stands beside it.
        """
        solved = read_exercise(code(reply))
        concept = draw.get("concept")
        yield {
            "text": solved.text,
            "textbooks.prompt": solved.prompt,
            "textbooks.tests": solved.tests,
            "textbooks.entry_point": solved.entry_point,
            "textbooks.concept": None if concept is None else str(concept),
        }


@dataclass(frozen=True)
class Solved:
    """An exercise taken apart: `text` begins with `prompt` and goes on with the solution."""

    text: str
    prompt: str
    tests: str
    entry_point: str


def read_exercise(source: str) -> Solved:
    """Takes a function with its asserts apart.

    Raises:
        UnusableReply: there is not exactly one public function with a docstring and a body, or other code stands beside it.
    """
    tree = parsed(source)
    if tree is None:
        raise UnusableReply("the code does not parse")
    kept, tests = _sorted(tree)
    text = _joined(kept, source)
    function = _only_public(kept)
    return Solved(text, _prompt(text, function.name), "".join(f"{_source(test, source)}\n" for test in tests), function.name)


def _sorted(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The statements that belong to the document, and the asserts."""
    kept: list[ast.stmt] = []
    tests: list[ast.stmt] = []
    for item in tree.body:
        match item:
            case ast.Assert():
                tests.append(item)
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef():
                kept.append(item)
            case ast.Expr() | ast.If():  # a print, a docstring of the file, a main block: nobody misses them
                continue
            case _:
                raise UnusableReply("other code stands beside the function")
    return kept, tests


def _only_public(kept: list[ast.stmt]) -> ast.FunctionDef:
    functions = [item for item in kept if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")]
    if not functions:
        raise UnusableReply("there is no public function")
    if len(functions) > 1:
        raise UnusableReply("there is more than one public function")
    return functions[0]


def _prompt(text: str, name: str) -> str:
    """How the text begins, up to the newline after the function's docstring."""
    tree = parsed(text)
    function = next(item for item in (tree.body if tree else ()) if isinstance(item, ast.FunctionDef) and item.name == name)
    first, *body = function.body
    if ast.get_docstring(function, clean=False) is None:
        raise UnusableReply("the function has no docstring")
    if all(isinstance(item, ast.Pass) or _is_ellipsis(item) for item in body):
        raise UnusableReply("the function has no body")
    if body[0].lineno <= (first.end_lineno or 0):
        raise UnusableReply("code stands on the docstring's line")
    return "".join(_lines(text)[: first.end_lineno])


def _is_ellipsis(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and statement.value.value is ...


def _joined(statements: list[ast.stmt], source: str) -> str:
    """Statements as they were written: imports together, functions two blank lines apart."""
    parts: list[str] = []
    for item in statements:
        if parts:
            parts.append("\n\n" if isinstance(item, ast.FunctionDef) else "")
        parts.append(_source(item, source) + "\n")
    return "".join(parts)


def _source(statement: ast.stmt, source: str) -> str:
    """A statement as it was written, decorators included."""
    if not isinstance(statement, ast.FunctionDef):
        return ast.get_source_segment(source, statement) or ""
    first = min([statement.lineno, *(item.lineno for item in statement.decorator_list)])
    return "".join(_lines(source)[first - 1 : statement.end_lineno]).rstrip("\n")


def _lines(source: str) -> list[str]:
    """Lines as Python counts them: `str.splitlines` would also split at form feeds and the like."""
    return [line + "\n" for line in source.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
