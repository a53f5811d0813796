"""Sampler for unusual exercises: chains of small steps, and function names that list them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any, ClassVar, NamedTuple

from pydantic import Field, model_validator

from textbookgen import AcceptedStats, Sampler
from textbookgen_textbooks.word_lists import list_entries

_INPUT_TYPES = ("list[int]", "list[str]", "str")
_MAX_TRIES = 1_000
_EXAMPLES = 4
_WORDS = (
    "level",
    "Anna",
    "stone",
    "kite",
    "go",
    "noon",
    "river",
    "Otto",
    "sun",
    "apple",
    "ivy",
    "moon",
    "banana",
    "x",
    "Queen",
)


class Step(NamedTuple):
    """One step: its input and output types, its short name, what it does in the imperative, and an expression of `x` for it."""

    input_type: str
    output_type: str
    name: str
    instruction: str
    code: str


class StepChains(Sampler):
    """Draw `steps` whose types fit each other, with `function_name`, `argument_types`, `return_type`, `concept`, `difficulty`.

    `step_code` has an expression of `x` for each step, and `examples` has pairs of an argument and its result as Python writes
    them, for teachers that are programs.

    phi-1 (arXiv 2306.11644, section 4) was tested on fifty problems "unlikely to appear in real-world code bases or as coding
    exercises", such as: sort, concatenate, square the even positions, apply a threshold. These chains are of that kind: 60
    steps give hundreds of thousands of chains of four, and the result of each follows from its steps. Use them with
    `textbooks/exercise` and `prompt = "phi1/step-chain-exercise.md.j2"`.
    """

    name: ClassVar[str] = "step-chains"
    version: ClassVar[int] = 2

    min_steps: int = Field(4, ge=1, description="minimum number of steps")
    max_steps: int = Field(6, ge=1, le=12, description="maximum number of steps")

    @model_validator(mode="after")
    def _check_order(self) -> StepChains:
        if self.min_steps > self.max_steps:
            raise ValueError("`min_steps` is above `max_steps`")
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the prompt variables of one exercise: different steps, each taking what the one before returns."""
        count = rng.randint(self.min_steps, self.max_steps)
        chain = draw_chain(count, rng)
        values = draw_inputs(chain[0].input_type, _EXAMPLES, rng)
        return {
            "steps": [step.instruction for step in chain],
            "step_code": [step.code for step in chain],
            "examples": [[repr(value), repr(run_steps(chain, value))] for value in values],
            "function_name": "_".join(step.name for step in chain),
            "argument_types": [chain[0].input_type],
            "return_type": chain[-1].output_type,
            "concept": "carrying out several steps in order",
            "difficulty": min(5, count),
        }


def run_steps(steps: Sequence[Step], value: Any) -> Any:
    """Return the result of applying steps in order, by their own code."""
    for step in steps:
        value = eval(step.code, {"x": value})
    return value


def draw_inputs(kind: str, count: int, rng: Random) -> tuple[Any, ...]:
    """Return arguments of a type, the last one empty."""
    if kind == "list[int]":
        return (*([rng.randint(-30, 90) for _ in range(rng.randint(5, 9))] for _ in range(count - 1)), [])
    lists = [rng.choices(_WORDS, k=rng.randint(4, 7)) for _ in range(count - 1)]
    return (*lists, []) if kind == "list[str]" else (*map(" ".join, lists), "")


def draw_chain(count: int, rng: Random) -> list[Step]:
    """Return `count` different steps, each of which takes what the one before returns."""
    return next(chain for _ in range(_MAX_TRIES) if len(chain := _random_chain(count, rng)) == count)


def _random_chain(count: int, rng: Random) -> list[Step]:
    """Up to `count` steps; fewer if no step takes what the last one returns."""
    current_type, chain = rng.choice(_INPUT_TYPES), list[Step]()
    while len(chain) < count:
        candidates = [step for step in known_steps() if step.input_type == current_type and step not in chain]
        if not candidates:
            break
        chain.append(rng.choice(candidates))
        current_type = chain[-1].output_type
    return chain


@cache
def known_steps() -> tuple[Step, ...]:
    """Return every step of the plugin's list."""
    steps = []
    for line in list_entries("step_chains"):
        types, name, instruction, code = line.split(" | ")
        input_type, output_type = types.split(" > ")
        steps.append(Step(input_type, output_type, name, instruction, code))
    return tuple(steps)
