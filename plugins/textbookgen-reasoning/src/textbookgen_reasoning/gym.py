"""Problems of reasoning-gym, whose hundred generators come with answers and scorers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, MissingRequirement, RunError, Source, document_id
from textbookgen_reasoning.frames import framed

_INSTALL = "pip install 'textbookgen-reasoning[gym]'"


class Gym(Source):
    """Writes problems of the library reasoning-gym with their answers, task by task.

    Columns: `reasoning.prompt`, `reasoning.answer`, `reasoning.cell` (the task), `reasoning.metadata` (JSON, what the
    library's scorer looks at). The library's version is part of what the step is: another version may ask other things.
    """

    name: ClassVar[str] = "gym"

    tasks: tuple[str, ...] = Field(min_length=1, description="names of the library's tasks, such as `leg_counting`")
    count: int = Field(gt=0, description="problems of each task")
    options: dict[str, dict[str, Any]] = Field({}, description="options of tasks, as the library calls them, by task")
    question: str = Field("Question: {question}\nAnswer: ", description="how a problem is put; `{question}` is replaced")
    seed: int = Field(0, description="another seed makes other problems")

    def check(self) -> Iterable[Diagnostic]:
        """Whether the library is there, and knows the tasks."""
        if _version() is None:
            yield MissingRequirement("", "needs the library reasoning-gym, which is not installed", _INSTALL)
            return
        from reasoning_gym.factory import DATASETS  # type: ignore[import-not-found,import-untyped,unused-ignore]

        for task in self.tasks:
            if task not in DATASETS:
                yield Diagnostic("tasks", f"reasoning-gym {_version()} knows no task '{task}'", "its gallery lists them")
        for task in self.options.keys() - set(self.tasks):
            yield Diagnostic("options", f"'{task}' is none of `tasks`")
        if "{question}" not in self.question:
            yield Diagnostic("question", "does not hold {question}, so nothing would be asked")

    def digest(self) -> str:
        """The version of the library."""
        return f"reasoning-gym {_version()}"

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Documents, at about 200 tokens each."""
        return Estimate(documents=self.count * len(self.tasks), tokens=200.0 * self.count * len(self.tasks))

    def read(self) -> Iterator[pl.DataFrame]:
        """The problems, one a row.

        Raises:
            RunError: the library is not installed, or does not take a task's options.
        """
        return framed((row for task in self.tasks for row in self._rows(task)), {"reasoning.metadata": pl.String()})

    def _rows(self, task: str) -> Iterator[dict[str, Any]]:
        for n, entry in enumerate(self._dataset(task)):
            prompt = self.question.replace("{question}", str(entry["question"]).strip())
            answer = str(entry["answer"]).strip()
            yield {
                "id": document_id(
                    "gym", self.digest(), task, self.seed, json.dumps(self.options.get(task, {}), sort_keys=True), n
                ),
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
            result: Iterable[dict[str, Any]] = reasoning_gym.create_dataset(
                task, size=self.count, seed=self.seed, **self.options.get(task, {})
            )
        except (TypeError, ValueError, AssertionError) as error:
            raise RunError(f"reasoning-gym refuses the task '{task}': {error}", place="options") from error
        return result


def gym_score(task: str, answer: str, right: str, metadata: str) -> float:
    """How good an answer is by the library's own scorer, from 0 to 1.

    Raises:
        RunError: the library is not installed.
    """
    try:
        import reasoning_gym
    except ModuleNotFoundError as error:
        raise RunError("the library reasoning-gym is not installed", hint=_INSTALL) from error
    entry = {"question": "", "answer": right, "metadata": json.loads(metadata)}
    return float(reasoning_gym.get_score_answer_fn(task)(answer=answer, entry=entry))


def _version() -> str | None:
    try:
        return version("reasoning-gym")
    except PackageNotFoundError:
        return None
