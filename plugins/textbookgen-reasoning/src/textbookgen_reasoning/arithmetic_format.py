"""Text formats of sums and products that small models can learn, and their parsers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

Operation = Literal["add", "mul"]

_OPERATOR = {"add": "+", "mul": "*"}

_DIALOGUES: dict[str, tuple[tuple[str, str], ...]] = {
    "add": (
        ("Sam has {a} marbles and gets {b} more. How many marbles does Sam have now?", "Now Sam has {c} marbles."),
        (
            "There are {a} people in the hall, and {b} more come in. How many are there now?",
            "Now there are {c} people in the hall.",
        ),
        ("What do I get if I add {b} to {a}?", "You get {c}."),
        ("One shelf holds {a} books, another holds {b}. How many do they hold together?", "Together they hold {c} books."),
        ("I walked {a} steps in the morning and {b} in the evening. How many is that?", "That is {c} steps."),
        ("The first ship carries {a} boxes, the second {b}. How many do they carry together?", "They carry {c} boxes."),
    ),
    "mul": (
        ("A box holds {a} pens. How many pens are in {b} boxes?", "There are {c} pens in them."),
        ("What is {a} times {b}?", "It is {c}."),
        ("A wall is {a} bricks wide and {b} bricks high. How many bricks is that?", "That is {c} bricks."),
        ("Each of {a} gardens has {b} trees. How many trees are there in all?", "In all there are {c} trees."),
    ),
}

#: The dialogues that are about numbers rather than things.
_ABOUT_NUMBERS = (("What do I get if I add {b} to {a}?", "You get {c}."), ("What is {a} times {b}?", "It is {c}."))


@dataclass(frozen=True)
class Problem:
    """Two operands and an operation."""

    operation: Operation
    a: int
    b: int

    @property
    def result(self) -> int:
        """The sum or the product."""
        return self.a + self.b if self.operation == "add" else self.a * self.b


@dataclass(frozen=True)
class Format:
    """How a problem is written, after "Positional Description Matters for Transformers Arithmetic" (arXiv 2311.14737).

    Attributes:
        operation: Addition or multiplication.
        pad_to: Zero-pad operands to this many digits, sums to one more, products to twice as many.
        reverse: Write the digits of the `output`, or of `both` operands and output, least significant first.
        spaced: Write a space between digits, so that each is a separate token.
        space_share: Share of an operand's digits that are followed by extra spaces.
        max_spaces: Maximum number of extra spaces.
        scratchpad: Write a sum digit by digit, repeating the remaining digits at each step.
        dialogue: Phrase the problem in everyday language.
    """

    operation: Operation = "add"
    pad_to: int | None = None
    reverse: Literal["none", "output", "both"] = "none"
    spaced: bool = True
    space_share: float = 0.0
    max_spaces: int = 3
    scratchpad: bool = False
    dialogue: bool = False

    def write(self, problem: Problem, rng: Random) -> tuple[str, str]:
        """Return the prompt, and the answer with the steps that lead to it."""
        a, b = (self._operand(number, rng) for number in (problem.a, problem.b))
        result = self._result(problem.result)
        if self.dialogue:
            question, answer = rng.choice(_dialogues(problem))
            return question.format(a=a, b=b) + "\n", answer.format(c=result) + "\n"
        steps = f"{self._steps(problem)} = " if self.scratchpad else ""
        return f"{a} {_OPERATOR[self.operation]} {b} = ", f"{steps}{result}\n"

    def parse(self, text: str) -> tuple[Problem, int]:
        """Parse a problem with its answer; return the problem and the result in the text, correct or not.

        Raises:
            ValueError: The text is not in this format.
        """
        a, b, result = self._split_dialogue(text) if self.dialogue else self._split_equation(text)
        operands = (self._number(digits, self.reverse == "both") for digits in (a, b))
        return Problem(self.operation, *operands), self._number(result, self.reverse != "none")

    def parse_answer(self, text: str) -> int | None:
        """Return the result in an answer; None if it does not contain exactly one number."""
        first_line = text.splitlines()[0] if text.strip() else ""
        numbers = re.findall(r"\d(?:[\d ]*\d)?", first_line.rpartition("=")[2])
        return self._number(numbers[0], self.reverse != "none") if len(numbers) == 1 else None

    def _operand(self, number: int, rng: Random) -> str:
        digits = str(number).zfill(self.pad_to or 0)
        digits = digits[::-1] if self.reverse == "both" else digits
        if not self.space_share:
            return self._join(digits)
        gaps = [" " * rng.randint(1, self.max_spaces) if rng.random() < self.space_share else "" for _ in digits[1:]]
        between = " " if self.spaced else ""
        return "".join(f"{digit}{between}{gap}" for digit, gap in zip(digits, gaps, strict=False)) + digits[-1]

    def _result(self, number: int) -> str:
        width = 0 if self.pad_to is None else self.pad_to + 1 if self.operation == "add" else 2 * self.pad_to
        digits = str(number).zfill(width)
        return self._join(digits if self.reverse == "none" else digits[::-1])

    def _steps(self, problem: Problem) -> str:
        """Write a sum from its last digits to its first: the remaining digits (last first), the digit written, the carry."""
        width = max(len(str(problem.a)), len(str(problem.b)), self.pad_to or 0)
        left, right = (str(number).zfill(width)[::-1] for number in (problem.a, problem.b))
        carry, steps = 0, []
        for place in range(width):
            total = int(left[place]) + int(right[place]) + carry
            carry = total // 10
            remaining = f"{self._join(left[place:])} + {self._join(right[place:])}"
            steps.append(f"{remaining} : {total % 10} carry {carry}")
        return " ; ".join(steps)

    def _join(self, digits: str) -> str:
        return " ".join(digits) if self.spaced else digits

    def _number(self, text: str, reverse: bool) -> int:
        digits = "".join(text.split())
        if not re.fullmatch(r"[0-9]+", digits):
            raise ValueError(f"'{text.strip()}' is not a number")
        return int(digits[::-1] if reverse else digits)

    def _split_equation(self, text: str) -> tuple[str, str, str]:
        problem, equals, rest = text.partition("=")
        a, operator, b = problem.partition(_OPERATOR[self.operation])
        if not (equals and operator):
            raise ValueError(f"'{text.strip()}' is not a problem in this format")
        return a, b, rest.rpartition("=")[2]

    def _split_dialogue(self, text: str) -> tuple[str, str, str]:
        for question, answer in _DIALOGUES[self.operation]:
            if match := re.fullmatch(_pattern(f"{question}\n{answer}"), text.strip()):
                return match["a"], match["b"], match["c"]
        raise ValueError(f"'{text.strip()}' is not a problem in this format")


def _dialogues(problem: Problem) -> Sequence[tuple[str, str]]:
    """Return the questions and answers that fit a problem: things are counted in the plural, so there are two or more."""
    dialogues = _DIALOGUES[problem.operation]
    return dialogues if min(problem.a, problem.b) > 1 else [pair for pair in dialogues if pair in _ABOUT_NUMBERS]


def _pattern(template: str) -> str:
    """Return the regular expression of a template, with its numbers as named groups."""
    escaped = re.escape(template)
    for name in "abc":
        escaped = escaped.replace(re.escape(f"{{{name}}}"), rf"(?P<{name}>\d[\d ]*?)")
    return escaped


def digit_accuracy(expected: int, actual: int | None) -> float:
    """Return the share of correct digits, aligned at the last; missing and extra digits count as wrong."""
    if actual is None:
        return 0.0
    expected_digits, actual_digits = str(expected)[::-1], str(actual)[::-1]
    matches = sum(x == y for x, y in zip(expected_digits, actual_digits, strict=False))
    return matches / max(len(expected_digits), len(actual_digits))
