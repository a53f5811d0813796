"""Check the names of tokenizers and benchmarks in a recipe by opening them, before anything is paid for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from textbookgen.api.annotations import Input, Opens, option_name, options_with
from textbookgen.api.artifacts import Artifact, TrainedTokenizer
from textbookgen.api.errors import MissingRequirement, PluginError, TextbookgenError
from textbookgen.recipe.diagnostics import DiagnosticCollector
from textbookgen.recipe.parser import Entry
from textbookgen.recipe.plugin_manager import Plugins


def check_names(
    entry: Entry,
    options: BaseModel,
    outputs: Mapping[str, type[Artifact] | None],
    plugins: Plugins,
    diagnostics: DiagnosticCollector,
    *,
    within: str = "",
) -> None:
    """Report each tokenizer and benchmark that no plugin can open.

    A name that no plugin provides is an error. A file that is not there is a missing requirement: the cost can be estimated,
    but the recipe cannot run.

    Args:
        entry: the table of the stage.
        options: the stage, or a filter within one of its options.
        outputs: the output types of the stages above, by label: these are not names.
        plugins: what opens them.
        diagnostics: where they are reported.
        within: the option that contains `options`, for a filter.
    """
    openers = {"tokenizer": plugins.tokenizer, "benchmark": plugins.benchmark}
    for option, what, name in _names(options, outputs):
        try:
            openers[what](name)
        except PluginError as error:
            diagnostics.report(entry, within or option, error.problem, _hint(name, what, outputs, diagnostics) or error.hint)
        except TextbookgenError as error:
            hint = _hint(name, what, outputs, diagnostics) or error.hint
            diagnostics.extend(entry, [MissingRequirement(within or option, error.problem, hint)])


def _names(options: BaseModel, outputs: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield option, kind and name of everything that the options name and that is not the label of a stage above."""
    kind = type(options)
    for field, mark in options_with(kind, Input):
        if mark.or_name and TrainedTokenizer in mark.types:
            yield from ((option_name(kind, field), "tokenizer", name) for name in _values(options, field, outputs))
    for field, opens in options_with(kind, Opens):
        yield from ((option_name(kind, field), opens.what, name) for name in _values(options, field, outputs))


def _values(options: BaseModel, field: str, outputs: Collection[str]) -> list[str]:
    value: Any = getattr(options, field)
    names = [value] if isinstance(value, str) else list(value or ())
    return [name for name in names if name not in outputs]


def _hint(name: str, what: str, outputs: Mapping[str, type[Artifact] | None], diagnostics: DiagnosticCollector) -> str:
    """Return what to write instead: a stage that was meant, if one can be."""
    if what != "tokenizer":
        return ""
    if any(entry.label == name for entry in diagnostics.recipe.of("stage")):
        return "a stage can only use stages that are written above it in the file"
    trained = [label for label, output in outputs.items() if output is not None and issubclass(output, TrainedTokenizer)]
    if close := get_close_matches(name, trained, n=1):
        return f"did you mean the stage '{close[0]}'?"
    if trained:
        return f"the stage '{trained[0]}' trains one: write its label, or `bytes`, or `hf:PATH` of a tokenizer.json"
    return "write `bytes`, `hf:PATH` of a tokenizer.json, or the label of a stage above that trains one"
