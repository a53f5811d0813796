"""Sums and products of so many digits, drawn evenly over lengths, as documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, Source, document_id
from textbookgen_reasoning.arithmetic import Format, Operation, Problem
from textbookgen_reasoning.frames import framed


class Arithmetic(Source):
    """Writes sums or products in one of the formats of "Positional Description Matters" (arXiv 2311.14737).

    The paper's runs: 300,000 products, zero-padded and with reversed results, up to 15 digits; 120,000 sums up to 10
    digits, tested on 11 and 12; 120,000 sums half in dialogue. Columns: `reasoning.prompt`, `reasoning.answer`,
    `reasoning.cell` (`KxL`: digits of the two operands), `reasoning.a`, `reasoning.b`, `reasoning.result` (as text, since
    they may be longer than any integer column).
    """

    name: ClassVar[str] = "arithmetic"

    count: int = Field(gt=0, description="problems")
    operation: Operation = Field("add", description="`add` or `mul`")
    fewest_digits: int = Field(1, ge=1, description="digits of an operand at least")
    most_digits: int = Field(10, ge=1, description="digits of an operand at most")
    balance: Literal["digits", "values"] = Field("digits", description="draw the lengths evenly, or the numbers evenly")
    carry_share: float | None = Field(
        None, ge=0, le=1, description="of sums: share of pairs of digits drawn so that they carry, or hand a carry on"
    )
    pad_to: int | None = Field(None, gt=0, description="pad operands with zeros to so many digits; results to match")
    reverse: Literal["none", "output", "both"] = Field(
        "none", description="write digits last to first: of no number, of results, or of all"
    )
    spaced: bool = Field(True, description="a blank between digits, so that each is a token of its own")
    space_share: float = Field(0.0, ge=0, le=1, description="share of an operand's digits behind which further blanks stand")
    most_spaces: int = Field(3, gt=0, description="further blanks at most")
    scratchpad: Literal["none", "recursive"] = Field(
        "none", description="`recursive` works sums digit by digit, repeating what remains"
    )
    talk_share: float = Field(0.0, ge=0, le=1, description="share of problems told in everyday language")
    seed: int = Field(0, description="another seed makes other problems")

    def check(self) -> Iterable[Diagnostic]:
        """What keeps these options from going together."""
        if self.fewest_digits > self.most_digits:
            yield Diagnostic("fewest_digits", f"is more than `most_digits`, {self.most_digits}")
        if self.pad_to is not None and self.pad_to < self.most_digits:
            yield Diagnostic("pad_to", f"operands may have {self.most_digits} digits", "pad to at least `most_digits`")
        if self.operation == "mul" and self.scratchpad != "none":
            yield Diagnostic("scratchpad", "the recursive scratchpad is for sums")
        if self.operation == "mul" and self.carry_share is not None:
            yield Diagnostic("carry_share", "carries are drawn for sums")
        if self.balance == "values" and self.carry_share is not None:
            yield Diagnostic("carry_share", "is for problems drawn digit by digit", 'use balance = "digits"')

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Documents, at about a token a digit and blank."""
        return Estimate(documents=self.count, tokens=6.0 * self.count * self.most_digits)

    def read(self) -> Iterator[pl.DataFrame]:
        """The problems, one a row."""
        return framed(map(self._row, range(self.count)), _COLUMNS)

    def _row(self, n: int) -> dict[str, Any]:
        rng = Random(f"arithmetic/{self.seed}/{n}")
        problem = self._drawn(rng)
        prompt, answer = self.format(rng.random() < self.talk_share).write(problem, rng)
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

    def format(self, talk: bool = False) -> Format:
        """How problems are written, bare or told; told ones have no scratchpad."""
        return Format(
            operation=self.operation,
            pad_to=self.pad_to,
            reverse=self.reverse,
            spaced=self.spaced,
            space_share=self.space_share,
            most_spaces=self.most_spaces,
            scratchpad=self.scratchpad == "recursive" and not talk,
            talk=talk,
        )

    def _drawn(self, rng: Random) -> Problem:
        if self.balance == "values":
            lowest = 10 ** (self.fewest_digits - 1) if self.fewest_digits > 1 else 0
            return Problem(self.operation, *(rng.randrange(lowest, 10**self.most_digits) for _ in range(2)))
        lengths = [rng.randint(self.fewest_digits, self.most_digits) for _ in range(2)]
        if self.carry_share is None:
            return Problem(self.operation, *(_number(length, rng) for length in lengths))
        return Problem(self.operation, *_carrying(lengths, self.carry_share, rng))


def _number(length: int, rng: Random) -> int:
    """A number of so many digits."""
    return rng.randrange(10 ** (length - 1) if length > 1 else 0, 10**length)


def _carrying(lengths: list[int], share: float, rng: Random) -> tuple[int, int]:
    """Two numbers of these lengths whose pairs of digits sum to nine or more for about this share of places."""
    digits: tuple[list[int], list[int]] = ([], [])
    for place in range(max(lengths)):
        choices = [range(_lowest(place, length), 10) if place < length else range(1) for length in lengths]
        pairs = [(one, other) for one in choices[0] for other in choices[1]]
        heavy = [pair for pair in pairs if sum(pair) >= 9]
        for number, digit in zip(digits, rng.choice(heavy if rng.random() < share else pairs), strict=True):
            number.append(digit)
    one, other = (int("".join(map(str, reversed(item)))) for item in digits)
    return one, other


def _lowest(place: int, length: int) -> int:
    """The lowest digit at this place (the last digit is place 0) of a number of so many digits."""
    return 1 if place == length - 1 and length > 1 else 0


_COLUMNS: dict[str, pl.DataType] = {
    "reasoning.a": pl.String(),
    "reasoning.b": pl.String(),
    "reasoning.result": pl.String(),
}
