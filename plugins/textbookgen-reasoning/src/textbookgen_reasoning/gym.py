"""The stage `reasoning/gym`: problems of the library reasoning-gym, with its scorers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, MissingRequirement, RunError, Source, document_id
from textbookgen_reasoning.rows import to_frames

_INSTALL = "pip install 'textbookgen-reasoning[gym]'"


class Gym(Source):
    """Generates problems of the library reasoning-gym with their answers, task by task.

    Columns: `reasoning.prompt`, `reasoning.answer`, `reasoning.cell` (the task), `reasoning.metadata` (JSON, which the
    library's scorer needs). The version of the library is part of the fingerprint: another version may generate other problems.
    """

    name: ClassVar[str] = "gym"
    version: ClassVar[int] = 2

    tasks: tuple[str, ...] = Field(min_length=1, description="names of the library's tasks, such as `leg_counting`")
    count: int = Field(gt=0, description="number of problems per task")
    task_options: dict[str, dict[str, Any]] = Field(
        {}, description="options of the library for individual tasks: { leg_counting = { max_animals = 4 } }"
    )
    prompt_template: str = Field(
        "Question: {question}\nAnswer: ", description="text before the answer; `{question}` is replaced by the question"
    )
    seed: int = Field(0, description="random seed")

    def check(self) -> Iterable[Diagnostic]:
        """Report a missing library, and tasks it does not have."""
        if _version() is None:
            yield MissingRequirement("", "the library reasoning-gym is not installed", _INSTALL)
            return
        from reasoning_gym.factory import DATASETS  # type: ignore[import-not-found,import-untyped,unused-ignore]

        for task in self.tasks:
            if task not in DATASETS:
                problem = f"reasoning-gym {_version()} has no task '{task}'"
                yield Diagnostic("tasks", problem, "see the gallery of reasoning-gym for its tasks")
        for task in self.task_options.keys() - set(self.tasks):
            yield Diagnostic("task_options", f"'{task}' is not listed in `tasks`", "add it to `tasks`, or remove its options")
        if "{question}" not in self.prompt_template:
            yield Diagnostic("prompt_template", "does not contain {question}", "put {question} where the question belongs")

    def digest(self) -> str:
        """Return the version of the library."""
        return f"reasoning-gym {_version()}"

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Estimate documents, and about 200 tokens each."""
        return Estimate(documents=self.count * len(self.tasks), tokens=200.0 * self.count * len(self.tasks))

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield the problems, one per row.

        Raises:
            RunError: The library is not installed, or rejects the options of a task.
        """
        return to_frames((row for task in self.tasks for row in self._rows(task)), {"reasoning.metadata": pl.String()})

    def _rows(self, task: str) -> Iterator[dict[str, Any]]:
        options = json.dumps(self.task_options.get(task, {}), sort_keys=True)
        for n, entry in enumerate(self._dataset(task)):
            prompt = self.prompt_template.replace("{question}", str(entry["question"]).strip())
            answer = str(entry["answer"]).strip()
            yield {
                "id": document_id("gym", self.digest(), task, self.seed, options, n),
                "text": f"{prompt}{answer}\n",
                "kind": "reasoning",
                "reasoning.prompt": prompt,
                "reasoning.answer": f"{answer}\n",
                "reasoning.cell": task,
                "reasoning.metadata": json.dumps(entry["metadata"], sort_keys=True, default=str),
            }

    def _dataset(self, task: str) -> Iterable[dict[str, Any]]:
        try:
            import reasoning_gym  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ModuleNotFoundError as error:
            raise RunError("the library reasoning-gym is not installed", hint=_INSTALL) from error
        try:
            dataset: Iterable[dict[str, Any]] = reasoning_gym.create_dataset(
                task, size=self.count, seed=self.seed, **self.task_options.get(task, {})
            )
        except (TypeError, ValueError, AssertionError) as error:
            raise RunError(f"reasoning-gym rejects the options of '{task}': {error}", place="task_options") from error
        return dataset


def gym_score(task: str, answer: str, expected: str, metadata: str) -> float:
    """Score an answer with the library's scorer of a task.

    Args:
        task: Name of the task.
        answer: The answer to score.
        expected: The reference answer.
        metadata: The column `reasoning.metadata` of the problem.

    Returns:
        A score from 0 to 1.

    Raises:
        RunError: The library is not installed.
    """
    try:
        import reasoning_gym
    except ModuleNotFoundError as error:
        raise RunError("the library reasoning-gym is not installed", hint=_INSTALL) from error
    entry = {"question": "", "answer": expected, "metadata": json.loads(metadata)}
    return float(reasoning_gym.get_score_answer_fn(task)(answer=answer, entry=entry))


def _version() -> str | None:
    try:
        return version("reasoning-gym")
    except PackageNotFoundError:
        return None
