"""Checks of a generator that need more than its own options: its prompt's variables, and whether its target can be reached."""

from __future__ import annotations

from collections.abc import Set
from random import Random
from typing import Any

from textbookgen.api.generator import Generator
from textbookgen.api.grader import Grader
from textbookgen.api.sampler import AcceptedStats, Sampler
from textbookgen.recipe.connect import Connections
from textbookgen.recipe.diagnostics import DiagnosticCollector
from textbookgen.recipe.parser import Entry
from textbookgen.recipe.plan import Component
from textbookgen.recipe.prompt_checks import check_prompts, document_variables
from textbookgen.recipe.prompts import Prompts


def check_generator(
    entry: Entry,
    stage: Generator,
    connections: Connections,
    prompts: Prompts,
    diagnostics: DiagnosticCollector,
    draw_names: Set[str] | None = None,
) -> None:
    """Report options of a generator that contradict each other, and variables that its prompts lack.

    Args:
        entry: the table of the generator.
        stage: the generator.
        connections: its sampler and filters.
        prompts: the prompt templates.
        diagnostics: where errors are reported.
        draw_names: with `from`, the variables that the input documents were drawn with; None if they are not known.
    """
    if not stage.inputs and stage.count is None:
        diagnostics.report(entry, "", "the option 'count' is required", "number of documents to write")
    if stage.inputs and stage.count is not None:
        problem = "cannot be combined with `from`: one request is made per input document"
        diagnostics.report(entry, "count", problem, "use `sample` to limit the number of input documents")
    if stage.target is not None:
        _check_target(entry, stage, connections.sampler, diagnostics)
    _check_generator_prompts(entry, stage, connections, prompts, diagnostics, draw_names)


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


def _check_generator_prompts(
    entry: Entry,
    stage: Generator,
    connections: Connections,
    prompts: Prompts,
    diagnostics: DiagnosticCollector,
    draw_names: Set[str] | None,
) -> None:
    """Report what is wrong with the prompts of a generator, and of the graders in its `accept`."""
    sampler = connections.sampler
    known = stage.sampler is None or sampler is not None  # otherwise the sampler is wrong itself
    own: dict[str, Any] = sampler.options.draw(0, Random(0), AcceptedStats()) if sampler else {}
    variables = own | (document_variables() if stage.inputs else {})
    check_prompts(entry, stage, variables if known else None, prompts, diagnostics, draw_names=draw_names)
    for component in connections.filters:
        if isinstance(component.options, Grader):
            check_prompts(
                entry,
                component.options,
                document_variables(),
                prompts,
                diagnostics,
                draw_names=set(own) if known else None,
                within="accept",
            )
