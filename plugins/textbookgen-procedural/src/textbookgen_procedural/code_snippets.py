"""Code snippets of pages: programs with slots, filled for an audience, that are run to find what each print prints."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from random import Random
from string import Template
from types import FrameType
from typing import Any

from textbookgen_procedural.names import NAMES
from textbookgen_procedural.value_types import WORDS

FILE = "<snippet>"
_MAX_LINE_LENGTH = 110  # characters of a line with its comment
_MAX_LINES_RUN = 20_000  # of a changed program, which might not end
_LOWERCASE = tuple(word for word in WORDS if word.islower() and len(word) > 2)
_PALINDROMES = ("level", "civic", "radar", "refer", "noon", "stats", "madam", "rotor", "kayak")
#: Kinds of slot whose value depends on another slot.
DEPENDENT_KINDS = frozenset(("word2", "index"))


class EndlessProgramError(RuntimeError):
    """A program ran more lines than it may."""


@dataclass(frozen=True)
class Snippet:
    """A template of a program.

    Attributes:
        introduction: the sentence before it on a page.
        slots: name and value kind of each slot: a word of `slot_value`, or the values to choose from, with `|` between them.
        code: its lines, with `$NAME` for a slot.
        variant_introduction: what is said of another program with the same output; empty if there is none.
        variant: that program.
    """

    introduction: str
    slots: tuple[tuple[str, str], ...]
    code: str = ""
    variant_introduction: str = ""
    variant: str = ""

    def with_line(self, line: str) -> Snippet:
        """Return the template with one more line, of the variant if that has begun."""
        if self.variant_introduction:
            return replace(self, variant=f"{self.variant}{line}\n")
        return replace(self, code=f"{self.code}{line}\n")

    @cached_property
    def size(self) -> int:
        """The number of nodes of its syntax tree."""
        return sum(1 for _ in ast.walk(ast.parse(self.program({slot: "1" for slot, _ in self.slots}))))

    def fill(self, rng: Random, words: Sequence[str] = ()) -> dict[str, str]:
        """Draw values for its slots, as source text; words come from a list that suits the reader."""
        chosen: dict[str, str] = {}
        for slot, kind in self.slots:
            if kind == "word2":
                chosen[slot] = rng.choice([word for word in words or _LOWERCASE if word not in chosen.values()])
            else:
                chosen[slot] = slot_value(kind, rng, words)
        return chosen

    def program(self, values: dict[str, str], *, variant: bool = False) -> str:
        """Return the program, or its variant, with its slots filled."""
        return Template(self.variant if variant else self.code).substitute(values)


def slot_value(kind: str, rng: Random, words: Sequence[str] = ()) -> str:
    """Draw a value as source text; its kind is a word of the data files, such as `ints` or `small`, or a choice `a|b|c`."""
    if "|" in kind:
        return rng.choice(kind.split("|"))
    if kind in _RANGES:
        return str(rng.randint(*_RANGES[kind]))
    if kind in ("word", "lowword"):
        return rng.choice(words or _LOWERCASE)
    if kind in _CHOICES:
        return rng.choice(_CHOICES[kind])
    if kind in ("words", "rewords"):
        chosen_words = rng.sample(words or _LOWERCASE, rng.randint(3, 4))
        if kind == "rewords":
            chosen_words.insert(rng.randrange(len(chosen_words) + 1), chosen_words[0])
        return str(chosen_words).replace("'", '"')
    if kind == "text":
        return " ".join(rng.sample(words or _LOWERCASE, rng.randint(2, 3)))
    return str(_numbers(kind, rng))


_RANGES = {
    "small": (2, 9),
    "tiny": (2, 4),
    "three": (3, 7),
    "big": (12, 99),
    "large": (120, 999),
    "signed": (-20, 20),
    "index": (0, 3),
}
_CHOICES = {"name": NAMES, "letter": tuple("aeinorst"), "palin": _PALINDROMES}


def _numbers(kind: str, rng: Random) -> list[int]:
    if kind == "five":
        return [rng.randint(1, 20) for _ in range(5)]
    if kind == "mixed":
        return [rng.randint(1, 9), *(rng.randint(-9, 12) for _ in range(3)), -rng.randint(1, 9)]
    if kind == "repeats":
        numbers = [rng.randint(1, 9) for _ in range(4)]
        return [*numbers, rng.choice(numbers)]
    numbers = rng.sample(range(1, 25), rng.randint(4, 6))
    return sorted(numbers) if kind == "sorted" else numbers


@lru_cache(maxsize=4096)
def with_outputs(program: str) -> str:
    """Return a program with its output as comments: behind a statement that printed one line, below any other."""
    printed = run_program(program)
    lines = program.splitlines()
    for statement in reversed(ast.parse(program).body):
        output = printed.get(statement.lineno)
        if output is None or statement.end_lineno is None:
            continue
        last = statement.end_lineno - 1
        if (
            len(output) == 1
            and statement.end_lineno == statement.lineno
            and len(lines[last]) + len(output[0]) + 4 <= _MAX_LINE_LENGTH
        ):
            lines[last] += f"  # {output[0]}"
        else:
            lines[last + 1 : last + 1] = [f"# {line}" for line in output]
    return "\n".join(lines)


def run_program(program: str, namespace: dict[str, Any] | None = None) -> dict[int, list[str]]:
    """Run a program and return the lines that each top-level statement prints, by the line on which the statement begins.

    Programs come from this package's data only, never from a user.

    Args:
        program: the program.
        namespace: receives the program's names.
    """
    return run_tree(ast.parse(program), {} if namespace is None else namespace)


def run_tree(tree: ast.Module, namespace: dict[str, Any]) -> dict[int, list[str]]:
    """Run a syntax tree in a namespace, as `run_program` does."""
    starts = {line: item.lineno for item in tree.body for line in range(item.lineno, (item.end_lineno or item.lineno) + 1)}
    printed: dict[int, list[str]] = {}

    def record(*values: object, sep: str = " ") -> None:
        frame = sys._getframe(1)
        while frame.f_code.co_name != "<module>" and frame.f_back is not None:
            frame = frame.f_back
        printed.setdefault(starts[frame.f_lineno], []).extend(sep.join(map(str, values)).splitlines() or [""])

    namespace |= {"__builtins__": {**vars(builtins), "print": record}, "__name__": "snippet"}
    exec(compile(tree, FILE, "exec", dont_inherit=True), namespace)
    return printed


def output_of(program: str) -> list[str]:
    """Return all lines that a program prints."""
    return [line for lines in run_program(program).values() for line in lines]


@dataclass
class Moment:
    """The state of a program before it runs a line.

    Attributes:
        line: the line, from 1.
        function: the name of the function it is in; `<module>` outside all.
        values: names and values there, as source.
    """

    line: int
    function: str
    values: dict[str, str]


def trace_program(program: str, *, with_values: bool = True) -> list[Moment]:
    """Return each moment of a run.

    Raises:
        EndlessProgramError: the program runs more than 20,000 lines.
    """
    moments: list[Moment] = []

    def watch(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != FILE:
            return None
        if event in ("line", "return"):
            if len(moments) > _MAX_LINES_RUN:
                raise EndlessProgramError("the program runs too many lines")
            if event == "line" or frame.f_code.co_name == "<module>":
                values = _visible(frame) if with_values else {}
                moments.append(Moment(frame.f_lineno, frame.f_code.co_name, values))
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        run_program(program)
    finally:
        sys.settrace(before)
    return moments


def _visible(frame: FrameType) -> dict[str, str]:
    plain = (int, float, str, bool, list, tuple, dict, set, type(None))
    return {
        name: repr(value)
        for name, value in frame.f_locals.items()
        if isinstance(value, plain) and not name.startswith("_") and len(repr(value)) <= 60
    }


def output_within_limits(program: str) -> list[str] | None:
    """Return the lines that a changed program prints, or None if it fails or runs too long."""
    try:
        trace_program(program, with_values=False)
        return output_of(program)
    except Exception:
        return None
