"""Build the options of a table, and explain validation errors in the recipe's terms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from textbookgen.api.annotations import option_name
from textbookgen.api.errors import PluginError, RecipeError
from textbookgen.api.stage import Stage
from textbookgen.recipe.describe import as_toml
from textbookgen.recipe.diagnostics import DiagnosticCollector
from textbookgen.recipe.parser import Entry, Recipe
from textbookgen.recipe.plugin_manager import Plugins

Table = TypeVar("Table", bound=BaseModel)

#: What a value must be, by pydantic's error types; other errors keep pydantic's message.
_MESSAGES = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
    "path_type": "a path",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


@dataclass(frozen=True)
class OptionError:
    """One thing that is wrong with the options of a table; `key` is empty if it is about the table as a whole."""

    key: str
    problem: str
    hint: str = ""


def build_options(
    entry: Entry, plugins: Plugins, diagnostics: DiagnosticCollector, *, limit: int | None = None
) -> BaseModel | None:
    """Return an instance of the class that a table uses; None after reporting that there is none, or that an option is wrong.

    Args:
        entry: the table.
        plugins: where the class is looked up.
        diagnostics: where errors are reported.
        limit: the largest number of documents of a source or generator.
    """
    try:
        kind: type[BaseModel] = plugins.find(entry.kind, entry.use)
    except PluginError as error:
        diagnostics.report(entry, "use", error.problem, error.hint)
        return None
    options = dict(entry.options)
    if limit is not None and issubclass(kind, Stage):
        options = kind.limited(options, limit)
    try:
        return plugins.build(kind, options)
    except ValidationError as error:
        for problem in explain(error, kind, entry.kind, entry.use, options):
            diagnostics.report(entry, problem.key, problem.problem, problem.hint)
    return None


def build_table(recipe: Recipe, kind: type[Table], label: str, plugins: Plugins) -> Table:
    """Return the teacher or sampler that one table of a recipe configures, without planning the recipe.

    Args:
        recipe: the recipe.
        kind: `Teacher` or `Sampler`.
        label: the label of the table.
        plugins: where its class is looked up.

    Raises:
        RecipeError: there is no such table, or it is wrong.
    """
    diagnostics = DiagnosticCollector(recipe)
    options = build_options(recipe.entry(kind.__name__.lower(), label), plugins, diagnostics)
    if not isinstance(options, kind):
        raise RecipeError(diagnostics.errors)
    return options


def explain(
    error: ValidationError, kind: type[BaseModel], table: str, use: str, options: Mapping[str, Any]
) -> Iterator[OptionError]:
    """Yield each error of a validation in the recipe's terms.

    Args:
        error: what pydantic raised.
        kind: the class that was validated.
        table: the kind of table: `stage`, `teacher` or `sampler`.
        use: the name of the class, as a recipe writes it.
        options: the values that were validated.
    """
    names = {option_name(kind, name): name for name in kind.model_fields}
    groups: dict[tuple[int | str, ...], _Rejected] = {}
    for problem in error.errors():
        key = str(problem["loc"][0]) if problem["loc"] else ""
        hint = kind.model_fields[names[key]].description or "" if key in names else ""
        match problem["type"]:
            case "extra_forbidden" if len(problem["loc"]) == 1:
                close = get_close_matches(key, names, n=1)
                show = f"`textbookgen {table} show {use}` lists the options"
                yield OptionError(key, f"'{use}' has no option '{key}'", f"did you mean '{close[0]}'?" if close else show)
            case "extra_forbidden":
                yield OptionError(key, f"unknown key '{problem['loc'][-1]}' in '{key}'", hint)
            case "missing" if len(problem["loc"]) == 1:
                yield OptionError("", f"the option '{key}' is required", hint)
            case "missing":
                yield OptionError(key, f"the key '{problem['loc'][-1]}' is required in '{key}'", hint)
            case "value_error":
                yield OptionError(key, str(problem["ctx"]["error"]), hint)
            case _:
                path = _path_in(options, problem["loc"])
                groups.setdefault(path, _Rejected(key, problem["input"], hint)).add(problem)
    for path, rejected in groups.items():
        yield rejected.explained(path)


@dataclass
class _Rejected:
    """One value and every reason it was rejected: several where the option takes one of several types."""

    key: str
    value: Any
    hint: str
    types: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def add(self, problem: ErrorDetails) -> None:
        known = _MESSAGES.get(problem["type"])
        text = _in_words(problem["msg"]) if known is None else known
        reasons = self.others if known is None else self.types
        if text and text not in reasons:
            reasons.append(text)

    def explained(self, path: Sequence[int | str]) -> OptionError:
        reasons = [f"must be {' or '.join(self.types)}"] if self.types else []
        where = "".join(f"[{item}]" if isinstance(item, int) else f".{item}" for item in path[1:])
        problem = f"{self.key}{where} " if where else ""
        example = f"; write {as_toml([self.value])}" if self.types == ["a list"] and isinstance(self.value, str | dict) else ""
        return OptionError(
            self.key, f"{problem}{' or '.join([*reasons, *self.others])} (got {self.value!r}){example}".strip(), self.hint
        )


def _in_words(message: str) -> str:
    """Return a message of pydantic without its terms for values."""
    message = re.sub(r"^(?:Input|Value|\w+) should ", "must ", message)
    return re.sub(r" after validation, not .*$", "", message)


def _path_in(options: Mapping[str, Any], location: Iterable[int | str]) -> tuple[int | str, ...]:
    """Return the keys and indices of a pydantic location that exist in the options, without the names of union members."""
    value: Any = options
    path: list[int | str] = []
    for item in location:
        if isinstance(value, Mapping) and item in value:
            value = value[str(item)]
        elif isinstance(value, list | tuple) and isinstance(item, int) and item < len(value):
            value = value[item]
        else:
            continue
        path.append(item)
    return tuple(path)
