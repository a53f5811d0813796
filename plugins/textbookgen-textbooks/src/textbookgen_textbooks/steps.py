"""Exercises that nobody has set before: several small steps, one after the other, under a name that says them."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any, ClassVar, NamedTuple

from pydantic import Field, model_validator

from textbookgen import AcceptedStats, Sampler
from textbookgen_textbooks.wordlists import lines

_KINDS = ("list[int]", "list[str]", "str")
_TRIES = 1_000


class Step(NamedTuple):
    """One step: the types it takes and gives, its name, and what is done."""

    takes: str
    gives: str
    name: str
    done: str


class Steps(Sampler):
    """Draws `steps` that fit each other, `function_name`, `arguments`, `returns`, `concept` and `difficulty` for an exercise.

    phi-1 (arXiv 2306.11644, section 4) was tried on fifty problems "unlikely to appear in real-world code bases or as coding
    exercises", such as: sort, concatenate, square the even places, threshold. These are drawn in that spirit: with
    sixty steps there are hundreds of thousands of chains of four, and what each comes to follows from its steps. Use
    them with `textbooks/exercise` and the prompt `phi1/unconventional.md.j2`.
    """

    name: ClassVar[str] = "steps"

    fewest: int = Field(4, ge=1, description="steps at least")
    most: int = Field(6, ge=1, le=12, description="steps at most")

    @model_validator(mode="after")
    def _in_order(self) -> Steps:
        if self.fewest > self.most:
            raise ValueError("`fewest` is above `most`")
        return self

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """A chain of different steps, each taking what the one before gives."""
        count = rng.randint(self.fewest, self.most)
        chain = next(chain for _ in range(_TRIES) if len(chain := _chain(count, rng)) == count)
        return {
            "steps": [step.done for step in chain],
            "function_name": "_".join(step.name for step in chain),
            "arguments": [chain[0].takes],
            "returns": chain[-1].gives,
            "concept": "carrying out several steps in order",
            "difficulty": min(5, count),
        }


def _chain(count: int, rng: Random) -> list[Step]:
    """Steps that fit each other; fewer than wanted if the chain came to an end before."""
    kind, chain = rng.choice(_KINDS), list[Step]()
    while len(chain) < count and (fitting := [step for step in known_steps() if step.takes == kind and step not in chain]):
        chain.append(rng.choice(fitting))
        kind = chain[-1].gives
    return chain


@cache
def known_steps() -> tuple[Step, ...]:
    """Every step of the list."""
    result = []
    for line in lines("steps"):
        types, name, done = line.split(" | ")
        takes, gives = types.split(" > ")
        result.append(Step(takes, gives, name, done))
    return tuple(result)
