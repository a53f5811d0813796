"""Ways to write a sum or a product so that small models can learn it, each of which can be read back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Literal

Operation = Literal["add", "mul"]

_SIGN = {"add": "+", "mul": "*"}

_TALK: dict[str, tuple[tuple[str, str], ...]] = {
    "add": (
        ("Sam has {a} marbles and gets {b} more. How many marbles has Sam now?", "Now Sam has {c} marbles."),
        (
            "There are {a} people in the hall, and {b} come in. How many are there then?",
            "Then there are {c} people in the hall.",
        ),
        ("What do I get if I add {b} to {a}?", "You get {c}."),
        ("One shelf holds {a} books, another {b}. How many do they hold together?", "Together they hold {c} books."),
        ("I walked {a} steps in the morning and {b} in the evening. What does that make?", "That makes {c} steps."),
        ("The first ship carries {a} boxes, the second {b}. What do both carry?", "Both carry {c} boxes."),
    ),
    "mul": (
        ("A box holds {a} pens. How many pens are in {b} boxes?", "There are {c} pens in them."),
        ("What is {a} times {b}?", "It is {c}."),
        ("A wall is {a} bricks wide and {b} bricks high. How many bricks is that?", "That is {c} bricks."),
        ("Each of {a} gardens has {b} trees. How many trees have they together?", "Together they have {c} trees."),
    ),
}


@dataclass(frozen=True)
class Problem:
    """Two numbers and what is done with them."""

    operation: Operation
    a: int
    b: int

    @property
    def result(self) -> int:
        """The sum or the product."""
        return self.a + self.b if self.operation == "add" else self.a * self.b


@dataclass(frozen=True)
class Format:
    """How a problem is written (arXiv 2311.14737, "Positional Description Matters for Transformers Arithmetic").

    `pad_to` pads operands with zeros to so many digits (and sums to one more, products to twice as many); `reverse` writes
    digits from the last to the first; `spaced` puts a blank between digits, so that each is a token of its own;
    `space_share` is the share of digits of an operand behind which up to `most_spaces` further blanks stand; `scratchpad`
    works a sum digit by digit, repeating the digits that remain at each step; `talk` wraps problems in everyday language.
    """

    operation: Operation = "add"
    pad_to: int | None = None
    reverse: Literal["none", "output", "both"] = "none"
    spaced: bool = True
    space_share: float = 0.0
    most_spaces: int = 3
    scratchpad: bool = False
    talk: bool = False

    def write(self, problem: Problem, rng: Random) -> tuple[str, str]:
        """The problem up to where the answer stands, and the answer with all that leads to it."""
        a, b = (self._operand(number, rng) for number in (problem.a, problem.b))
        result = self._result(problem.result)
        if self.talk:
            question, answer = rng.choice(_TALK[self.operation])
            return question.format(a=a, b=b) + "\n", answer.format(c=result) + "\n"
        steps = f"{self._steps(problem)} = " if self.scratchpad else ""
        return f"{a} {_SIGN[self.operation]} {b} = ", f"{steps}{result}\n"

    def read(self, text: str) -> tuple[Problem, int]:
        """The problem in a text, and what the text says it comes to, right or wrong.

        Raises:
            ValueError: the text is not written in this format.
        """
        a, b, result = self._talked(text) if self.talk else self._bare(text)
        operands = (self._number(item, self.reverse == "both") for item in (a, b))
        return Problem(self.operation, *operands), self._number(result, self.reverse != "none")

    def answer(self, text: str) -> int | None:
        """What the second half of a written problem says the result is; None if that cannot be read."""
        numbers = re.findall(r"\d(?:[\d ]*\d)?", text.splitlines()[0].rpartition("=")[2] if text.strip() else "")
        return self._number(numbers[0], self.reverse != "none") if len(numbers) == 1 else None

    def _operand(self, number: int, rng: Random) -> str:
        digits = str(number).zfill(self.pad_to or 0)
        digits = digits[::-1] if self.reverse == "both" else digits
        if not self.space_share:
            return self._joined(digits)
        gaps = [" " * rng.randint(1, self.most_spaces) if rng.random() < self.space_share else "" for _ in digits[1:]]
        between = " " if self.spaced else ""
        return "".join(f"{digit}{between}{gap}" for digit, gap in zip(digits, gaps, strict=False)) + digits[-1]

    def _result(self, number: int) -> str:
        width = 0 if self.pad_to is None else self.pad_to + 1 if self.operation == "add" else 2 * self.pad_to
        digits = str(number).zfill(width)
        return self._joined(digits if self.reverse == "none" else digits[::-1])

    def _steps(self, problem: Problem) -> str:
        """A sum from its last digits to its first: the remaining digits (last first), the digit written, and the carry."""
        width = max(len(str(problem.a)), len(str(problem.b)), self.pad_to or 0)
        left, right = (str(number).zfill(width)[::-1] for number in (problem.a, problem.b))
        carry, steps = 0, []
        for place in range(width):
            total = int(left[place]) + int(right[place]) + carry
            carry = total // 10
            remaining = f"{self._joined(left[place:])} + {self._joined(right[place:])}"
            steps.append(f"{remaining} : {total % 10} carry {carry}")
        return " ; ".join(steps)

    def _joined(self, digits: str) -> str:
        return " ".join(digits) if self.spaced else digits

    def _number(self, text: str, reverse: bool) -> int:
        digits = "".join(text.split())
        if not re.fullmatch(r"[0-9]+", digits):
            raise ValueError(f"'{text.strip()}' is no number")
        return int(digits[::-1] if reverse else digits)

    def _bare(self, text: str) -> tuple[str, str, str]:
        problem, equals, rest = text.partition("=")
        a, sign, b = problem.partition(_SIGN[self.operation])
        if not (equals and sign):
            raise ValueError(f"'{text.strip()}' is no problem")
        return a, b, rest.rpartition("=")[2]

    def _talked(self, text: str) -> tuple[str, str, str]:
        for question, answer in _TALK[self.operation]:
            if result := re.fullmatch(_pattern(f"{question}\n{answer}"), text.strip()):
                return result["a"], result["b"], result["c"]
        raise ValueError(f"'{text.strip()}' is no problem")


def _pattern(template: str) -> str:
    """The regular expression of a template, with its numbers as groups."""
    escaped = re.escape(template)
    for name in "abc":
        escaped = escaped.replace(re.escape(f"{{{name}}}"), rf"(?P<{name}>\d[\d ]*?)")
    return escaped


def digit_accuracy(wanted: int, got: int | None) -> float:
    """The share of digits that are right, place by place from the last; digits too many or too few count as wrong."""
    if got is None:
        return 0.0
    one, other = str(wanted)[::-1], str(got)[::-1]
    return sum(x == y for x, y in zip(one, other, strict=False)) / max(len(one), len(other))
