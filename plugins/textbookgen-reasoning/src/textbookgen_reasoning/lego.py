"""The stage `reasoning/lego`: LEGO (Learning Equality and Group Operations), chains of variables to resolve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from string import ascii_lowercase
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from textbookgen import Diagnostic, Estimate, Source, document_id
from textbookgen_reasoning.groups import group
from textbookgen_reasoning.puzzles import (
    Clause,
    Notation,
    Puzzle,
    format_answer,
    format_clauses,
    format_puzzle,
    format_question,
    solve,
)
from textbookgen_reasoning.rows import to_frames


class Lego(Source):
    """Generates chains such as `a=+1; d=-f; b=-a; f=+b; ?b=-1; ?d=+1;` (arXiv 2206.04301).

    Each chain starts with a value; every further variable is a group element applied to the variable before. Clauses are
    shuffled, names are drawn from the 26 letters. Questions are about the first `supervised` variables of a chain: train with
    fewer than `variables` and test with all to measure whether the model generalizes along the chain. The paper's encoder
    predicts each variable's value at its clause: use `layout = "clauses"` and the column of values for that.

    Columns: `reasoning.prompt`, `reasoning.answer`, `reasoning.cell` (the place in the chain, or the length of the chain),
    `reasoning.variables` and `reasoning.values` (of all variables, chain by chain in order, distractors last).
    """

    name: ClassVar[str] = "lego"
    version: ClassVar[int] = 2

    count: int = Field(gt=0, description="number of puzzles")
    variables: int = Field(12, ge=1, le=26, description="variables per chain")
    min_variables: int | None = Field(
        None, ge=1, description="for chains of mixed lengths: minimum length, drawn uniformly up to `variables`"
    )
    supervised: int = Field(6, ge=1, description="ask about this many variables of each chain, from its start")
    chains: int = Field(1, ge=1, description="independent chains per puzzle")
    distractors: int = Field(0, ge=0, description="further variables that depend on a chain and are never asked about")
    group: str = Field("Z2", description="the group: Z2 (signs, as in the paper), Z3, Z4 and so on, or S3")
    notation: Notation = Field("symbols", description="`symbols`: `b=-a;`; `words` (Z2 only): `b = not a ,`")
    shuffle: bool = Field(True, description="shuffle the clauses")
    layout: Literal["all", "each", "clauses"] = Field(
        "all",
        description="`all` questions after the clauses, one document for `each` question, or `clauses` without questions",
    )
    question_order: Literal["shuffled", "chain"] = Field(
        "shuffled",
        description="order of the questions: `shuffled`, or as in the `chain`, so that a decoder that answers `all` can "
        "build on its previous answer",
    )
    seed: int = Field(0, description="random seed")

    @field_validator("group")
    @classmethod
    def _validate_group(cls, name: str) -> str:
        group(name)
        return name

    def check(self) -> Iterable[Diagnostic]:
        """Report incompatible options."""
        letters = len(ascii_lowercase)
        if self.chains * self.variables + self.distractors > letters:
            yield Diagnostic("variables", f"a puzzle would need more than {letters} variables", f"use at most {letters} in all")
        if self.supervised > self.variables:
            yield Diagnostic("supervised", f"is greater than `variables`, {self.variables}")
        if self.min_variables is not None and self.min_variables > self.variables:
            yield Diagnostic("min_variables", f"is greater than `variables`, {self.variables}")
        if self.notation == "words" and self.group != "Z2":
            yield Diagnostic("notation", "`words` is available for Z2 only", 'use notation = "symbols"')

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Estimate documents, and about ten tokens per variable."""
        documents = self.count * (self.chains * self.supervised if self.layout == "each" else 1)
        return Estimate(documents=documents, tokens=documents * 10.0 * self.variables * self.chains)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield the puzzles, one or more rows each."""
        return to_frames((row for n in range(self.count) for row in self._rows(n)), _COLUMNS)

    def _rows(self, n: int) -> Iterator[dict[str, Any]]:
        rng = Random(f"lego/{self.seed}/{n}")
        chains, clauses = self._generate(rng)
        values = solve(clauses, group(self.group))
        if self.shuffle:
            rng.shuffle(clauses)
        places = [(variable, place) for chain in chains for place, variable in enumerate(chain[: self.supervised])]
        if self.question_order == "shuffled":
            rng.shuffle(places)
        puzzle = Puzzle(tuple(clauses), tuple((variable, values[variable]) for variable, _ in places))
        in_chains = [variable for chain in chains for variable in chain]
        order = [*in_chains, *sorted(values.keys() - set(in_chains))]
        columns = {"reasoning.variables": order, "reasoning.values": [values[variable] for variable in order]}
        for index, row in enumerate(self._texts(puzzle, places, max(map(len, chains)))):
            yield {"id": document_id("lego", self.model_dump_json(exclude={"count"}), n, index), **row, **columns}

    def _generate(self, rng: Random) -> tuple[list[list[str]], list[Clause]]:
        """Return chains of variables, and the clauses that define them, in order."""
        letters = rng.sample(ascii_lowercase, len(ascii_lowercase))
        elements = group(self.group).elements
        chains: list[list[str]] = []
        clauses: list[Clause] = []
        for _ in range(self.chains):
            length = rng.randint(self.min_variables, self.variables) if self.min_variables else self.variables
            chain = [letters.pop() for _ in range(length)]
            chains.append(chain)
            before: list[str | None] = [None, *chain]
            clauses += [Clause(variable, rng.choice(elements), of) for variable, of in zip(chain, before, strict=False)]
        in_chains = [variable for chain in chains for variable in chain]
        clauses += [Clause(letters.pop(), rng.choice(elements), rng.choice(in_chains)) for _ in range(self.distractors)]
        return chains, clauses

    def _texts(self, puzzle: Puzzle, places: list[tuple[str, int]], max_length: int) -> Iterator[dict[str, Any]]:
        clauses = format_clauses(puzzle, group(self.group), self.notation)
        match self.layout:
            case "clauses":
                yield _row(clauses, "", f"length {max_length:02d}")
            case "all":
                text = format_puzzle(puzzle, group(self.group), self.notation)
                yield _row(clauses + " ", text[len(clauses) + 1 :], f"length {max_length:02d}")
            case "each":
                for (variable, value), (_, place) in zip(puzzle.questions, places, strict=True):
                    prompt = f"{clauses} {format_question(variable, self.notation)}"
                    yield _row(prompt, format_answer(value, self.notation), f"place {place:02d}")


def _row(prompt: str, answer: str, cell: str) -> dict[str, Any]:
    return {
        "text": prompt + answer,
        "kind": "lego",
        "reasoning.prompt": prompt,
        "reasoning.answer": answer,
        "reasoning.cell": cell,
    }


_COLUMNS: dict[str, pl.DataType] = {
    "reasoning.variables": pl.List(pl.String()),
    "reasoning.values": pl.List(pl.String()),
}
