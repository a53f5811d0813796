"""Examples of a page: snippets with their slots filled, and versions of them with other values, names or mistakes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from textbookgen_procedural.code_in_words import without_hints
from textbookgen_procedural.code_snippets import (
    DEPENDENT_KINDS,
    Snippet,
    output_of,
    output_within_limits,
    slot_value,
    with_outputs,
)

_ATTEMPTS = 20
#: Slips in a line: what is written, and what it should not have been replaced by.
_SLIPS = (
    (" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "), (" == ", " != "), (" + ", " - "), (" - ", " + "),
    (" * ", " + "), (" // ", " % "), (" % ", " // "), (" and ", " or "), (" or ", " and "), (" += ", " = "), ("[0]", "[-1]"),
    ("[-1]", "[0]"), ("[1:]", "[:1]"), (" + 1", ""), (" - 1", ""), ("min(", "max("), ("max(", "min("), (" = 0", " = 1"),
    (" = 1", " = 0"), ("upper", "lower"), (" not ", " "), ("True", "False"), ("start=1", "start=0"), ("range(1, ", "range("),
)  # fmt: skip
_NUMBER = re.compile(r"(?<![\w.\"'])\d{1,2}(?![\w.\"'])")
_LISTS = ("ints", "five", "sorted", "mixed", "repeats", "words", "rewords", "distinct")


@dataclass(frozen=True)
class Example:
    """A snippet with its slots filled.

    Attributes:
        snippet: the template.
        values: the value of each slot, as source.
        has_hints: whether functions keep their type hints.
        words: words for further values.
    """

    snippet: Snippet
    values: dict[str, str]
    has_hints: bool = True
    words: tuple[str, ...] = ()

    def program(self, changed: dict[str, str] | None = None, *, variant: bool = False) -> str:
        """Return the program, with some values changed, or its variant."""
        source = self.snippet.program({**self.values, **(changed or {})}, variant=variant)
        return source if self.has_hints else without_hints(source)

    def markdown(self) -> str:
        """Return the program with its output, as Markdown."""
        return fenced(self.program())

    def output(self) -> list[str]:
        """Return the lines that it prints."""
        return output_of(self.program())


@dataclass(frozen=True)
class Change:
    """A value of an example replaced by another, and what the program then prints."""

    old: str
    new: str
    output: list[str]


@dataclass(frozen=True)
class Slip:
    """An example with a mistake: the program, the number of the wrong line, that line, and the right one."""

    program: str
    line: int
    wrong: str
    right: str


def fenced(program: str) -> str:
    """Return a program with its output in a code fence."""
    return f"```python\n{with_outputs(program)}\n```"


def change_value(rng: Random, example: Example, max_lines: int) -> Change | None:
    """Replace a value that occurs once in the program, so that it prints something else; None if no slot allows it."""
    slots = [(slot, kind) for slot, kind in example.snippet.slots if kind not in DEPENDENT_KINDS]
    rng.shuffle(slots)
    before, program = example.output(), example.program()
    for slot, kind in slots:
        old = example.values[slot]
        whole = re.compile(rf"(?<![\w.]){re.escape(old)}(?![\w.])")
        if program.count(old) != 1 and (len(whole.findall(program)) != 1 or not old.isdigit()):
            continue  # the reader could not tell which one is meant
        for _ in range(_ATTEMPTS):
            new = slot_value(kind, rng, example.words)
            if whole.sub(new.replace("\\", r"\\"), program) != example.program({slot: new}):
                continue
            output = output_within_limits(example.program({slot: new})) if new != old else None
            if output and output != before and len(output) <= max_lines and all(line.strip() for line in output):
                return Change(old, new, output)
    return None


def smallest_value(example: Example) -> tuple[str, str, str] | None:
    """Return the smallest value for a slot in place of the drawn one, as (old, new, program); None if no slot has one."""
    for slot, kind in example.snippet.slots:
        new = "[]" if kind in _LISTS else "0" if kind in ("small", "big", "large", "tiny", "three") else ""
        old = example.values[slot]
        if new and len(re.findall(rf"(?<![\w.]){re.escape(old)}(?![\w.])", example.program())) == 1:
            return old, new, example.program({slot: new})
    return None


def make_slip(rng: Random, example: Example) -> Slip | None:
    """Return the example with a mistake in one line that changes its output but raises no error; None if there is none."""
    program = example.program()
    wanted = output_of(program)
    candidates = [] if ">>> " in program else list(_slips(program))  # a docstring's examples would be wrong, too
    rng.shuffle(candidates)
    for slip in candidates:
        output = output_within_limits(slip.program)
        if output and output != wanted and len(output) <= 12 and all(len(line) < 90 for line in output):
            return slip
    return None


def _slips(program: str) -> Iterator[Slip]:
    lines = program.splitlines()
    inside = _string_lines(program)
    for number, line in enumerate(lines):
        if number + 1 in inside or line.lstrip().startswith(("print", "def ", "import ", "from ", "class ", "@", "#")):
            continue
        slips = [line.replace(right, wrong) for right, wrong in _SLIPS if line.count(right) == 1]
        if not re.fullmatch(r"\s*[\w, ]+ = [^a-z]*", line):  # data alone is not right or wrong
            slips += (line[: match.start()] + str(int(match[0]) + 1) + line[match.end() :] for match in _NUMBER.finditer(line))
        for changed in slips:
            yield Slip("\n".join([*lines[:number], changed, *lines[number + 1 :]]) + "\n", number + 1, changed, line)


def _string_lines(program: str) -> set[int]:
    """Return the lines of docstrings."""
    docstrings = (
        node.body[0]
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node)
    )
    return {line for node in docstrings for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def code_lines(program: str) -> list[str]:
    """Return the lines of a program without blank ones and docstrings."""
    inside = _string_lines(program)
    return [line for number, line in enumerate(program.splitlines(), 1) if line.strip() and number not in inside]


def as_function(example: Example, further: tuple[str, ...] = ()) -> str | None:
    """Return the program of an example as a function of the value in its first line, called with that value and with others.

    None if the first line names no value, if there are definitions or imports, or if the calls print something else.
    """
    program = example.program()
    head, *body = program.splitlines()
    match = re.fullmatch(r"(\w+) = (.+)", head)
    if match is None or not body or re.search(r"^(?:def|class|import|from) ", program, re.MULTILINE):
        return None
    lines = "\n".join(f"    {line}" if line else "" for line in body)
    calls = "\n".join(f"show({value})" for value in (match[2], *further))
    function = f"def show({match[1]}):\n{lines}\n\n{calls}\n"
    output = output_within_limits(function)
    return function if output and output[: len(example.output())] == example.output() else None
