"""LEGO puzzles: chains of assignments under a group. Solves them, and converts them to text and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from textbookgen_reasoning.groups import Group

Notation = Literal["symbols", "words"]


@dataclass(frozen=True)
class Clause:
    """A variable is an action applied to another variable, or a value if `of` is None."""

    variable: str
    action: str
    of: str | None


@dataclass(frozen=True)
class Puzzle:
    """Clauses, and questions as pairs of a variable and its value, each in the order of the text."""

    clauses: tuple[Clause, ...]
    questions: tuple[tuple[str, str], ...] = ()


def solve(clauses: Iterable[Clause], group: Group) -> dict[str, str]:
    """Return the value of every variable; clauses may come in any order.

    Raises:
        ValueError: A variable depends on one without a clause, or on itself.
    """
    by_variable = {clause.variable: clause for clause in clauses}
    values: dict[str, str] = {}
    for variable in by_variable:
        pending = [by_variable[variable]]
        while pending[-1].of is not None and pending[-1].of not in values:
            if pending[-1].of not in by_variable or len(pending) > len(by_variable):
                raise ValueError(f"'{variable}' depends on '{pending[-1].of}', which has no value")
            pending.append(by_variable[pending[-1].of])
        for clause in reversed(pending):
            values[clause.variable] = clause.action if clause.of is None else group.act(clause.action, values[clause.of])
    return values


def format_clauses(puzzle: Puzzle, group: Group, notation: Notation) -> str:
    """Return the clauses as text: `a=+1; b=-a;` in symbols, `a = val 1 , b = not a ,` in words (Z2 only)."""
    return " ".join(_format_clause(clause, group, notation) for clause in puzzle.clauses)


def format_question(variable: str, notation: Notation) -> str:
    """Return a question as text, up to the answer."""
    return f"?{variable}=" if notation == "symbols" else f"? {variable} = "


def format_answer(value: str, notation: Notation) -> str:
    """Return an answer as text."""
    return f"{value};" if notation == "symbols" else f"{_bit(value)} ,"


def format_puzzle(puzzle: Puzzle, group: Group, notation: Notation) -> str:
    """Return a puzzle as text: the clauses, then the questions with their answers."""
    questions = (format_question(variable, notation) + format_answer(value, notation) for variable, value in puzzle.questions)
    return " ".join([format_clauses(puzzle, group, notation), *questions])


def parse_puzzle(text: str, group: Group, notation: Notation) -> Puzzle:
    """Parse a puzzle; the inverse of `format_puzzle`.

    Raises:
        ValueError: Part of the text is neither a clause nor an answered question.
    """
    clauses: list[Clause] = []
    questions: list[tuple[str, str]] = []
    for part in filter(None, (piece.strip() for piece in re.split(";" if notation == "symbols" else ",", text))):
        if part.startswith("?"):
            variable, _, value = part.removeprefix("?").partition("=")
            questions.append((variable.strip(), value.strip() if notation == "symbols" else _sign(value.strip())))
        else:
            clauses.append(_parse_clause(part, group, notation))
    variables = {clause.variable for clause in clauses}
    invalid = [variable for variable, value in questions if variable not in variables or value not in group.elements]
    if invalid:
        raise ValueError(f"invalid question about '{invalid[0]}'")
    return Puzzle(tuple(clauses), tuple(questions))


def _format_clause(clause: Clause, group: Group, notation: Notation) -> str:
    action, of = clause.action, clause.of
    if notation == "words":
        right = f"val {_bit(action)}" if of is None else f"{'val' if action == '+1' else 'not'} {of}"
        return f"{clause.variable} = {right} ,"
    if of is None:
        return f"{clause.variable}={action};"
    if group.name == "Z2":
        return f"{clause.variable}={action[0]}{of};"
    return f"{clause.variable}={action}*{of};" if group.name == "S3" else f"{clause.variable}={of}+{action};"


def _parse_clause(part: str, group: Group, notation: Notation) -> Clause:
    variable, equals, right = (piece.strip() for piece in part.partition("="))
    action, of = _parse_right_side(right, group, notation)
    if not equals or not variable.isalpha() or action not in group.elements or not (of is None or of.isalpha()):
        raise ValueError(f"invalid clause '{part}'")
    return Clause(variable, action, of)


def _parse_right_side(right: str, group: Group, notation: Notation) -> tuple[str, str | None]:
    """Return the action and the variable it is applied to, not validated."""
    if notation == "words":
        word, _, operand = right.partition(" ")
        return (_sign(operand), None) if word == "val" and operand in ("0", "1") else (_ACTIONS.get(word, ""), operand)
    if right in group.elements:
        return right, None
    if group.name == "Z2":
        return f"{right[:1]}1", right[1:]
    if group.name == "S3":
        action, _, operand = right.partition("*")
    else:
        operand, _, action = right.partition("+")
    return action, operand


_ACTIONS: Mapping[str, str] = {"val": "+1", "not": "-1"}


def _bit(sign: str) -> str:
    return "1" if sign == "+1" else "0"


def _sign(bit: str) -> str:
    return {"1": "+1", "0": "-1"}.get(bit, "")
