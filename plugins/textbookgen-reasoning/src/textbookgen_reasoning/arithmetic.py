"""The stage `reasoning/arithmetic`: sums and products with operands of given lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, Source, document_id
from textbookgen_reasoning.arithmetic_format import Format, Operation, Problem
from textbookgen_reasoning.rows import to_frames


class Arithmetic(Source):
    """Generates sums or products in one of the formats of "Positional Description Matters" (arXiv 2311.14737).

    The paper's experiments: 300,000 products, zero-padded and with reversed results, up to 15 digits; 120,000 sums up to 10
    digits, tested on 11 and 12; 120,000 sums, half of them as dialogue. Columns: `reasoning.prompt`, `reasoning.answer`,
    `reasoning.cell` (`KxL`: digits of the two operands), `reasoning.a`, `reasoning.b`, `reasoning.result` (as text, since
    they may exceed any integer column).
    """

    name: ClassVar[str] = "arithmetic"
    version: ClassVar[int] = 3

    count: int = Field(gt=0, description="number of problems")
    operation: Operation = Field("add", description="`add` or `mul`")
    min_digits: int = Field(1, ge=1, description="minimum number of digits of an operand")
    max_digits: int = Field(10, ge=1, description="maximum number of digits of an operand")
    balance: Literal["digits", "values"] = Field(
        "digits", description="draw the number of `digits` uniformly, or the `values`, most of which are long"
    )
    carry_share: float | None = Field(
        None, ge=0, le=1, description="with `add`: share of digit pairs that are forced to carry or to pass a carry on"
    )
    pad_to: int | None = Field(None, gt=0, description="zero-pad operands to this many digits, and results accordingly")
    reverse: Literal["none", "output", "both"] = Field(
        "none", description="write the least significant digit first: in no number, in the `output`, or in `both` sides"
    )
    spaced: bool = Field(True, description="write a space between digits, so that each is a separate token")
    space_share: float = Field(0.0, ge=0, le=1, description="share of an operand's digits that are followed by extra spaces")
    max_spaces: int = Field(3, gt=0, description="maximum number of extra spaces")
    scratchpad: Literal["none", "recursive"] = Field(
        "none", description="with `add`: `recursive` writes the sum digit by digit, repeating the remaining digits"
    )
    dialogue_share: float = Field(0.0, ge=0, le=1, description="share of problems phrased in everyday language")
    seed: int = Field(0, description="random seed")

    def check(self) -> Iterable[Diagnostic]:
        """Report incompatible options."""
        if self.min_digits > self.max_digits:
            yield Diagnostic("min_digits", f"is greater than `max_digits`, {self.max_digits}")
        if self.pad_to is not None and self.pad_to < self.max_digits:
            yield Diagnostic("pad_to", f"is less than `max_digits`, {self.max_digits}", "pad to at least `max_digits`")
        if self.operation == "mul" and self.scratchpad != "none":
            yield Diagnostic("scratchpad", "is available for sums only")
        if self.operation == "mul" and self.carry_share is not None:
            yield Diagnostic("carry_share", "is available for sums only")
        if self.balance == "values" and self.carry_share is not None:
            yield Diagnostic("carry_share", 'cannot be combined with balance = "values"', 'use balance = "digits"')

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Estimate documents, and about one token per digit and space."""
        return Estimate(documents=self.count, tokens=6.0 * self.count * self.max_digits)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield the problems, one per row."""
        return to_frames(map(self._row, range(self.count)), _COLUMNS)

    def _row(self, n: int) -> dict[str, Any]:
        rng = Random(f"arithmetic/{self.seed}/{n}")
        problem = self._generate(rng)
        prompt, answer = self.format(rng.random() < self.dialogue_share).write(problem, rng)
        return {
            "id": document_id("arithmetic", self.model_dump_json(exclude={"count"}), n),
            "text": prompt + answer,
            "kind": "arithmetic",
            "reasoning.prompt": prompt,
            "reasoning.answer": answer,
            "reasoning.cell": f"{len(str(problem.a))}x{len(str(problem.b))}",
            "reasoning.a": str(problem.a),
            "reasoning.b": str(problem.b),
            "reasoning.result": str(problem.result),
        }

    def format(self, dialogue: bool = False) -> Format:
        """Return the format of problems, as equations or as dialogue; the latter has no scratchpad."""
        return Format(
            operation=self.operation,
            pad_to=self.pad_to,
            reverse=self.reverse,
            spaced=self.spaced,
            space_share=self.space_share,
            max_spaces=self.max_spaces,
            scratchpad=self.scratchpad == "recursive" and not dialogue,
            dialogue=dialogue,
        )

    def _generate(self, rng: Random) -> Problem:
        if self.balance == "values":
            lowest = 10 ** (self.min_digits - 1) if self.min_digits > 1 else 0
            return Problem(self.operation, *(rng.randrange(lowest, 10**self.max_digits) for _ in range(2)))
        lengths = [rng.randint(self.min_digits, self.max_digits) for _ in range(2)]
        if self.carry_share is None:
            return Problem(self.operation, *(_random_number(length, rng) for length in lengths))
        return Problem(self.operation, *_carrying_numbers(lengths, self.carry_share, rng))


def _random_number(length: int, rng: Random) -> int:
    """Return a number of `length` digits."""
    return rng.randrange(10 ** (length - 1) if length > 1 else 0, 10**length)


def _carrying_numbers(lengths: list[int], share: float, rng: Random) -> tuple[int, int]:
    """Return two numbers of these lengths whose digit pairs sum to nine or more in about this share of places."""
    digits: tuple[list[int], list[int]] = ([], [])
    for place in range(max(lengths)):
        choices = [range(_min_digit(place, length), 10) if place < length else range(1) for length in lengths]
        pairs = [(one, other) for one in choices[0] for other in choices[1]]
        carrying = [pair for pair in pairs if sum(pair) >= 9]
        for number, digit in zip(digits, rng.choice(carrying if rng.random() < share else pairs), strict=True):
            number.append(digit)
    one, other = (int("".join(map(str, reversed(number)))) for number in digits)
    return one, other


def _min_digit(place: int, length: int) -> int:
    """Return the lowest digit in a place, counted from the last, of a number of `length` digits."""
    return 1 if place == length - 1 and length > 1 else 0


_COLUMNS: dict[str, pl.DataType] = {
    "reasoning.a": pl.String(),
    "reasoning.b": pl.String(),
    "reasoning.result": pl.String(),
}
