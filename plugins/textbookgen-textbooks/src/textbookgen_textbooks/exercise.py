"""Exercises: one function to complete, its solution, and asserts that test it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply
from textbookgen_textbooks.text_replies import parse_python, read_code


class Exercise(Generator):
    """Write Python exercises: phi-1's CodeExercises (arXiv 2306.11644, section 2.2).

    The document is the function with the imports and private helpers it needs, as the teacher wrote it. Asserts go to a
    column; prints and a main block are removed. Columns: `textbooks.prompt` (the beginning of the text, through the
    docstring and its newline), `textbooks.tests` (one assert per line; empty if there are none), `textbooks.entry_point`
    (the function's name), `textbooks.concept`.
    """

    name: ClassVar[str] = "exercise"
    task: ClassVar[str] = "exercise"
    kind: ClassVar[str] = "exercise"

    prompt: Annotated[str, Template] = Field("phi1/exercise.md.j2", description="prompt template")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the exercise as one row.

        Raises:
            UnusableReply: the code is not exactly one public function with docstring and body, apart from imports, private
                helpers and asserts, or the function does not have the drawn name.
        """
        exercise = read_exercise(read_code(reply))
        if draw.get("function_name") not in (None, exercise.entry_point):
            raise UnusableReply("the function does not have the requested name")
        concept = draw.get("concept")
        yield {
            "text": exercise.text,
            "textbooks.prompt": exercise.prompt,
            "textbooks.tests": exercise.tests,
            "textbooks.entry_point": exercise.entry_point,
            "textbooks.concept": None if concept is None else str(concept),
        }


@dataclass(frozen=True)
class SolvedExercise:
    """An exercise split into its parts.

    Attributes:
        text: the whole code without asserts; it begins with `prompt`.
        prompt: everything through the docstring and its newline.
        tests: asserts, one per line; may be empty.
        entry_point: the function's name.
    """

    text: str
    prompt: str
    tests: str
    entry_point: str


def read_exercise(source: str) -> SolvedExercise:
    """Split Python source into a function and its asserts.

    Raises:
        UnusableReply: the source does not have exactly one public function with a docstring and a body, or has other code.
    """
    tree = parse_python(source)
    if tree is None:
        raise UnusableReply("the code does not parse")
    definitions, tests = _definitions_and_tests(tree)
    text = _join(definitions, source)
    function = _public_function(definitions)
    prompt = _through_docstring(text, function.name)
    return SolvedExercise(text, prompt, "".join(f"{_source_of(test, source)}\n" for test in tests), function.name)


def _definitions_and_tests(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The statements that belong to the document, and the asserts."""
    definitions: list[ast.stmt] = []
    tests: list[ast.stmt] = []
    for statement in tree.body:
        match statement:
            case ast.Assert():
                tests.append(statement)
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef():
                definitions.append(statement)
            case ast.Expr() | ast.If():  # a print, the module docstring, a main block: not part of the exercise
                continue
            case _:
                raise UnusableReply("there is other code besides the function")
    return definitions, tests


def _public_function(definitions: list[ast.stmt]) -> ast.FunctionDef:
    functions = [item for item in definitions if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")]
    if not functions:
        raise UnusableReply("there is no public function")
    if len(functions) > 1:
        raise UnusableReply("there is more than one public function")
    return functions[0]


def _through_docstring(text: str, name: str) -> str:
    """The beginning of the text, through the newline after the function's docstring."""
    tree = parse_python(text)
    function = next(item for item in (tree.body if tree else ()) if isinstance(item, ast.FunctionDef) and item.name == name)
    docstring, *body = function.body
    if ast.get_docstring(function, clean=False) is None:
        raise UnusableReply("the function has no docstring")
    if all(isinstance(item, ast.Pass) or _is_ellipsis(item) for item in body):
        raise UnusableReply("the function has no body")
    if body[0].lineno <= (docstring.end_lineno or 0):
        raise UnusableReply("the docstring and the body share a line")
    return "".join(_lines(text)[: docstring.end_lineno])


def _is_ellipsis(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and statement.value.value is ...


def _join(statements: list[ast.stmt], source: str) -> str:
    """The source of statements: imports together, functions after two blank lines."""
    parts: list[str] = []
    for statement in statements:
        if parts:
            parts.append("\n\n" if isinstance(statement, ast.FunctionDef) else "")
        parts.append(_source_of(statement, source) + "\n")
    return "".join(parts)


def _source_of(statement: ast.stmt, source: str) -> str:
    """The source of a statement, decorators included."""
    if not isinstance(statement, ast.FunctionDef):
        return ast.get_source_segment(source, statement) or ""
    first = min([statement.lineno, *(decorator.lineno for decorator in statement.decorator_list)])
    return "".join(_lines(source)[first - 1 : statement.end_lineno]).rstrip("\n")


def _lines(source: str) -> list[str]:
    """Lines as Python counts them; `str.splitlines` would also split at form feeds."""
    return [line + "\n" for line in source.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
