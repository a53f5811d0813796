"""LEGO, the synthetic task of learning equality and group operations: chains of variables to be followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from string import ascii_lowercase
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from textbookgen import Diagnostic, Estimate, Source, document_id
from textbookgen_reasoning.chains import Clause, Notation, Puzzle, answered, asked, solve, told, written
from textbookgen_reasoning.frames import framed
from textbookgen_reasoning.groups import group


class Lego(Source):
    """Writes chains such as `a=+1; d=-f; b=-a; f=+b; ?b=-1; ?d=+1;` (arXiv 2206.04301).

    Each chain starts from a value; every further variable is a group element applied to the one before. Clauses are
    shuffled, names are drawn from the 26 letters. Questions are asked about the first `supervised` variables of a chain:
    train with fewer than `variables` and test with all, and you measure whether the model extrapolates along the chain.
    The paper's encoder reads each variable's value off its clause: `layout = "clauses"` and the column of values serve it.

    Columns: `reasoning.prompt`, `reasoning.answer`, `reasoning.cell` (the place in the chain, or the length of the chain),
    `reasoning.variables` and `reasoning.values` (of every variable, chain by chain in order, distractors last).
    """

    name: ClassVar[str] = "lego"

    count: int = Field(gt=0, description="puzzles")
    variables: int = Field(12, ge=1, le=26, description="variables of a chain")
    shortest: int | None = Field(
        None, ge=1, description="chains of mixed lengths: from so many variables to `variables`, evenly"
    )
    supervised: int = Field(6, ge=1, description="questions are about so many variables of each chain, the first ones")
    chains: int = Field(1, ge=1, description="independent chains in one puzzle")
    distractors: int = Field(0, ge=0, description="further variables that hang on a chain and are never asked about")
    group: str = Field("Z2", description="the group: Z2 (signs, as in the paper), Z3, Z4 and so on, or S3")
    notation: Notation = Field("symbols", description="`symbols`: `b=-a;`; `words`: `b = not a ,` (of Z2 alone)")
    shuffle: bool = Field(True, description="tell the clauses in random order")
    layout: Literal["all", "each", "clauses"] = Field(
        "all", description="`all` questions behind the clauses, a document for `each` question, or `clauses` without questions"
    )
    questions: Literal["shuffled", "chain"] = Field(
        "shuffled",
        description="the order of questions: `shuffled`, or as in the `chain`, so that a decoder that answers `all` "
        "can go on from its own last answer",
    )
    seed: int = Field(0, description="another seed makes other puzzles")

    @field_validator("group")
    @classmethod
    def _known_group(cls, name: str) -> str:
        group(name)
        return name

    def check(self) -> Iterable[Diagnostic]:
        """What keeps these options from going together."""
        if self.chains * self.variables + self.distractors > len(ascii_lowercase):
            yield Diagnostic("variables", "a puzzle has more variables than there are letters", "at most 26 in all")
        if self.supervised > self.variables:
            yield Diagnostic("supervised", f"a chain has only {self.variables} variables")
        if self.shortest is not None and self.shortest > self.variables:
            yield Diagnostic("shortest", f"is longer than the longest chain, {self.variables}")
        if self.notation == "words" and self.group != "Z2":
            yield Diagnostic("notation", "`words` are for Z2 alone", 'use notation = "symbols"')

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Documents, at about ten tokens a variable."""
        documents = self.count * (self.chains * self.supervised if self.layout == "each" else 1)
        return Estimate(documents=documents, tokens=documents * 10.0 * self.variables * self.chains)

    def read(self) -> Iterator[pl.DataFrame]:
        """The puzzles, one or more rows each."""
        return framed((row for n in range(self.count) for row in self._rows(n)), _COLUMNS)

    def _rows(self, n: int) -> Iterator[dict[str, Any]]:
        rng = Random(f"lego/{self.seed}/{n}")
        chains, clauses = self._drawn(rng)
        values = solve(clauses, group(self.group))
        if self.shuffle:
            rng.shuffle(clauses)
        places = [(variable, place) for chain in chains for place, variable in enumerate(chain[: self.supervised])]
        if self.questions == "shuffled":
            rng.shuffle(places)
        puzzle = Puzzle(tuple(clauses), tuple((variable, values[variable]) for variable, _ in places))
        in_chains = [variable for chain in chains for variable in chain]
        order = [*in_chains, *sorted(values.keys() - set(in_chains))]
        own = {"reasoning.variables": order, "reasoning.values": [values[variable] for variable in order]}
        for at, row in enumerate(self._texts(puzzle, places, max(map(len, chains)))):
            yield {"id": document_id("lego", self.model_dump_json(exclude={"count"}), n, at), **row, **own}

    def _drawn(self, rng: Random) -> tuple[list[list[str]], list[Clause]]:
        """Chains of variables, and the clauses that tie them, in order."""
        letters = rng.sample(ascii_lowercase, len(ascii_lowercase))
        elements = group(self.group).elements
        chains: list[list[str]] = []
        clauses: list[Clause] = []
        for _ in range(self.chains):
            length = rng.randint(self.shortest, self.variables) if self.shortest else self.variables
            chain = [letters.pop() for _ in range(length)]
            chains.append(chain)
            before: list[str | None] = [None, *chain]
            clauses += [Clause(variable, rng.choice(elements), of) for variable, of in zip(chain, before, strict=False)]
        tied = [variable for chain in chains for variable in chain]
        clauses += [Clause(letters.pop(), rng.choice(elements), rng.choice(tied)) for _ in range(self.distractors)]
        return chains, clauses

    def _texts(self, puzzle: Puzzle, places: list[tuple[str, int]], longest: int) -> Iterator[dict[str, Any]]:
        clauses = told(puzzle, group(self.group), self.notation)
        match self.layout:
            case "clauses":
                yield _row(clauses, "", f"length {longest:02d}")
            case "all":
                whole = written(puzzle, group(self.group), self.notation)
                yield _row(clauses + " ", whole[len(clauses) + 1 :], f"length {longest:02d}")
            case "each":
                for (variable, value), (_, place) in zip(puzzle.questions, places, strict=True):
                    prompt = f"{clauses} {asked(variable, self.notation)}"
                    yield _row(prompt, answered(value, self.notation), f"place {place:02d}")


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
