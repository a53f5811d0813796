"""The doors of the house: everything a plugin can be asked, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from textbookgen.api.benchmark import Benchmark
    from textbookgen.api.events import Event
    from textbookgen.api.executor import Executor
    from textbookgen.api.model import Model
    from textbookgen.api.sampler import Sampler
    from textbookgen.api.stage import Stage
    from textbookgen.api.teacher import Teacher
    from textbookgen.api.tokenizer import Tokenizer

hookspec = HookspecMarker("textbookgen")
hookimpl = HookimplMarker("textbookgen")

# -- What do you bring?  Asked once, when plugins are loaded.


@hookspec
def stages() -> Iterable[type[Stage]]:
    """Stages that a recipe may `use`."""
    return ()


@hookspec
def teachers() -> Iterable[type[Teacher]]:
    """Minds that can be asked: an API, a local model, a recording."""
    return ()


@hookspec
def samplers() -> Iterable[type[Sampler]]:
    """Diversity controllers: what is drawn for each document."""
    return ()


@hookspec
def prompt_folders() -> Iterable[Traversable]:
    """Folders of Jinja templates, searched after the recipe's own."""
    return ()


@hookspec
def recipe_folders() -> Iterable[Traversable]:
    """Folders of recipes, for `recipe list`, `recipe show` and `recipe new --like`."""
    return ()


# -- Can you open this?  The first plugin that knows the name answers.


@hookspec(firstresult=True)
def open_tokenizer(name: str) -> Tokenizer | None:
    """The tokenizer of this name, such as `hf:tokenizer.json` or `bytes`."""
    return None


@hookspec(firstresult=True)
def open_benchmark(name: str) -> Benchmark | None:
    """The benchmark of this name, to decontaminate against or to score by."""
    return None


@hookspec(firstresult=True)
def open_model(checkpoint: Path) -> Model | None:
    """The trained model in this folder, ready to complete and to score text."""
    return None


@hookspec(firstresult=True)
def open_executor(name: str) -> Executor | None:
    """Where parts are worked: `serial`, `processes`, or a cluster such as `ray`."""
    return None


# -- Something happened.  Told, not asked.


@hookspec
def observe(event: Event) -> None:
    """Each event of a run, in order; a plugin that raises is reported once and told no more."""
