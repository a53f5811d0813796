"""Runs the snippets of a Markdown page as one program, and notes what each print is said to print and what it printed."""

from __future__ import annotations

import ast
import doctest
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import program

_FENCE = re.compile(
    r"^(?P<indent> {0,3})(?P<fence>```+|~~~+)[ \t]*(?:python3?|py|pycon)\b[^\n]*\n(?P<code>.*?)^ {0,3}(?P=fence)[ \t]*$",
    re.M | re.S,
)
_MOST_NOTES = 500
_MOST_TEXT = 500


@dataclass
class Note:
    """A print and the comment behind it: the line of the page, what the comment says, what was printed each time."""

    line: int
    says: str
    printed: list[str] = field(default_factory=list)
    exact: bool = False  # whether the text is an interpreter's answer rather than a comment


def snippets(page: str) -> Iterator[tuple[int, str]]:
    """The Python snippets of a page, each with the line of the page before its first."""
    for result in _FENCE.finditer(page):
        yield page.count("\n", 0, result.start("code")), result["code"]


def comments(source: str) -> dict[int, str]:
    """What is said behind code, by line."""
    said: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
            said[token.start[0]] = token.string.lstrip("#").strip()
    return said


class Page:
    """A page while it is run."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.notes: dict[int, Note] = {}
        namespace["__sandbox_print__"] = self._print

    def run(self, text: str) -> None:
        """Runs every snippet of a page."""
        for before, code in snippets(text):
            if re.search(r"^\s*>>> ", code, re.M):
                self._converse(before, code)
            else:
                self._run(before, code)

    def report(self) -> list[list[Any]]:
        """The notes, as lists of line, words, prints and exactness."""
        kept = [note for _, note in sorted(self.notes.items()) if note.printed][:_MOST_NOTES]
        return [
            [note.line, note.says[:_MOST_TEXT], [text[:_MOST_TEXT] for text in note.printed[:20]], note.exact] for note in kept
        ]

    def _run(self, before: int, code: str) -> None:
        """Runs a snippet statement by statement, so that an error its comment foretells does not end the page."""
        source = "\n" * before + code
        tree = program.parsed(source, "page.md")
        said = comments(source)
        tree = ast.fix_missing_locations(_Listens(self.notes, said).visit(tree))
        for statement in tree.body:
            step = ast.Module([statement], type_ignores=[])
            try:
                exec(compile(step, "page.md", "exec", dont_inherit=True), self.namespace)
            except Exception as error:
                foretold = said.get(statement.end_lineno or 0, "")
                if not re.search(rf"\b{re.escape(type(error).__name__)}\b", foretold):
                    raise

    def _print(self, number: int) -> Callable[..., None]:
        """A print that is overheard."""

        def overheard(*values: Any, file: Any = None, **how: Any) -> None:
            if file is not None and file is not sys.stdout:
                print(*values, file=file, **how)
                return
            heard = io.StringIO()
            print(*values, file=heard, **how)
            self.notes[number].printed.append(heard.getvalue())
            sys.stdout.write(heard.getvalue())

        return overheard

    def _converse(self, before: int, code: str) -> None:
        """Runs a snippet that is a conversation with the interpreter, answers and all."""
        checker = doctest.OutputChecker()
        for example in doctest.DocTestParser().get_examples(code):
            line = before + example.lineno + 1
            kept, sys.stdout = sys.stdout, io.StringIO()
            try:
                exec(compile(example.source, "page.md", "single", dont_inherit=True), self.namespace)
                got = sys.stdout.getvalue()
            except Exception as error:
                if not example.exc_msg or type(error).__name__ != example.exc_msg.split(":")[0].rsplit(".", 1)[-1]:
                    raise
                continue
            finally:
                sys.stdout = kept
            if example.want or got:
                same = checker.check_output(example.want, got, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
                self.notes[line] = Note(line, got if same else example.want, [got], exact=True)


class _Listens(ast.NodeTransformer):
    """Puts an overheard print in the place of each print with a comment behind it."""

    def __init__(self, notes: dict[int, Note], said: dict[int, str]) -> None:
        self.notes = notes
        self.said = said
        self.prints: dict[int, int] = defaultdict(int)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """A statement that is one call of print, the only one on its last line."""
        call = node.value
        says = self.said.get(node.end_lineno or 0)
        if says and isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print":
            line = node.end_lineno or 0
            self.notes[line] = Note(line, says)
            name = ast.Name("__sandbox_print__", ast.Load())
            call.func = ast.copy_location(ast.Call(name, [ast.Constant(line)], []), call.func)
        return self.generic_visit(node)


def run_page(text: str, mouth: int, key: str) -> None:
    """Runs a page and reports how it went, with its notes."""
    page = Page(vars(program.module("__main__")))
    report = program.attempt(lambda: page.run(text))
    program.say(mouth, {**report, "notes": page.report(), "snippets": sum(1 for _ in snippets(text)), "key": key})
    program.leave()
