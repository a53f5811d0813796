"""Chains of assignments under a group, as text: written, read back, and solved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from textbookgen_reasoning.groups import Group

Notation = Literal["symbols", "words"]


@dataclass(frozen=True)
class Clause:
    """A variable is an action on another variable, or (`of` is None) a value."""

    variable: str
    action: str
    of: str | None


@dataclass(frozen=True)
class Puzzle:
    """Clauses in the order they are told, and questions with their answers in the order they are asked."""

    clauses: tuple[Clause, ...]
    questions: tuple[tuple[str, str], ...] = ()


def solve(clauses: Iterable[Clause], group: Group) -> dict[str, str]:
    """The value of every variable, found by following the chain of each; clauses may come in any order.

    Raises:
        ValueError: a variable hangs on one that has no clause, or on itself.
    """
    by_variable = {clause.variable: clause for clause in clauses}
    values: dict[str, str] = {}
    for variable in by_variable:
        waiting = [by_variable[variable]]
        while waiting[-1].of is not None and waiting[-1].of not in values:
            if waiting[-1].of not in by_variable or len(waiting) > len(by_variable):
                raise ValueError(f"'{variable}' hangs on '{waiting[-1].of}', which has no value")
            waiting.append(by_variable[waiting[-1].of])
        for clause in reversed(waiting):
            values[clause.variable] = clause.action if clause.of is None else group.act(clause.action, values[clause.of])
    return values


def told(puzzle: Puzzle, group: Group, notation: Notation) -> str:
    """The clauses as text: `a=+1; b=-a;` in symbols, `a = val 1 , b = not a ,` in words (of Z2 alone)."""
    return " ".join(_clause(clause, group, notation) for clause in puzzle.clauses)


def asked(variable: str, notation: Notation) -> str:
    """A question as text, up to where its answer stands."""
    return f"?{variable}=" if notation == "symbols" else f"? {variable} = "


def answered(value: str, notation: Notation) -> str:
    """An answer as text."""
    return f"{value};" if notation == "symbols" else f"{_bit(value)} ,"


def written(puzzle: Puzzle, group: Group, notation: Notation) -> str:
    """The whole puzzle as text: clauses, then questions with answers."""
    questions = (asked(variable, notation) + answered(value, notation) for variable, value in puzzle.questions)
    return " ".join([told(puzzle, group, notation), *questions])


def read(text: str, group: Group, notation: Notation) -> Puzzle:
    """The puzzle from its text; `read(written(puzzle, ...), ...)` is the puzzle again.

    Raises:
        ValueError: part of the text is neither a clause nor an answered question.
    """
    clauses: list[Clause] = []
    questions: list[tuple[str, str]] = []
    for part in filter(None, (item.strip() for item in re.split(";" if notation == "symbols" else ",", text))):
        if part.startswith("?"):
            variable, _, value = part.removeprefix("?").partition("=")
            questions.append((variable.strip(), value.strip() if notation == "symbols" else _sign(value.strip())))
        else:
            clauses.append(_read_clause(part, group, notation))
    known = {clause.variable for clause in clauses}
    if odd := [variable for variable, value in questions if variable not in known or value not in group.elements]:
        raise ValueError(f"the question about '{odd[0]}' cannot be read")
    return Puzzle(tuple(clauses), tuple(questions))


def _clause(clause: Clause, group: Group, notation: Notation) -> str:
    action, of = clause.action, clause.of
    if notation == "words":
        right = f"val {_bit(action)}" if of is None else f"{'val' if action == '+1' else 'not'} {of}"
        return f"{clause.variable} = {right} ,"
    if of is None:
        return f"{clause.variable}={action};"
    if group.name == "Z2":
        return f"{clause.variable}={action[0]}{of};"
    return f"{clause.variable}={action}*{of};" if group.name == "S3" else f"{clause.variable}={of}+{action};"


def _read_clause(part: str, group: Group, notation: Notation) -> Clause:
    variable, equals, right = (item.strip() for item in part.partition("="))
    if notation == "words":
        result = _from_words(right)
    elif right in group.elements:
        result = (right, None)
    elif group.name == "Z2":
        result = (f"{right[:1]}1", right[1:])
    elif group.name == "S3":
        result = (right.partition("*")[0], right.partition("*")[2])
    else:
        result = (right.partition("+")[2], right.partition("+")[0])
    if (
        not equals
        or not variable.isalpha()
        or result[0] not in group.elements
        or not (result[1] is None or result[1].isalpha())
    ):
        raise ValueError(f"'{part}' is no clause")
    return Clause(variable, *result)


_WORDS: Mapping[str, str] = {"val": "+1", "not": "-1"}


def _from_words(right: str) -> tuple[str, str | None]:
    word, _, what = right.partition(" ")
    return (_sign(what), None) if word == "val" and what in ("0", "1") else (_WORDS.get(word, ""), what)


def _bit(sign: str) -> str:
    return "1" if sign == "+1" else "0"


def _sign(bit: str) -> str:
    return {"1": "+1", "0": "-1"}.get(bit, "")
