"""Check the prompt templates of a stage that asks a teacher: they exist, they parse, and each variable is provided."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from textbookgen.api.errors import TextbookgenError
from textbookgen.api.generator import Generator
from textbookgen.api.grader import Grader
from textbookgen.api.teacher_evaluator import TeacherEvaluator
from textbookgen.recipe.diagnostics import DiagnosticCollector
from textbookgen.recipe.fingerprint import templates_of
from textbookgen.recipe.parser import Entry
from textbookgen.recipe.prompts import Prompts, is_inline


class _AnyRow(dict[str, Any]):
    """An input document whose columns are not known yet: every column exists and is empty."""

    def __missing__(self, column: str) -> Any:
        from jinja2 import ChainableUndefined

        return ChainableUndefined(name=column)


def document_variables(columns: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the variable `document` as it is before the run: a row of which only some columns are known.

    Args:
        columns: the known columns with example values; empty ones unless given.
    """
    return {"document": _AnyRow(columns or {"id": "", "text": "", "kind": ""})}


def check_prompts(
    entry: Entry,
    stage: Generator | Grader | TeacherEvaluator,
    variables: Mapping[str, Any] | None,
    prompts: Prompts,
    diagnostics: DiagnosticCollector,
    *,
    draw_names: Set[str] | None = None,
    within: str = "",
) -> None:
    """Report templates that are missing or malformed, or that need a variable which is not provided.

    Args:
        entry: the table of the stage.
        stage: the stage, or a grader in its `accept`.
        variables: what the templates are rendered with, by name; None if it is not known.
        prompts: the templates.
        diagnostics: where errors are reported.
        draw_names: the variables that the documents were drawn with (`document.draw`); None if they are not known.
        within: the option that contains a grader.
    """
    for option, templates in templates_of(stage).items():
        more = stage.template_variables(option)
        for template in templates:
            try:
                missing = prompts.missing(template, {**(variables or {}), **(more or {})})
                unknown = prompts.attributes(template, "document", "draw") - (draw_names or set())
            except TextbookgenError as error:
                place = f" ({error.place})" if error.place else ""
                diagnostics.report(entry, within or option, error.problem + place, error.hint)
                continue
            name = f"the template in `{option}`" if is_inline(template) else f"'{template}'"
            if variables is not None and more is not None:
                _report_missing(entry, within or option, name, missing, {**variables, **more}, stage, diagnostics)
            if draw_names is None:
                continue
            hint = f"variables of the draws: {', '.join(sorted(draw_names)) or 'none'}"
            for variable in sorted(unknown):
                problem = f"{name} reads document.draw.{variable}, which the documents were not drawn with"
                diagnostics.report(entry, within or option, problem, hint)


def _report_missing(
    entry: Entry,
    place: str,
    template: str,
    missing: list[str],
    provided: Mapping[str, Any],
    stage: Generator | Grader | TeacherEvaluator,
    diagnostics: DiagnosticCollector,
) -> None:
    source = "the sampler does not provide" if isinstance(stage, Generator) else "a grader does not have"
    names = ", ".join(sorted(provided)) or "none"
    for name in missing:
        diagnostics.report(
            entry, place, f"{template} needs the variable '{name}', which {source}", f"variables provided: {names}"
        )
