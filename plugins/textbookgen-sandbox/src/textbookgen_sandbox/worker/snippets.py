"""Code snippets of a Markdown page: run as one program, recording what each print is expected to print and what it printed."""

from __future__ import annotations

import ast
import doctest
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import execution

_CODE_FENCE = re.compile(
    r"^(?P<indent> {0,3})(?P<marks>```+|~~~+)[ \t]*(?:python3?|py|pycon)\b[^\n]*\n(?P<code>.*?)^ {0,3}(?P=marks)[ \t]*$",
    re.M | re.S,
)
_MAX_EXPECTATIONS = 500
_MAX_LENGTH = 500  # characters of a comment or an output that is reported
_MAX_OUTPUTS = 20  # outputs of one print that are reported
_PRINT = "__sandbox_print__"


@dataclass
class Expectation:
    """What a page says a print or an expression prints, and what it printed.

    Attributes:
        line: the line of the page.
        expected: the comment behind the print, or the answer shown after `>>>`.
        printed: what was printed, once per execution.
        exact: whether `expected` is an interpreter's answer rather than a comment.
    """

    line: int
    expected: str
    printed: list[str] = field(default_factory=list)
    exact: bool = False


def find_snippets(page: str) -> Iterator[tuple[int, str]]:
    """Yield the Python snippets of a page, each with the number of lines before it."""
    for match in _CODE_FENCE.finditer(page):
        yield page.count("\n", 0, match.start("code")), match["code"]


def trailing_comments(source: str) -> dict[int, str]:
    """Return the comments that follow code, by line."""
    comments: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
            comments[token.start[0]] = token.string.lstrip("#").strip()
    return comments


def _is_session(code: str) -> bool:
    """Return whether a snippet is an interpreter session; one that is valid Python has its `>>>` in docstrings."""
    if not re.search(r"^\s*>>> ", code, re.M):
        return False
    try:
        ast.parse(code)
    except SyntaxError:
        return True
    return False


class PageRun:
    """One run of a page's snippets in a shared namespace."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.expectations: dict[int, Expectation] = {}
        namespace[_PRINT] = self._recording_print

    def run(self, page: str) -> None:
        """Run every snippet of a page in order."""
        for lines_before, code in find_snippets(page):
            if _is_session(code):
                self._run_session(lines_before, code)
            else:
                self._run_statements(lines_before, code)

    def report(self) -> list[list[Any]]:
        """Return the expectations that were reached, as lists of line, expected text, outputs and exactness."""
        reached = [item for _, item in sorted(self.expectations.items()) if item.printed][:_MAX_EXPECTATIONS]
        return [
            [item.line, item.expected[:_MAX_LENGTH], [text[:_MAX_LENGTH] for text in item.printed[:_MAX_OUTPUTS]], item.exact]
            for item in reached
        ]

    def _run_statements(self, lines_before: int, code: str) -> None:
        """Run a snippet statement by statement, so that an error its comment announces does not end the page."""
        source = "\n" * lines_before + code
        tree = execution.parse_source(source, "page.md")
        comments = trailing_comments(source)
        tree = ast.fix_missing_locations(_PrintRecorder(self.expectations, comments).visit(tree))
        for statement in tree.body:
            step = ast.Module([statement], type_ignores=[])
            try:
                exec(compile(step, "page.md", "exec", dont_inherit=True), self.namespace)
            except Exception as error:
                comment = comments.get(statement.end_lineno or 0, "")
                if not re.search(rf"\b{re.escape(type(error).__name__)}\b", comment):
                    raise

    def _recording_print(self, line: int) -> Callable[..., None]:
        """Return a `print` that also records what it prints for this line."""

        def recording_print(*values: Any, file: Any = None, **options: Any) -> None:
            if file is not None and file is not sys.stdout:
                print(*values, file=file, **options)
                return
            output = io.StringIO()
            print(*values, file=output, **options)
            self.expectations[line].printed.append(output.getvalue())
            sys.stdout.write(output.getvalue())

        return recording_print

    def _run_session(self, lines_before: int, code: str) -> None:
        """Run a snippet that is an interpreter session and compare its answers."""
        checker = doctest.OutputChecker()
        for example in doctest.DocTestParser().get_examples(code):
            line = lines_before + example.lineno + 1
            stdout, sys.stdout = sys.stdout, io.StringIO()
            try:
                exec(compile(example.source, "page.md", "single", dont_inherit=True), self.namespace)
                output = sys.stdout.getvalue()
            except Exception as error:
                if not example.exc_msg or type(error).__name__ != example.exc_msg.split(":")[0].rsplit(".", 1)[-1]:
                    raise
                continue
            finally:
                sys.stdout = stdout
            if example.want or output:
                same = checker.check_output(example.want, output, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
                self.expectations[line] = Expectation(line, output if same else example.want, [output], exact=True)


class _PrintRecorder(ast.NodeTransformer):
    """Replaces each print that a comment follows by one that records its output."""

    def __init__(self, expectations: dict[int, Expectation], comments: dict[int, str]) -> None:
        self.expectations = expectations
        self.comments = comments

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Replace the print of a statement that is one call of `print`."""
        call = node.value
        line = node.end_lineno or 0
        comment = self.comments.get(line)
        if comment and isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print":
            self.expectations[line] = Expectation(line, comment)
            name = ast.Name(_PRINT, ast.Load())
            call.func = ast.copy_location(ast.Call(name, [ast.Constant(line)], []), call.func)
        return self.generic_visit(node)


def run_page(text: str, report_fd: int, key: str) -> None:
    """Run a page and report how it ended, with its expectations."""
    page = PageRun(vars(execution.create_module("__main__")))
    report = execution.attempt(lambda: page.run(text))
    snippets = sum(1 for _ in find_snippets(text))
    execution.send_report(report_fd, {**report, "expectations": page.report(), "snippets": snippets, "key": key})
    execution.exit_now()
