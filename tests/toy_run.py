"""Runs a recipe in a process that a test can kill: `toy_run.py FOLDER RECIPE`, with `toy` or `graded`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import ClassVar

from conftest import RECIPE, Toy

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace

RECIPE_TEXT = RECIPE.replace('use = "fake"\nwords = 12', 'use = "slow/counting"').replace("count = 20", "count = 60")

#: Documents that a teacher grades while they are written, and again afterwards; a grade is a digit of the text's length.
GRADED_TEXT = """
[recipe]
name = "graded"
[teacher.author]
use = "slow/counting"
max_parallel = 4
[sampler.things]
use = "grid"
thing = ["cat", "dragonfly", "owl", "eel", "hippopotamus", "ox", "wolverine"]
place = ["sea", "hill", "edge of the woods"]
[stage.echoes]
use = "toy/echo"
teacher = "author"
sampler = "things"
count = 40
accept = [{ use = "grade", teacher = "author", prompt = "{{ document.text }}\\nscore: {{ document.text | length % 10 }}\\n-", min_score = 3 }]
[stage.graded]
use = "grade"
teacher = "author"
from = "echoes"
prompt = "On {{ document.draw.thing }}: {{ document.text }}\\nscore: {{ document.text | length % 10 }}\\n-"
max_score = 7
"""
RECIPES = {"toy": RECIPE_TEXT, "graded": GRADED_TEXT}


class Counting(Teacher):
    """A slow teacher that appends a dot to a file for every request."""

    name: ClassVar[str] = "counting"
    log: ClassVar[Path]

    async def complete(self, request: Request) -> Reply:
        log = os.open(self.log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(log, b".")
        os.close(log)
        await asyncio.sleep(float(os.environ.get("TOY_SECONDS", "0.004")))
        return Reply(request.messages[-1].content + f" {request.sample}", tokens_in=5, tokens_out=5)

    def price(self) -> Price:
        return Price(0, 0)


class Slow:
    """A plugin with the counting teacher."""

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Counting]


def main(folder: Path, recipe: str) -> None:
    Counting.log = folder / "requests"
    plugins = Plugins([])
    plugins.add("toy", Toy())
    plugins.add("slow", Slow())
    file = folder / "toy.toml"
    file.write_text(RECIPES[recipe], encoding="utf-8")
    (folder / "echo.md.j2").write_text("Say something about a {{ thing }} by the {{ place }}.", encoding="utf-8")
    run_plan(make_plan(read_recipe(file), plugins), Workspace(folder / "work"), plugins, executor="serial")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
