"""Names that a recipe refers to are opened by `recipe check`, before anything is paid for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from textbookgen.api.errors import RecipeError
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace

RECIPE = """
[recipe]
name = "names"
[teacher.author]
use = "fake"
[stage.stories]
use = "write"
teacher = "author"
prompt = "Write a story."
count = 3
{trained}
[stage.shards]
use = "pack"
from = "stories"
tokenizer = "{tokenizer}"
"""
TRAINED = '[stage.vocabulary]\nuse = "train-tokenizer"\nfrom = "stories"\n'


@pytest.mark.parametrize(
    ("tokenizer", "trained", "problem", "hint"),
    [
        ("byte", "", "no installed plugin provides the tokenizer 'byte'", "write `bytes`, `hf:PATH`"),
        (
            "vocabulry",
            TRAINED,
            "no installed plugin provides the tokenizer 'vocabulry'",
            "did you mean the stage 'vocabulary'?",
        ),
        ("gpt2", TRAINED, "no installed plugin provides the tokenizer 'gpt2'", "the stage 'vocabulary' trains one"),
        ("shards", "", "no installed plugin provides the tokenizer 'shards'", "written above it in the file"),
    ],
)
def test_a_tokenizer_that_no_plugin_provides_is_an_error(
    planned: Callable[..., Plan], tokenizer: str, trained: str, problem: str, hint: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(RECIPE.format(tokenizer=tokenizer, trained=trained))
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.place.split("] ")[1], diagnostic.problem) == ("tokenizer", problem)
    assert hint in diagnostic.hint


def test_a_tokenizer_file_that_is_missing_keeps_a_run_from_starting(
    planned: Callable[..., Plan], folder: Path, plugins: Plugins
) -> None:
    plan = planned(RECIPE.format(tokenizer="hf:nowhere/tokenizer.json", trained=""))
    (missing,) = plan.missing_requirements
    assert missing.problem == "there is no tokenizer 'nowhere/tokenizer.json'"
    with pytest.raises(RecipeError, match="there is no tokenizer"):
        run_plan(plan, Workspace(folder / "work"), plugins, executor="serial")
    assert not (folder / "work").exists(), "nothing was asked"


@pytest.mark.parametrize(("tokenizer", "trained"), [("bytes", ""), ("vocabulary", TRAINED)])
def test_a_tokenizer_that_exists_or_that_a_stage_above_trains_is_accepted(
    planned: Callable[..., Plan], tokenizer: str, trained: str
) -> None:
    plan = planned(RECIPE.format(tokenizer=tokenizer, trained=trained))
    assert plan.missing_requirements == ()


EVALUATED = """
[recipe]
name = "names"
[stage.numbers]
use = "toy/numbers"
[stage.joined]
use = "toy/join"
from = "numbers"
[stage.model]
use = "toy/hash"
shards = "joined"
[stage.report]
use = "evaluate"
from = "model"
runner = "toy/contains"
benchmarks = ["example-three", "{benchmark}"]
"""


def test_a_benchmark_that_does_not_exist_is_reported(planned: Callable[..., Plan], folder: Path) -> None:
    with pytest.raises(RecipeError, match="no installed plugin provides the benchmark 'humanevall'") as caught:
        planned(EVALUATED.format(benchmark="humanevall"))
    assert "[stage.report] benchmarks" in str(caught.value)
    (missing,) = planned(EVALUATED.format(benchmark="humaneval@none.jsonl")).missing_requirements
    assert "there is no file 'none.jsonl'" in missing.problem
    assert planned(EVALUATED.format(benchmark="humaneval")).missing_requirements == ()
