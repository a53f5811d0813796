"""The marks an option can carry: which stage, teacher or sampler it names, and whether it is part of identity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator

from textbookgen.api.artifacts import Artifact


@dataclass(frozen=True, init=False)
class Input:
    """The option names a stage above (or a list of them); what flows out of it must be one of `takes`.

    With `or_name` the option may also be a name that is no label, such as `hf:tokenizer.json`.
    """

    types: tuple[type[Artifact], ...]
    or_name: bool = False

    def __init__(self, *types: type[Artifact], or_name: bool = False) -> None:
        object.__setattr__(self, "types", types)
        object.__setattr__(self, "or_name", or_name)


@dataclass(frozen=True)
class Label:
    """The option names a table of the recipe other than a stage."""

    table: Literal["teacher", "sampler"]


@dataclass(frozen=True)
class TemplateOption:
    """The option names a prompt template."""


@dataclass(frozen=True)
class FiltersOption:
    """The option names judges by what a recipe would `use`, each a string or a table of options with `use`."""


@dataclass(frozen=True)
class RuntimeOption:
    """The option says where or how fast, never what: it is left out of the fingerprint."""


Template = TemplateOption()
Filters = FiltersOption()
Runtime = RuntimeOption()


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Mark = TypeVar("Mark")

#: The type of a pipe that takes one label or a list of them.
Labels = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]


def options_with(options: type[BaseModel], mark: type[Mark]) -> Iterator[tuple[str, Mark]]:
    """The fields of a class of options that carry this kind of mark, with the mark."""
    for name, field in options.model_fields.items():
        for item in field.metadata:
            if isinstance(item, mark):
                yield name, item


def option_name(options: type[BaseModel], field: str) -> str:
    """What a recipe calls the field: its alias, or else its name."""
    return options.model_fields[field].alias or field
