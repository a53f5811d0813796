"""Interpreter sessions and the examples in docstrings: run prompt by prompt, and compared with the answers shown."""

from __future__ import annotations

import ast
import doctest
import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from .expectations import Expectation
from .output_log import PAGE_FILE

_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def run_session(code: str, lines_before: int, namespace: dict[str, Any]) -> Iterator[Expectation]:
    """Run the examples in code and yield what each of them shows.

    Raises:
        Exception: an example raises an error that it does not show.
    """
    for example in doctest.DocTestParser().get_examples(code):
        output = _output(example, namespace)
        if output is not None and (example.want or output):
            line = lines_before + example.lineno + 1
            yield Expectation(line, output if _agrees(example.want, output) else example.want, [output], "session")


def _output(example: doctest.Example, namespace: dict[str, Any]) -> str | None:
    """Run an example and return its output; None if it raises the error that it shows."""
    with redirect_stdout(io.StringIO()) as stdout:
        try:
            exec(compile(example.source, PAGE_FILE, "single", dont_inherit=True), namespace)
        except Exception as error:
            if not example.exc_msg or type(error).__name__ != example.exc_msg.split(":")[0].rsplit(".", 1)[-1].strip():
                raise
            return None
    if example.exc_msg:
        return stdout.getvalue() or "(no error)"
    return stdout.getvalue()


def _agrees(want: str, output: str) -> bool:
    if doctest.OutputChecker().check_output(want, output, _OPTIONS):
        return True
    try:
        return bool(ast.literal_eval(want) == ast.literal_eval(output))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False


@dataclass(frozen=True)
class DocstringExamples:
    """The examples in a docstring; `lines_before` counts the lines of the page before it."""

    text: str
    lines_before: int

    def run(self, namespace: dict[str, Any], *, final: bool) -> list[Expectation] | None:
        """Run them in a copy of a namespace, as doctest does.

        Returns:
            What they show; an example that raises an unexpected error shows that, and ends the docstring. None if a name is
            missing that the page may still define; at the end of the page (`final`), examples about an object that no snippet
            creates (`stack.push(1)`) are left out.
        """
        scope = dict(namespace)
        results: list[Expectation] = []
        try:
            results += run_session(self.text, self.lines_before, scope)
        except NameError as error:
            if not final:
                return None
            if not re.search(rf"\b{re.escape(error.name or '?')}\.\w+", self.text):
                results.append(Expectation(self.lines_before + 1, "an example that runs", [f"NameError: {error}"], "session"))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            results.append(Expectation(self.lines_before + 1, "an example that runs", [text], "session"))
        return results


def docstring_examples(tree: ast.Module) -> Iterator[DocstringExamples]:
    """Yield the docstrings of a snippet that have examples."""
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and node.body and (text := ast.get_docstring(node, clean=False)) and ">>> " in text:
            yield DocstringExamples(text, node.body[0].lineno - 1)
