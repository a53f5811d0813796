"""Checks of a generator that need more than its own options: its prompt's variables, and whether its target can be reached."""

from __future__ import annotations

from random import Random
from typing import Any

from textbookgen.api.errors import TextbookgenError
from textbookgen.api.generator import Generator
from textbookgen.api.sampler import AcceptedStats, Sampler
from textbookgen.recipe.diagnostics import DiagnosticCollector
from textbookgen.recipe.parser import Entry
from textbookgen.recipe.plan import Component
from textbookgen.recipe.prompts import Prompts


def check_generator(
    entry: Entry, stage: Generator, sampler: Component[Sampler] | None, prompts: Prompts, diagnostics: DiagnosticCollector
) -> None:
    """Report options of a generator that contradict each other, and variables that its prompt lacks."""
    if not stage.inputs and stage.count is None:
        diagnostics.report(entry, "", "the option 'count' is required", "number of documents to write")
    if stage.inputs and stage.count is not None:
        problem = "cannot be combined with `from`: one request is made per input document"
        diagnostics.report(entry, "count", problem, "use `sample` to limit the number of input documents")
    if stage.target is not None:
        _check_target(entry, stage, sampler, diagnostics)
    _check_prompt(entry, stage, sampler, prompts, diagnostics)


def _check_target(entry: Entry, stage: Generator, sampler: Component[Sampler] | None, diagnostics: DiagnosticCollector) -> None:
    """Report a target that cannot be reached."""
    if stage.inputs:
        problem, hint = "cannot be combined with `from`", "a target is for stages that write until `count` is reached"
        diagnostics.report(entry, "target", problem, hint)
    if stage.target is None or stage.target.coverage is None:
        return
    grid = sampler.options.grid() if sampler else None
    if grid is None:
        problem = "`coverage` needs a sampler that combines lists of values"
        diagnostics.report(entry, "target", problem, "such samplers are `grid`, `uncovered` and a `product` of them")
    elif stage.target.coverage * grid.cells > (stage.count or 0) + 1e-9:
        problem = f"`count` is too small to cover {stage.target.coverage:.0%} of {grid.cells:,} combinations"
        diagnostics.report(entry, "target", problem, "raise `count`, lower `coverage`, or combine fewer values")


def _check_prompt(
    entry: Entry, stage: Generator, sampler: Component[Sampler] | None, prompts: Prompts, diagnostics: DiagnosticCollector
) -> None:
    """Report a prompt template that is missing or malformed, or that needs a variable which is not provided."""
    variables: dict[str, Any] = sampler.options.draw(0, Random(0), AcceptedStats()) if sampler else {}
    if stage.inputs:
        variables["document"] = {"id": "", "text": "", "kind": ""}
    try:
        missing = prompts.missing(stage.prompt, variables)
    except TextbookgenError as error:
        diagnostics.report(entry, "prompt", error.problem + (f" ({error.place})" if error.place else ""), error.hint)
        return
    if stage.sampler is not None and sampler is None:  # the variables are unknown: the sampler is wrong itself
        return
    if type(stage).generate is not Generator.generate:  # the stage renders its prompts itself, over several turns
        return
    provided = ", ".join(sorted(variables)) or "none"
    for name in missing:
        problem = f"'{stage.prompt}' needs the variable '{name}', which the sampler does not provide"
        diagnostics.report(entry, "prompt", problem, f"variables provided: {provided}")
