"""Code snippets of pages: short programs that are run, so that comments can show what each print prints."""

from __future__ import annotations

import ast
import builtins
import sys
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from string import Template

from textbookgen_procedural.names import NAMES
from textbookgen_procedural.value_types import WORDS

_MAX_LINE_LENGTH = 110  # characters of a line with its comment
_LOWERCASE = tuple(word for word in WORDS if word.islower() and len(word) > 2)
_PALINDROMES = ("level", "civic", "radar", "refer", "noon", "stats", "madam", "rotor", "kayak")


@dataclass(frozen=True)
class Snippet:
    """A template of a program.

    Attributes:
        introduction: the sentence before it on a page.
        slots: name and value kind of each slot.
        code: its lines, with `$NAME` for a slot.
    """

    introduction: str
    slots: tuple[tuple[str, str], ...]
    code: str

    def fill(self, rng: Random) -> dict[str, str]:
        """Draw values for its slots, as source text."""
        chosen: dict[str, str] = {}
        for slot, kind in self.slots:
            if kind == "word2":
                chosen[slot] = rng.choice([word for word in _LOWERCASE if word not in chosen.values()])
            else:
                chosen[slot] = slot_value(kind, rng)
        return chosen

    def program(self, values: dict[str, str]) -> str:
        """Return the program with its slots filled."""
        return Template(self.code).substitute(values)


def slot_value(kind: str, rng: Random) -> str:
    """Draw a value as source text; its kind is a word of the data file, such as `ints` or `small`."""
    if kind in _RANGES:
        return str(rng.randint(*_RANGES[kind]))
    if kind in _CHOICES:
        return rng.choice(_CHOICES[kind])
    if kind in ("words", "rewords"):
        words = rng.sample(_LOWERCASE, rng.randint(3, 4))
        if kind == "rewords":
            words.insert(rng.randrange(len(words) + 1), words[0])
        return str(words).replace("'", '"')
    if kind == "text":
        return " ".join(rng.sample(_LOWERCASE, rng.randint(2, 3)))
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
_CHOICES = {
    "word": _LOWERCASE,
    "lowword": _LOWERCASE,
    "name": NAMES,
    "letter": tuple("aeinorst"),
    "palin": _PALINDROMES,
}


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


def run_program(program: str) -> dict[int, list[str]]:
    """Run a program and return the lines that each top-level statement prints, by the line on which the statement begins.

    Programs come from this package's data only, never from a user.
    """
    tree = ast.parse(program)
    starts = {line: item.lineno for item in tree.body for line in range(item.lineno, (item.end_lineno or item.lineno) + 1)}
    printed: dict[int, list[str]] = {}

    def record(*values: object, sep: str = " ") -> None:
        frame = sys._getframe(1)
        while frame.f_code.co_name != "<module>" and frame.f_back is not None:
            frame = frame.f_back
        printed.setdefault(starts[frame.f_lineno], []).extend(sep.join(map(str, values)).splitlines() or [""])

    exec(compile(tree, "<snippet>", "exec"), {"__builtins__": {**vars(builtins), "print": record}, "__name__": "snippet"})
    return printed
