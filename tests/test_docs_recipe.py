"""The recipe in docs/recipes.md under "Your own prompt", run with scripted replies in the styles of language models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.storage.workspace import RunFolder

DOCS = Path(__file__).parents[1] / "docs"


class Scripted(Teacher):
    """Writes, assesses and checks fables, each in three styles; every eighth fable lacks its text."""

    name: ClassVar[str] = "scripted"
    max_tokens: int = 900
    prompts: ClassVar[list[str]] = []

    async def complete(self, request: Request) -> Reply:
        prompt = request.messages[-1].content
        self.prompts.append(prompt)
        if prompt.startswith("Write "):
            return Reply(self._fables(prompt, request.sample), 150, 400)
        number = int(prompt.split("Number ")[1].split()[0])
        return Reply(self._assessment(number) if "score: N" in prompt else self._check(number), 200, 50)

    @staticmethod
    def _fables(prompt: str, sample: int) -> str:
        animal = prompt.split("In each, ")[1].split(" learns")[0]
        texts = [f"Number {sample * 3 + at} is about {animal}.\nIt learned." for at in range(int(prompt.split()[1]))]
        fables = [
            {"title": f"About {animal}", "text": "" if (sample * 3 + at) % 8 == 5 else text, "moral": "Be kind."}
            for at, text in enumerate(texts)
        ]
        reply = json.dumps({"fables": fables}, indent=1)
        return (reply, f"```json\n{reply}\n```", f"Sure! Here are the fables:\n\n{reply}\n\nLet me know!")[sample % 3]

    @staticmethod
    def _assessment(number: int) -> str:
        score = 1 + number % 5
        styles = (
            f"It fits.\nscore: {score}",
            f"It fits.\n\n**Score:** {score}/5",
            f"## Assessment\nIt fits.\n\nFinal score: {score}",
        )
        return styles[number % 3]

    @staticmethod
    def _check(number: int) -> str:
        answer = json.dumps({"reason": "none", "consistent": number % 7 != 0})
        return (answer, f"```\n{answer}\n```", f"Here is my answer:\n{answer}")[number % 3]

    def price(self) -> Price:
        return Price(0, 0)


class Scripts:
    """A plugin with the scripted teacher."""

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Scripted]


@pytest.fixture
def recipe() -> str:
    """The text of the recipe, as it is in the docs."""
    section = (DOCS / "recipes.md").read_text(encoding="utf-8").split("## Your own prompt\n")[1]
    return str(re.findall(r"```toml\n(.*?)```", section, re.DOTALL)[0])


def scripted(recipe: str) -> str:
    """Return the recipe with other teachers."""
    return re.sub(r"(\[teacher\.\w+\]\n).*?\n\n", r'\1use = "scripts/scripted"\n\n', recipe, flags=re.DOTALL)


def test_the_recipe_in_the_docs_is_valid_as_it_is(planned: Callable[..., Plan], recipe: str) -> None:
    plan = planned(recipe)
    assert [step.label for step in plan.steps] == ["fables", "consistent"]
    assert plan.missing_requirements == ()


def test_the_recipe_in_the_docs_runs(ran: Callable[..., RunFolder], folder: Path, plugins: Plugins, recipe: str) -> None:
    plugins.add("scripts", Scripts())
    Scripted.prompts.clear()
    run = ran(scripted(recipe))
    fables, consistent = run.summary().steps
    assert fables.rows_out == 60
    assert set(fables.dropped) <= {"score below 4", "count reached"}
    files = sorted((folder / "work" / "steps").glob("fables-*/data/*.parquet"))
    rows = pl.concat([pl.read_parquet(file) for file in files])
    assert rows["text"].str.contains(r"^Number \d+ is about an? \w+\.\nIt learned\.$").all()
    assert set(rows["kind"]) == {"story"}
    assert set(rows["write.moral"]) == {"Be kind."}
    failures = pl.concat([pl.read_parquet(file) for file in (folder / "work" / "steps").glob("fables-*/failures/*.parquet")])
    assert set(failures["reason"]) == {"unusable: `text` is missing or empty in the reply"}
    kept = sum(int(text.split()[1]) % 7 != 0 for text in accepted(folder, rows)["text"])
    assert (consistent.rows_in, consistent.rows_out) == (60, kept)
    assert set(consistent.dropped) == {"consistent is not true"}
    assert all("{{" not in prompt for prompt in Scripted.prompts)


def accepted(folder: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that the generator accepted."""
    files = sorted((folder / "work" / "steps").glob("fables-*/verdicts/*.parquet"))
    return rows.join(pl.concat([pl.read_parquet(file) for file in files]).filter("keep"), on="id", how="semi")
