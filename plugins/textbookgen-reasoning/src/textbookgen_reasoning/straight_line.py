"""Straight-line programs over integers: execution, dependencies, and conversion to text and back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Language = Literal["python", "c"]

_STATEMENT = re.compile(r"(?:int )?(?P<target>\w) = (?P<left>\w|-?\d+)(?: (?P<operator>[-+*]) (?P<right>\w|-?\d+))?;?")


@dataclass(frozen=True)
class Assignment:
    """`target = left` or `target = left operator right`; operands are variables or integers, as text."""

    target: str
    left: str
    operator: str = ""
    right: str = ""

    def __str__(self) -> str:
        return f"{self.target} = {self.left} {self.operator} {self.right}" if self.operator else f"{self.target} = {self.left}"


def execute(program: Iterable[Assignment]) -> dict[str, int]:
    """Return the final value of each variable.

    Raises:
        ValueError: A variable is read before it is assigned.
    """
    values: dict[str, int] = {}
    for statement in program:
        left = _evaluate(statement.left, values)
        right = _evaluate(statement.right, values) if statement.operator else 0
        results = {"": left, "+": left + right, "-": left - right, "*": left * right}
        values[statement.target] = results[statement.operator]
    return values


def _evaluate(operand: str, values: dict[str, int]) -> int:
    if not operand.isalpha():
        return int(operand)
    if operand not in values:
        raise ValueError(f"'{operand}' is read before it is assigned")
    return values[operand]


def format_program(program: Iterable[Assignment], language: Language) -> str:
    """Return the program as text, one statement per line; in C, variables are declared at their first assignment."""
    if language == "python":
        return "".join(f"{statement}\n" for statement in program)
    declared: set[str] = set()
    lines = []
    for statement in program:
        lines.append(f"{statement};\n" if statement.target in declared else f"int {statement};\n")
        declared.add(statement.target)
    return "".join(lines)


def parse_program(text: str) -> tuple[Assignment, ...]:
    """Parse a program in either language; the inverse of `format_program`.

    Raises:
        ValueError: A line is not an assignment of this form.
    """
    program = []
    for line in text.strip().splitlines():
        match = _STATEMENT.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"invalid statement '{line}'")
        program.append(Assignment(match["target"], match["left"], match["operator"] or "", match["right"] or ""))
    return tuple(program)


def dependencies(program: Iterable[Assignment], variable: str) -> list[Assignment]:
    """Return the statements that the final value of a variable depends on, last first."""
    needed, statements = {variable}, []
    for statement in reversed(list(program)):
        if statement.target in needed:
            needed.discard(statement.target)
            needed |= {operand for operand in (statement.left, statement.right) if operand.isalpha()}
            statements.append(statement)
    return statements
