"""Snippets of a Markdown page: run in order in one namespace, and compared with all that the page states about their output."""

from __future__ import annotations
import __future__

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from . import claims, execution
from .code_blocks import CodeBlock, find_code_blocks
from .comments import CommentGroup, Comments, announces, read_comments, stated_error
from .expectations import MAX_EXPECTATIONS, Expectation
from .output_log import PAGE_FILE, OutputLog
from .sessions import DocstringExamples, docstring_examples, run_session

_MAX_CANDIDATES = 20  # stretches of output that one block of output may show
_MAX_LEAD_IN_WORDS = 30


@dataclass
class Snippet:
    """A snippet that ran.

    Attributes:
        tree: its syntax tree, with the lines of the page.
        comments: its comments.
        first: the number of its first statement among those of the page.
        values: the value of each expression statement, by number.
        unraised: for each statement of which a comment says that it raises an error, and which does not, the error's name.
        ran: the number of its statements that were run.
    """

    tree: ast.Module
    comments: Comments
    first: int
    values: dict[int, Any] = field(default_factory=dict)
    assigned: dict[int, tuple[str, Any]] = field(default_factory=dict)
    unraised: dict[int, str] = field(default_factory=dict)
    ran: int = 0

    def statements(self) -> Iterator[tuple[int, ast.stmt]]:
        """Yield number and statement of those that were run."""
        yield from enumerate(self.tree.body[: self.ran], self.first)


class PageRun:
    """One run of a page's snippets in a shared namespace."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.expectations: list[Expectation] = []
        self.log = OutputLog(sys.stdout)
        self.pending: list[DocstringExamples] = []
        namespace["print"] = self.log.recording_print()

    def run(self, page: str) -> None:
        """Run every snippet of a page in order, then the docstrings' examples that had to wait for a later snippet."""
        blocks, lines = list(find_code_blocks(page)), page.split("\n")
        sys.stdout, stdout = self.log, sys.stdout
        try:
            for place, block in enumerate(blocks):
                if block.is_python:
                    following = blocks[place + 1] if place + 1 < len(blocks) else None
                    self._run_block(block, following, lines)
            for examples in self.pending:
                self.expectations += examples.run(self.namespace, final=True) or []
        finally:
            sys.stdout = stdout

    def report(self) -> list[list[Any]]:
        """Return what was stated and what it was, as lists for the host."""
        results = sorted((item for item in self.expectations if item.printed), key=lambda item: item.line)
        return [item.message() for item in results[:MAX_EXPECTATIONS]]

    def _run_block(self, block: CodeBlock, following: CodeBlock | None, lines: list[str]) -> None:
        text_below = "\n".join(lines[block.end : following.first_line - 1 if following else len(lines)])
        shown = following if following and following.may_be_output else None
        start = block.session_start()
        program = block.code if start is None else block.code[:start]
        announced = _first_paragraph(text_below) + "\n" + (shown.code if shown else "")
        if program.strip() and not self._run_program(program, block.first_line, announced):
            return
        if start is None:
            self.expectations += self._shown_below(block, shown, text_below)
            return
        before = block.first_line + program.count("\n")
        self.expectations += run_session(block.code[start:], before, self.namespace)

    def _run_program(self, code: str, lines_before: int, announced: str) -> bool:
        """Run a snippet that is no session; return whether it ran to its end or to the error that the page announces."""
        source = "\n" * lines_before + code
        try:
            tree = execution.parse_source(source, PAGE_FILE)
        except SyntaxError as error:
            if _names_error(code, error) or _names_error(announced, error):
                return False
            raise
        snippet = Snippet(tree, read_comments(source), self.log.statement + 1)
        ended = self._run_statements(snippet, announced)
        self.expectations += self._shown_in_comments(snippet)
        for examples in docstring_examples(tree) if ended else ():
            results = examples.run(self.namespace, final=False)
            if results is None:
                self.pending.append(examples)
            else:
                self.expectations += results
        return ended

    def _run_statements(self, snippet: Snippet, announced: str) -> bool:
        flags = _future_flags(snippet.tree)
        for statement in snippet.tree.body:
            self.log.statement += 1
            snippet.ran += 1
            about = _comments_about(statement, snippet.comments)
            try:
                self._run_statement(statement, flags, snippet)
            except Exception as error:
                if about and announces(about, error):
                    continue
                if _names_error(announced, error):
                    return False
                raise
            comment = snippet.comments.trailing.get(statement.end_lineno or 0, "")
            if (name := stated_error(comment)) and not isinstance(
                statement, (ast.Try, ast.FunctionDef, ast.ClassDef, ast.With)
            ):
                snippet.unraised[self.log.statement] = name
        return True

    def _run_statement(self, statement: ast.stmt, flags: int, snippet: Snippet) -> None:
        number = self.log.statement
        if isinstance(statement, ast.Expr):
            code = compile(ast.Expression(statement.value), PAGE_FILE, "eval", flags, dont_inherit=True)
            snippet.values[number] = eval(code, self.namespace)
            return
        exec(compile(ast.Module([statement], []), PAGE_FILE, "exec", flags, dont_inherit=True), self.namespace)
        target = _assigned_name(statement)
        if target:
            snippet.assigned[number] = (target, self.namespace.get(target))

    # -- What comments state

    def _shown_in_comments(self, snippet: Snippet) -> Iterator[Expectation]:
        prints = {call.end_lineno: call.lineno for call in ast.walk(snippet.tree) if _is_print(call)}
        by_last_line = {statement.end_lineno: number for number, statement in snippet.statements()}
        for line, comment in snippet.comments.trailing.items():
            number = by_last_line.get(line, 0)
            if number in snippet.unraised:
                yield Expectation(line, comment, ["no error"], "error")
                continue
            printed = self.log.of_lines(prints.get(line, line), line)
            if not printed and (output := self.log.of_statement(number) if number else ""):
                printed = [output]
            if printed:
                if not _is_own_name(comment, snippet.tree, line):
                    yield Expectation(line, comment, printed, "comment")
            elif number:
                yield from _value_expectation(snippet, number, line, comment)
        for group in snippet.comments.groups:
            yield from self._shown_in_group(snippet, group)

    def _shown_in_group(self, snippet: Snippet, group: CommentGroup) -> Iterator[Expectation]:
        """Yield what lines of comments may state about the output of what is above them."""
        text = "\n".join(group.lines)
        has_lead_in = bool(claims.HEADING.match(text))
        if group.column:
            above = _statement_above(snippet.tree, group)
            printed = self.log.of_lines(above.lineno, above.end_lineno or 0) if above else []
            if printed:
                single = printed if len(group.lines) == 1 else []
                yield Expectation(group.line, text, ["".join(printed), *single], "below")
            return
        done = [(number, item) for number, item in snippet.statements() if (item.end_lineno or 0) < group.line]
        if not done:
            return
        number, above = done[-1]
        adjacent = above.end_lineno == group.line - 1
        if not adjacent and not has_lead_in:
            return
        candidates = self._stretches(number, snippet.first) if self.log.of_statement(number) or has_lead_in else []
        if not candidates and snippet.values.get(number) is not None:
            candidates = [repr(snippet.values[number])]
        if not adjacent and (below := self.log.of_statement(number + 1)):
            candidates.append(below)
        if candidates:
            yield Expectation(group.line, text, candidates, "below")

    def _stretches(self, last: int, first: int) -> list[str]:
        """Return the output of the last statement that printed, of the last two, and so on, back to a first one."""
        stretches: list[str] = []
        outputs = [output for number in range(first, last + 1) if (output := self.log.of_statement(number))]
        for output in reversed(outputs[-_MAX_CANDIDATES:]):
            stretches.append(output + (stretches[-1] if stretches else ""))
        return stretches

    # -- What follows a snippet

    def _shown_below(self, block: CodeBlock, shown: CodeBlock | None, text_below: str) -> Iterator[Expectation]:
        candidates = self._stretches(self.log.statement, 1)
        paragraph = _first_paragraph(text_below)
        if not candidates:
            return
        candidates = [candidates[-1], *candidates[:-1]]
        line = block.end + 1
        if (match := claims.SAME_LINE.match(paragraph)) and not claims.HYPOTHETICAL.search(paragraph):
            yield Expectation(line, match["rest"].strip("*_` "), [*candidates, *self._lines(block)], "sentence")
        elif (match := claims.SENTENCE.match(paragraph)) and not claims.HYPOTHETICAL.search(match["rest"]):
            yield Expectation(line, match["text"], [*candidates, *self._lines(block)], "sentence")
        if shown is None or claims.TRACEBACK.search(shown.code) or ">>> " in shown.code or not shown.code.strip():
            return
        last = text_below.strip().split("\n\n")[-1]
        says_output = (
            bool(claims.SAYS_OUTPUT.search(last)) and len(last.split()) <= _MAX_LEAD_IN_WORDS and "\n#" not in f"\n{last}"
        )
        if not text_below.strip() or (says_output and not claims.HYPOTHETICAL.search(last)):
            marker = "Output:\n" if says_output or shown.language in ("output", "console", "stdout") else ""
            yield Expectation(shown.first_line + 1, marker + _without_command(shown.code), candidates, "block")

    def _lines(self, block: CodeBlock) -> list[str]:
        """Return the single lines that a snippet printed."""
        printed = self.log.of_lines(block.first_line + 1, block.end)
        return [line for text in printed for line in text.splitlines()]


def _first_paragraph(text: str) -> str:
    return text.strip().split("\n\n")[0].strip().strip("*_").strip()


def _without_command(output: str) -> str:
    """Return the output of a console without the command that it begins with (`$ python hello.py`)."""
    lines = output.split("\n")
    return "\n".join(lines[1:] if re.match(r"^\s*(?:\$|>|%)\s*\w", lines[0]) else lines)


def _names_error(text: str, error: BaseException) -> bool:
    return any(re.search(rf"\b{kind.__name__}\b", text) for kind in type(error).__mro__[:-3])


def _future_flags(tree: ast.Module) -> int:
    """Return the compiler flags of the `__future__` imports of a snippet, whose statements are compiled one by one."""
    names = [
        alias.name
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        for alias in statement.names
    ]
    features = (getattr(__future__, name, None) for name in names)
    return sum(feature.compiler_flag for feature in features if feature)


def _comments_about(statement: ast.stmt, comments: Comments) -> str:
    """Return the comments behind the lines of a statement and those directly above and below it."""
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    behind = [text for line, text in comments.trailing.items() if first <= line <= last]
    inside = [
        "\n".join(group.lines)
        for group in comments.groups
        if group.line + len(group.lines) == first or first < group.line <= last + 1
    ]
    return "\n".join([*behind, *inside])


def _is_print(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def _is_own_name(comment: str, tree: ast.Module, line: int) -> bool:
    """Return whether a comment is a name that its line uses."""
    return comment.isidentifier() and any(
        isinstance(node, ast.Name) and node.id == comment and node.lineno <= line <= (node.end_lineno or 0)
        for node in ast.walk(tree)
    )


def _assigned_name(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
            return name
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return name
    return None


def _value_expectation(snippet: Snippet, number: int, line: int, comment: str) -> Iterator[Expectation]:
    """Yield what a comment may state about a value that is not printed."""
    if number in snippet.assigned:
        name, value = snippet.assigned[number]
        stated = re.match(rf"^(?:(?:now )?{re.escape(name)} (?:is|==?|becomes)(?: now)?|[-=]+>|→)\s+(?P<value>.+)$", comment)
        if stated:
            yield Expectation(line, stated["value"], [repr(value), str(value)], "value")
    elif snippet.values.get(number) is not None:
        value = snippet.values[number]
        yield Expectation(line, comment, [repr(value), str(value)], "value")


def _statement_above(tree: ast.Module, group: CommentGroup) -> ast.stmt | None:
    """Return the statement that ends on the line above comments and begins at their indentation."""
    fitting = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.end_lineno == group.line - 1 and node.col_offset == group.column
    ]
    return fitting[0] if fitting else None


def run_page(text: str, report_fd: int, key: str) -> None:
    """Run a page and report how it ended, with what it states and what it was."""
    page = PageRun(vars(execution.create_module("__main__")))
    report = execution.attempt(lambda: page.run(text))
    snippets = sum(block.is_python for block in find_code_blocks(text))
    execution.send_report(report_fd, {**report, "expectations": page.report(), "snippets": snippets, "key": key})
    execution.exit_now()
