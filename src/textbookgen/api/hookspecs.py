"""Hook specifications: every extension point that a plugin can implement.

A plugin is a package with an entry point in the group `textbookgen`. Its module implements any of these hooks as functions that
are decorated with `hookimpl`. The entry point's name is the prefix of everything the plugin provides: the stage `length` of the
plugin `my-filters` is used as `my-filters/length`.

Hooks are called in the process of the run and in every worker process, so importing the module must be cheap: import heavy
libraries inside the methods that need them.
"""

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

# -- What a plugin provides: called once, when plugins are loaded


@hookspec
def stages() -> Iterable[type[Stage]]:
    """Return the stages that a recipe can use."""
    return ()


@hookspec
def teachers() -> Iterable[type[Teacher]]:
    """Return the teachers that a recipe can use: an API, a local model, a recording."""
    return ()


@hookspec
def samplers() -> Iterable[type[Sampler]]:
    """Return the samplers that a recipe can use."""
    return ()


@hookspec
def prompt_folders() -> Iterable[Traversable]:
    """Return folders of prompt templates (Jinja), searched after the recipe's own."""
    return ()


@hookspec
def recipe_folders() -> Iterable[Traversable]:
    """Return folders of recipes for `recipe list`, `recipe show` and `recipe new --like`."""
    return ()


# -- What a plugin can open by name: the first plugin that returns something wins; return None for names of others


@hookspec(firstresult=True)
def open_tokenizer(name: str) -> Tokenizer | None:
    """Return the tokenizer of this name, such as `hf:tokenizer.json` or `bytes`."""
    return None


@hookspec(firstresult=True)
def open_benchmark(name: str) -> Benchmark | None:
    """Return the benchmark of this name, such as `humaneval`; do not read it before its `items` are requested."""
    return None


@hookspec(firstresult=True)
def open_model(checkpoint: Path) -> Model | None:
    """Return the model in this folder if its card, `checkpoint.json`, has a `format` that the plugin supports."""
    return None


@hookspec(firstresult=True)
def open_executor(name: str) -> Executor | None:
    """Return the executor of this name, such as `serial`, `processes` or that of a cluster."""
    return None


# -- What a plugin can observe


@hookspec
def observe(event: Event) -> None:
    """Receive each event of a run, in order (see `textbookgen.api.events`).

    An observer that raises an error is reported once and receives no further events; the run continues.
    """
