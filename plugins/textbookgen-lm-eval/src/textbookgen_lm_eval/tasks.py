"""The stage `lm-eval/tasks`: tasks of lm-evaluation-harness on checkpoints of any trainer."""

# lm-eval has no types
# mypy: disable-error-code="import-untyped,import-not-found,unused-ignore"

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import closing
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Checkpoint, Diagnostic, Evaluator, Input, Labels, MissingRequirement, RunError, Runtime, StageInputs
from textbookgen.api.cards import CheckpointCard
from textbookgen.api.files import write_frame, write_json
from textbookgen.api.hashing import content_digest
from textbookgen.api.rows import ITEM_SCORES, report_table

_INSTALL = "pip install 'textbookgen-lm-eval[harness]'"


class Tasks(Evaluator):
    """Scores each checkpoint on tasks of lm-evaluation-harness (Gao et al.), and reports its figures.

    Prompts, few-shot examples, metrics and standard errors are the harness's; figures equal those of `lm_eval --model hf` on an
    export of the same checkpoint. Data sets come from the Hugging Face Hub, unless the task files in `include_path` name local
    ones. Tasks that execute what a model wrote are refused: the stage `evaluate` runs such programs in a sandbox.
    """

    name: ClassVar[str] = "tasks"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints are scored")
    tasks: tuple[str, ...] = Field(min_length=1, description="names of tasks, groups or tags, such as arc_easy or mmlu")
    include_path: str | None = Field(None, description="folder with further task files (YAML)")
    shots: int | None = Field(None, ge=0, description="few-shot examples per item; unless given, those of each task")
    limit: int | None = Field(None, gt=0, description="use only the first N items of each task")
    document_start: bool = Field(
        False, description="read prompts after the end-of-document token, as in training; the harness's `--model hf` does not"
    )
    batch: Annotated[int, Runtime] = Field(64, gt=0, description="requests per batch")

    def check(self) -> Iterable[Diagnostic]:
        """Report a missing library or folder, and tasks that the harness does not have."""
        if self.include_path is not None and not Path(self.include_path).is_dir():
            yield Diagnostic(
                "include_path", f"there is no folder '{self.include_path}'", "paths are relative to the current one"
            )
            return
        if missing := [name for name in ("lm_eval", "torch") if find_spec(name) is None]:
            yield MissingRequirement("", f"the library {' and '.join(missing)} is not installed", _INSTALL)
            return
        known = _task_names(self.include_path)
        for task in self.tasks:
            if task not in known:
                problem = f"lm-evaluation-harness {_release()} has no task '{task}'"
                yield Diagnostic("tasks", problem, "`python -m lm_eval ls tasks` lists them")

    def digest(self) -> str:
        """Identify the release of lm-evaluation-harness, which may change tasks and metrics, and the files in `include_path`.

        Data sets on the Hub, and files outside of that folder that a task names, are not part of it.
        """
        folder = Path(self.include_path) if self.include_path is not None else None
        files = sorted(file for file in folder.rglob("*") if file.is_file()) if folder and folder.is_dir() else []
        return "\n".join([f"lm-eval {_release()}", *(f"{file} {content_digest(file)}" for file in files)])

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the figures.

        `samples.parquet` has every item with its prompts and responses, `item_scores.parquet` the scores of items,
        `results.json` the versions and options of the tasks by label.

        Raises:
            RunError: a task cannot be run, for instance because its data set is missing.
        """
        rows: list[dict[str, Any]] = []
        samples, scores, configurations = [], [], {}
        from textbookgen_lm_eval import results as harness

        for label, checkpoint in inputs.by_label("from", Checkpoint).items():
            with closing(inputs.resolver.model(checkpoint.path)) as model:
                results = self._run(model, _context_length(checkpoint.path), inputs.seed)
            rows += harness.report_rows(label, results)
            samples.append(harness.sample_rows(label, results))
            scores.append(harness.item_scores(label, results))
            configurations[label] = {key: results[key] for key in ("versions", "configs", "n-shot") if key in results}
        write_frame(out / "samples.parquet", pl.concat(samples))
        write_frame(out / ITEM_SCORES, pl.concat(scores))
        write_json(out / "results.json", json.loads(json.dumps({"lm-eval": _release(), **configurations}, default=str)))
        return report_table(rows)

    def _run(self, model: Any, context_length: int | None, seed: int) -> dict[str, Any]:
        _load()
        import lm_eval
        from lm_eval import evaluator

        from textbookgen_lm_eval.served_lm import ServedLM

        evaluator.get_git_commit_hash = lambda: None  # it prints an error outside of a git repository
        served = ServedLM(model, context_length, self.document_start, self.batch, seed)
        try:
            results: dict[str, Any] = lm_eval.simple_evaluate(
                served,
                tasks=list(self.tasks),
                num_fewshot=self.shots,
                limit=self.limit,
                task_manager=_manager(self.include_path),
                bootstrap_iters=1_000,
            )
        except (OSError, ValueError, KeyError) as error:  # data sets that cannot be read raise any of these
            hint = "data sets come from the Hugging Face Hub, or from files that task files in `include_path` name"
            first_line = next(iter(str(error).splitlines()), "")
            raise RunError(
                f"lm-evaluation-harness failed: {type(error).__name__}: {first_line}", place="tasks", hint=hint
            ) from error
        return results


def _load() -> None:
    """Import the harness without its progress bars and messages."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    import logging

    logging.getLogger("lm_eval").setLevel(logging.ERROR)


@lru_cache(maxsize=4)
def _manager(include_path: str | None) -> Any:
    """Return the harness's index of tasks, which takes seconds to read."""
    _load()
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=include_path)


def _task_names(include_path: str | None) -> frozenset[str]:
    return frozenset(_manager(include_path).all_tasks)


def _release() -> str:
    try:
        return version("lm-eval")
    except PackageNotFoundError:
        return ""


def _context_length(checkpoint: Path) -> int | None:
    """Return the number of tokens that a model reads at most, from its card or the configuration of transformers."""
    card = CheckpointCard.read(checkpoint)
    if "sequence_length" in card.shape:
        return int(card.shape["sequence_length"])
    configuration = checkpoint / "config.json"
    if configuration.is_file():
        values = json.loads(configuration.read_text(encoding="utf-8"))
        lengths = (values.get(name) for name in ("max_position_embeddings", "n_positions", "n_ctx"))
        return next((int(value) for value in lengths if value), None)
    return None
