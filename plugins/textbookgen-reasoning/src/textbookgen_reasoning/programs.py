"""The stage `reasoning/programs`: straight-line programs, and the final value of one of their variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from string import ascii_lowercase
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, Source, document_id
from textbookgen_reasoning.rows import to_frames
from textbookgen_reasoning.straight_line import Assignment, Language, dependencies, execute, format_program


class Programs(Source):
    """Generates straight-line programs, and asks for the final value of one variable.

    The LEGO paper (arXiv 2206.04301) extends its findings from chains of assignments to the execution of C programs. Its
    generator is not public; this one is an independent design. Absolute values stay within `max_value` at every step. The
    cell is the number of statements that the answer depends on. The column `reasoning.variables` names the variable.
    """

    name: ClassVar[str] = "programs"
    version: ClassVar[int] = 2

    count: int = Field(gt=0, description="number of programs")
    language: Language = Field("python", description="`python` or `c`")
    statements: int = Field(8, ge=1, description="statements per program")
    variables: int = Field(4, ge=1, le=26, description="maximum number of different variables")
    operators: tuple[Literal["+", "-", "*"], ...] = Field(("+", "-"), description="operators used in statements")
    max_constant: int = Field(9, ge=0, description="largest integer literal")
    max_value: int = Field(99, ge=1, description="maximum absolute value of a variable at any step")
    seed: int = Field(0, description="random seed")

    def check(self) -> Iterable[Diagnostic]:
        """Report incompatible options."""
        if self.max_constant > self.max_value:
            yield Diagnostic("max_constant", f"is greater than `max_value`, {self.max_value}")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Estimate documents, and about six tokens per statement."""
        return Estimate(documents=self.count, tokens=6.0 * self.count * self.statements)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield the programs, one per row."""
        return to_frames(map(self._row, range(self.count)), {"reasoning.variables": pl.List(pl.String())})

    def _row(self, n: int) -> dict[str, Any]:
        rng = Random(f"programs/{self.seed}/{n}")
        program = self._generate(rng)
        values = execute(program)
        variable = rng.choice(sorted(values))
        question = f"# {variable} =" if self.language == "python" else f"// {variable} =="
        prompt, answer = f"{format_program(program, self.language)}{question} ", f"{values[variable]}\n"
        return {
            "id": document_id("programs", self.model_dump_json(exclude={"count"}), n),
            "text": prompt + answer,
            "kind": "program",
            "reasoning.prompt": prompt,
            "reasoning.answer": answer,
            "reasoning.cell": f"{len(dependencies(program, variable)):02d} statements",
            "reasoning.variables": [variable],
        }

    def _generate(self, rng: Random) -> tuple[Assignment, ...]:
        names = rng.sample(ascii_lowercase, self.variables)
        program: list[Assignment] = []
        values: dict[str, int] = {}
        while len(program) < self.statements:
            statement = self._statement(rng, names, sorted(values))
            after = execute([*program, statement])
            if abs(after[statement.target]) <= self.max_value:
                program.append(statement)
                values = after
        return tuple(program)

    def _statement(self, rng: Random, names: list[str], assigned: list[str]) -> Assignment:
        """Return a statement that reads assigned variables only, and mostly variables rather than literals."""

        def operand() -> str:
            return rng.choice(assigned) if assigned and rng.random() < 0.7 else str(rng.randint(0, self.max_constant))

        if not assigned or not self.operators or rng.random() < 0.2:
            return Assignment(rng.choice(names), operand())
        return Assignment(rng.choice(names), operand(), rng.choice(self.operators), operand())
