"""lm-evaluation-harness on local files: its published tasks, with nothing but the location of their data replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lm_eval
import yaml
from lm_eval.tasks import TaskManager

#: Files of tasks that are not named after them, in the harness's folder of tasks.
FILES = {
    "arc_easy": "arc/arc_easy",
    "arc_challenge": "arc/arc_challenge",
    "boolq": "super_glue/boolq/default",
    "commonsense_qa": "commonsense_qa/default",
    "lambada_openai": "lambada/lambada_openai",
    "social_iqa": "siqa/siqa",
    "winogrande": "winogrande/default",
}


def published(task: str) -> Path:
    """Return the file of a task; finding it here is faster than the harness's index of all tasks."""
    if task.startswith("mmlu_"):
        folder = "continuation" if task.endswith("_continuation") else "default"
        name = f"mmlu/{folder}/{task.removesuffix('_continuation')}"
    else:
        name = FILES.get(task, f"{task}/{task}")
    return Path(lm_eval.__file__).parent / "tasks" / f"{name}.yaml"


class Harness:
    """Runs tasks of lm-evaluation-harness on one model.

    Args:
        model: an `LM`.
        folder: where its task files are written.
    """

    def __init__(self, model: Any, folder: Path) -> None:
        self.model, self.folder = model, folder

    def write(self, task: str, files: Mapping[str, str], changes: Mapping[str, Any] | None = None, name: str = "") -> str:
        """Write a copy of a published task that reads local files by split; return its name."""
        name = name or f"local_{task}"
        config: dict[str, Any] = {
            "include": str(published(task)),
            "task": name,
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": dict(files)},
            **(changes or {}),
        }
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        return name

    def run(self, *names: str, shots: int | None = None) -> dict[str, Any]:
        """Return the results and samples of tasks in the folder."""
        manager = TaskManager(include_path=str(self.folder), include_defaults=False)
        results: dict[str, Any] = lm_eval.simple_evaluate(
            self.model, tasks=list(names), num_fewshot=shots, task_manager=manager, bootstrap_iters=10, random_seed=0
        )
        return results


def by_subject(file: str, folder: Path) -> dict[str, str]:
    """Split a file of MMLU by subject, as the Hub does; return the paths."""
    rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    paths = {}
    for subject in dict.fromkeys(row["subject"] for row in rows):
        path = folder / f"{subject}-{Path(file).name}"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["subject"] == subject), encoding="utf-8")
        paths[subject] = str(path)
    return paths
