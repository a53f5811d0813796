"""Overrides: values that replace those of the recipe file, as `--set KIND.LABEL.KEY=VALUE` gives them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from textbookgen.api.errors import Diagnostic, RecipeError

_USAGE = "write --set KIND.LABEL.KEY=VALUE, for example --set stage.small.tokens=1000"


def parse_override(assignment: str) -> tuple[str, Any]:
    """Split `stage.small.layers=4` into the name and the value; a value that is not TOML is taken as text.

    Raises:
        RecipeError: there is no `=`.
    """
    name, equals, value = assignment.partition("=")
    if not equals:
        raise RecipeError([Diagnostic(f"--set {assignment}", "has no '='", _USAGE)])
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def apply_overrides(tables: dict[str, Any], overrides: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Set the values in the tables of a recipe, in place; yield a diagnostic for each name that has no table there."""
    for name, value in overrides.items():
        *groups, key = name.split(".")
        table: Any = tables
        for group in groups:
            table = table.get(group) if isinstance(table, dict) else None
        if not groups:
            yield Diagnostic(f"--set {name}", f"'{name}' names no table of the recipe", _USAGE)
        elif not isinstance(table, dict):
            yield Diagnostic(f"--set {name}", f"the recipe has no table [{'.'.join(groups)}]", _USAGE)
        else:
            table[key] = value


def override_of(overrides: Mapping[str, Any], option: str) -> str | None:
    """Return the name of the override that sets an option or a value inside it; None if the file sets it."""
    return next((name for name in overrides if name == option or name.startswith(f"{option}.")), None)
