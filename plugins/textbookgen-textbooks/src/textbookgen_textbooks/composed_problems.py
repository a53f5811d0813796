"""Problems composed of steps: their text, their tests, and how many of their steps a solution carries out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from random import Random
from typing import Any

from textbookgen_textbooks.step_chains import Step, draw_chain, draw_inputs, run_steps

_ARGUMENTS = {"list[int]": "numbers", "list[str]": "strings", "str": "text"}
_INPUTS = 6  # tests of a problem
_MAX_TRIES = 200
_VARIABLE = re.compile(r"\bx\b")


@dataclass(frozen=True)
class Problem:
    """A function to write, whose result follows from its steps.

    Attributes:
        steps: the steps, in order.
        prompt: signature and docstring.
        solution: a right body.
        inputs: arguments that it is tested with; the last one is empty.
    """

    steps: tuple[Step, ...]
    prompt: str
    solution: str
    inputs: tuple[Any, ...]

    @property
    def entry_point(self) -> str:
        """The name of the function."""
        return "_".join(step.name for step in self.steps)

    @property
    def tests(self) -> str:
        """Asserts that the function does all steps."""
        return tests_of(self.entry_point, self.steps, self.inputs)


def draw_problem(min_steps: int, max_steps: int, rng: Random) -> Problem:
    """Draw a problem of which no step can be left out without changing a result.

    Raises:
        RuntimeError: there is none among 200 draws.
    """
    for _ in range(_MAX_TRIES):
        steps = tuple(draw_chain(rng.randint(min_steps, max_steps), rng))
        inputs = draw_inputs(steps[0].input_type, _INPUTS, rng)
        results = [run_steps(steps, value) for value in inputs]
        shorter = [part for part in shorter_chains(steps) if len(part) == len(steps) - 1]
        needed = all([run_steps(part, value) for value in inputs] != results for part in shorter)
        if needed and len({repr(result) for result in results}) >= _INPUTS - 2:
            return Problem(steps, _prompt(steps, inputs[0], results[0]), solution_of(steps), inputs)
    raise RuntimeError("no chain of steps of this length needs all of its steps")


def shorter_chains(steps: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
    """Yield the chains that remain if some of the steps are left out, longest first, where their types still fit."""
    for count in range(len(steps) - 1, 0, -1):
        for part in combinations(steps, count):
            takes_input = part[0].input_type == steps[0].input_type
            if takes_input and all(one.output_type == other.input_type for one, other in pairwise(part)):
                yield part


def tests_of(name: str, steps: Sequence[Step], inputs: Sequence[Any]) -> str:
    """Return asserts, one per line, that a function of this name does these steps."""
    return "".join(f"assert {name}({value!r}) == {run_steps(steps, value)!r}\n" for value in inputs)


def solution_of(steps: Sequence[Step]) -> str:
    """Return the body of a function that does the steps one after the other."""
    names = [_ARGUMENTS[steps[0].input_type], *["result"] * (len(steps) - 1)]
    *lines, last = (_VARIABLE.sub(name, step.code) for name, step in zip(names, steps, strict=True))
    return "".join([*(f"    result = {line}\n" for line in lines), f"    return {last}\n"])


def _prompt(steps: Sequence[Step], value: Any, result: Any) -> str:
    name, argument = "_".join(step.name for step in steps), _ARGUMENTS[steps[0].input_type]
    first, *middle, last = (step.instruction for step in steps)
    sentences = [f"First {first}.", *(f"Then {item}." for item in middle), f"Finally {last}, and return the result."]
    text = "".join(f"    {sentence}\n" for sentence in sentences)
    return (
        f"def {name}({argument}: {steps[0].input_type}) -> {steps[-1].output_type}:\n"
        f'    """Carry out these steps, each on the result of the one before.\n\n{text}\n'
        f'    >>> {name}({value!r})\n    {result!r}\n    """\n'
    )
