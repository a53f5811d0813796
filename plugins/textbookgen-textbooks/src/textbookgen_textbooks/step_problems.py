"""Source of unconventional problems: functions composed of steps, with tests and a solution that follow from the steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, ClassVar

import polars as pl
from pydantic import Field, model_validator

from textbookgen import Estimate, Source, document_id
from textbookgen_textbooks.composed_problems import Problem, draw_problem

_TOKENS = 200.0  # per problem

#: Columns of a problem besides `id`, `text` and `kind`.
PROBLEM_COLUMNS: dict[str, pl.DataType] = {
    "textbooks.prompt": pl.String(),
    "textbooks.tests": pl.String(),
    "textbooks.entry_point": pl.String(),
    "textbooks.steps": pl.List(pl.String()),
    "textbooks.step_code": pl.List(pl.String()),
    "textbooks.step_types": pl.List(pl.String()),
    "textbooks.inputs": pl.List(pl.String()),
}


class StepProblems(Source):
    """Compose problems of small steps in unusual combinations, as the fifty that phi-1 was tested on (section 4).

    phi-1's (arXiv 2306.11644) were written by people without access to its data, so that they are "unlikely to appear in
    real-world code bases or as coding exercises". Here four to six of 60 steps are combined, so that each step matters and
    the right result of every argument follows from the steps. The text is the function with its solution; columns:
    `textbooks.prompt`, `textbooks.tests`, `textbooks.entry_point`, `textbooks.steps` (in words), `textbooks.step_code`
    (expressions of `x`), `textbooks.step_types` (the argument's, then each step's result) and `textbooks.inputs`.
    """

    name: ClassVar[str] = "step-problems"

    count: int = Field(50, gt=0, description="number of problems; phi-1: 50")
    min_steps: int = Field(4, ge=1, le=8, description="minimum number of steps")
    max_steps: int = Field(6, ge=1, le=8, description="maximum number of steps")
    seed: int = Field(0, description="another seed composes other problems")

    @model_validator(mode="after")
    def _check_order(self) -> StepProblems:
        if self.min_steps > self.max_steps:
            raise ValueError("`min_steps` is above `max_steps`")
        return self

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Estimate the size of the problems."""
        return Estimate(documents=self.count, tokens=_TOKENS * self.count)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield one frame with one problem per row, of kind `problem`."""
        rng, problems = Random(f"step-problems {self.seed}"), dict[str, Problem]()
        while len(problems) < self.count:
            problem = draw_problem(self.min_steps, self.max_steps, rng)
            problems.setdefault(problem.entry_point, problem)
        yield pl.DataFrame(
            [problem_row(problem) for problem in problems.values()],
            schema={"id": pl.String, "text": pl.String, "kind": pl.String, **PROBLEM_COLUMNS},
        )


def problem_row(problem: Problem) -> dict[str, Any]:
    """Return a problem as a document."""
    return {
        "id": document_id("step-problem", problem.prompt),
        "text": problem.prompt + problem.solution,
        "kind": "problem",
        "textbooks.prompt": problem.prompt,
        "textbooks.tests": problem.tests,
        "textbooks.entry_point": problem.entry_point,
        "textbooks.steps": [step.instruction for step in problem.steps],
        "textbooks.step_code": [step.code for step in problem.steps],
        "textbooks.step_types": [problem.steps[0].input_type, *(step.output_type for step in problem.steps)],
        "textbooks.inputs": [repr(value) for value in problem.inputs],
    }
