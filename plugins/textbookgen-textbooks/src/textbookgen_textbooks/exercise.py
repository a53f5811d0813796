"""Exercises: one function to complete, its solution, and asserts that test it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply
from textbookgen.api.reply_code import parse_python, read_code
from textbookgen_textbooks.practised_concepts import known_concepts, practises


class Exercise(Generator):
    """Write Python exercises: phi-1's CodeExercises (arXiv 2306.11644, section 2.2).

    The document is the function with the imports and private helpers it needs, as the teacher wrote it. Asserts go to a
    column; prints and a main block are removed. Columns: `textbooks.prompt` (the beginning of the text, through the
    docstring and its newline), `textbooks.tests` (one assert per line; empty if there are none), `textbooks.entry_point`
    (the function's name), `textbooks.concept`, `textbooks.argument_types` (the annotations, with commas between).

    Documents state only what is so: a reply whose function has another name or other argument types than drawn, or whose
    solution does not show the drawn concept (`practised_concepts`), is refused, each with its reason.
    """

    name: ClassVar[str] = "exercise"
    task: ClassVar[str] = "exercise"
    kind: ClassVar[str] = "exercise"

    version: ClassVar[int] = 3

    prompt: Annotated[str, Template] = Field("phi1/exercise.md.j2", description="prompt template")
    require_concept: bool = Field(
        True, description="refuse solutions whose syntax tree does not show the drawn concept, of the concepts with a detector"
    )
    min_tests: int = Field(1, ge=0, description="minimum number of asserts that call the function")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the exercise as one row.

        Raises:
            UnusableReply: the code is not exactly one public function with docstring and body, apart from imports, private
                helpers and asserts; or the function lacks the drawn name, argument types or concept, or asserts that call it.
        """
        exercise = read_exercise(read_code(reply))
        concept = draw.get("concept")
        self._check(exercise, draw)
        yield {
            "text": exercise.text,
            "textbooks.prompt": exercise.prompt,
            "textbooks.tests": exercise.tests,
            "textbooks.entry_point": exercise.entry_point,
            "textbooks.concept": None if concept is None else str(concept),
            "textbooks.shown": _shown_concept(exercise.text, concept),
            "textbooks.argument_types": ", ".join(argument_types(exercise.text, exercise.entry_point)),
        }

    def _check(self, exercise: SolvedExercise, draw: Draw) -> None:
        """Raise `UnusableReply` if the exercise is not what the draw asks for."""
        if draw.get("function_name") not in (None, exercise.entry_point):
            raise UnusableReply("the function does not have the requested name")
        wanted = draw.get("argument_types")
        if isinstance(wanted, (list, tuple)) and wanted:
            types = argument_types(exercise.text, exercise.entry_point)
            if len(types) != len(wanted):
                raise UnusableReply("the function does not have the requested number of arguments")
            if not all(map(_is_same_type, types, map(str, wanted))):
                raise UnusableReply("the arguments do not have the requested types")
        if draw.get("return_type") and not _is_same_type(return_type(exercise), str(draw["return_type"])):
            raise UnusableReply("the function does not have the requested return type")
        check_tests(exercise, self.min_tests)
        concept = draw.get("concept")
        if self.require_concept and concept in known_concepts() and not practises(exercise.text, str(concept)):
            raise UnusableReply("the solution does not practise the concept")


def check_tests(exercise: SolvedExercise, min_tests: int) -> None:
    """Raise `UnusableReply` unless an exercise has enough asserts, each of which calls its function."""
    tests = ast.parse(exercise.tests).body
    if min_tests and not tests:
        raise UnusableReply("there is no assert")
    if any(not _calls(test, exercise.entry_point) for test in tests):
        raise UnusableReply("an assert does not call the function")
    if any(_is_always_true(test, exercise.entry_point) for test in tests):
        raise UnusableReply("an assert compares the function with itself")
    if len(tests) < min_tests:
        raise UnusableReply("there are too few asserts")


def _calls(tree: ast.AST, name: str) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(function, ast.Name) and function.id == name for function in calls)


def _is_always_true(test: ast.stmt, name: str) -> bool:
    """Whether an assert states nothing: the same expression on both sides."""
    compared = test.test if isinstance(test, ast.Assert) else None
    if not isinstance(compared, ast.Compare) or not _calls(compared.left, name):
        return False
    return any(ast.dump(right) == ast.dump(compared.left) for right in compared.comparators)


def argument_types(source: str, name: str) -> list[str]:
    """Return the annotations of a function's arguments as written; an empty text for an argument without one."""
    tree = parse_python(source)
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == name:
            arguments = [*node.args.posonlyargs, *node.args.args]
            return [ast.unparse(item.annotation) if item.annotation else "" for item in arguments]
    return []


def return_type(exercise: SolvedExercise) -> str:
    """Return the annotation of what an exercise's function returns; empty if it has none."""
    tree = parse_python(exercise.text)
    functions = (node for node in (tree.body if tree else ()) if isinstance(node, ast.FunctionDef))
    returns = next((node.returns for node in functions if node.name == exercise.entry_point), None)
    return ast.unparse(returns) if returns else ""


def _is_same_type(written: str, wanted: str) -> bool:
    """Whether two annotations mean the same: `List[int]` is `list[int]`, `typing.Sequence` is not."""
    return _plain_type(written) == _plain_type(wanted)


def _plain_type(annotation: str) -> str:
    plain = re.sub(r"\b(?:typing\.)?(List|Dict|Tuple|Set)\b", lambda match: match[1].lower(), annotation)
    return "".join(plain.strip("'\"").split())


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


def _shown_concept(source: str, concept: object) -> str:
    """Return as JSON which concept the code shows: the drawn one, or null, if there is a detector for it."""
    if concept not in known_concepts():
        return "{}"
    return json.dumps({"concept": concept if practises(source, str(concept)) else None}, ensure_ascii=False)


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
