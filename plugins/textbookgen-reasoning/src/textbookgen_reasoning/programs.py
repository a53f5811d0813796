"""Straight-line programs over integers, and what their variables hold in the end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, Source, document_id
from textbookgen_reasoning.frames import framed

Language = Literal["python", "c"]

_STATEMENT = re.compile(r"(?:int )?(?P<target>\w) = (?P<left>\w|-?\d+)(?: (?P<sign>[-+*]) (?P<right>\w|-?\d+))?;?")


@dataclass(frozen=True)
class Assignment:
    """`target = left` or `target = left sign right`; operands are variables or integers, as text."""

    target: str
    left: str
    sign: str = ""
    right: str = ""

    def __str__(self) -> str:
        return f"{self.target} = {self.left} {self.sign} {self.right}" if self.sign else f"{self.target} = {self.left}"


def run(program: Iterable[Assignment]) -> dict[str, int]:
    """What each variable holds at the end.

    Raises:
        ValueError: a variable is read before it holds anything.
    """
    values: dict[str, int] = {}
    for item in program:
        left = _value(item.left, values)
        right = _value(item.right, values) if item.sign else 0
        values[item.target] = {"": left, "+": left + right, "-": left - right, "*": left * right}[item.sign]
    return values


def written(program: Iterable[Assignment], language: Language) -> str:
    """The program as text, a statement a line; in C a variable is declared where it first gets a value."""
    if language == "python":
        return "".join(f"{item}\n" for item in program)
    seen: set[str] = set()
    lines = []
    for item in program:
        lines.append(f"{item};\n" if item.target in seen else f"int {item};\n")
        seen.add(item.target)
    return "".join(lines)


def read(text: str) -> tuple[Assignment, ...]:
    """The program in a text of either language; `read(written(program, ...))` is the program again.

    Raises:
        ValueError: a line is no such statement.
    """
    result = []
    for line in text.strip().splitlines():
        statement = _STATEMENT.fullmatch(line.strip())
        if statement is None:
            raise ValueError(f"'{line}' is no statement of such a program")
        result.append(Assignment(statement["target"], statement["left"], statement["sign"] or "", statement["right"] or ""))
    return tuple(result)


class Programs(Source):
    """Writes straight-line programs and asks what one variable holds in the end.

    The paper on LEGO (arXiv 2206.04301) takes its findings from chains of assignments to the execution of C programs; its
    generator is not public, and this one is ours. Values stay below `largest` in size at every step. The cell is the number of
    statements that the answer hangs on. Column `reasoning.variables` names the variable asked about.
    """

    name: ClassVar[str] = "programs"

    count: int = Field(gt=0, description="programs")
    language: Language = Field("python", description="`python` or `c`")
    statements: int = Field(8, ge=1, description="statements of a program")
    variables: int = Field(4, ge=1, le=26, description="different variables at most")
    signs: tuple[Literal["+", "-", "*"], ...] = Field(("+", "-"), description="what statements reckon with")
    constant: int = Field(9, ge=0, description="the largest integer that is written out")
    largest: int = Field(99, ge=1, description="no value is larger than this, nor its negative")
    seed: int = Field(0, description="another seed makes other programs")

    def check(self) -> Iterable[Diagnostic]:
        """What keeps these options from going together."""
        if self.constant > self.largest:
            yield Diagnostic("constant", f"is above `largest`, {self.largest}")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Documents, at about six tokens a statement."""
        return Estimate(documents=self.count, tokens=6.0 * self.count * self.statements)

    def read(self) -> Iterator[pl.DataFrame]:
        """The programs, one a row."""
        return framed(map(self._row, range(self.count)), {"reasoning.variables": pl.List(pl.String())})

    def _row(self, n: int) -> dict[str, Any]:
        rng = Random(f"programs/{self.seed}/{n}")
        program = self._drawn(rng)
        values = run(program)
        variable = rng.choice(sorted(values))
        question = f"# {variable} =" if self.language == "python" else f"// {variable} =="
        prompt, answer = f"{written(program, self.language)}{question} ", f"{values[variable]}\n"
        return {
            "id": document_id("programs", self.model_dump_json(exclude={"count"}), n),
            "text": prompt + answer,
            "kind": "program",
            "reasoning.prompt": prompt,
            "reasoning.answer": answer,
            "reasoning.cell": f"{len(needed(program, variable)):02d} statements",
            "reasoning.variables": [variable],
        }

    def _drawn(self, rng: Random) -> tuple[Assignment, ...]:
        names = rng.sample(ascii_lowercase, self.variables)
        program: list[Assignment] = []
        values: dict[str, int] = {}
        while len(program) < self.statements:
            statement = self._statement(rng, names, sorted(values))
            after = run([*program, statement])
            if abs(after[statement.target]) <= self.largest:
                program.append(statement)
                values = after
        return tuple(program)

    def _statement(self, rng: Random, names: list[str], known: list[str]) -> Assignment:
        """A statement that reads only what is known: mostly from variables, once there are some."""

        def operand() -> str:
            return rng.choice(known) if known and rng.random() < 0.7 else str(rng.randint(0, self.constant))

        if not known or not self.signs or rng.random() < 0.2:
            return Assignment(rng.choice(names), operand())
        return Assignment(rng.choice(names), operand(), rng.choice(self.signs), operand())


def needed(program: Iterable[Assignment], variable: str) -> list[Assignment]:
    """The statements that a variable's last value hangs on, last first."""
    wanted, result = {variable}, []
    for item in reversed(list(program)):
        if item.target in wanted:
            wanted.discard(item.target)
            wanted |= {operand for operand in (item.left, item.right) if operand.isalpha()}
            result.append(item)
    return result


def _value(operand: str, values: dict[str, int]) -> int:
    if not operand.isalpha():
        return int(operand)
    if operand not in values:
        raise ValueError(f"'{operand}' is read before it holds anything")
    return values[operand]
