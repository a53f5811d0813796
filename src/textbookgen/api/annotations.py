"""Annotations of options: what an option names, and whether it is part of a step's fingerprint.

They are written into the type of a field: `Annotated[str, Input(Documents)]`. A plain option has none and is part of the
fingerprint.

| annotation | the option is |
|---|---|
| `Input(*types)` | the label of an earlier stage, or of several with the type `Labels` |
| `Label("teacher")`, `Label("sampler")` | the label of a teacher or sampler |
| `Template` | a prompt template, or a list of them, by name or as text; the text is part of the fingerprint |
| `Opens("tokenizer")`, `Opens("benchmark")` | a name, or a list of names, that a plugin must be able to open |
| `Filters` | one or several filters: names, or tables of options with `use` |
| `Runtime` | a setting of how, where or how fast to run, left out of the fingerprint: it must not change the output |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator

from textbookgen.api.artifacts import Artifact


@dataclass(frozen=True, init=False)
class Input:
    """The option is the label of an earlier stage, or a list of labels. For samplers, see `Sampler.reads`.

    Attributes:
        types: the artifact types that the output of the stage may have.
        or_name: whether the option may also be a name that is not a label, such as `hf:tokenizer.json`.
    """

    types: tuple[type[Artifact], ...]
    or_name: bool = False

    def __init__(self, *types: type[Artifact], or_name: bool = False) -> None:
        object.__setattr__(self, "types", types)
        object.__setattr__(self, "or_name", or_name)


@dataclass(frozen=True)
class Label:
    """The option is the label of a teacher or a sampler.

    Attributes:
        table: the kind of table.
    """

    table: Literal["teacher", "sampler"]


@dataclass(frozen=True)
class TemplateOption:
    """The option is a prompt template, or a list of them; write `Template`."""


@dataclass(frozen=True)
class Opens:
    """The option is a name, or a list of names, that a plugin opens; `recipe check` reports those that none can open.

    Attributes:
        what: what the names are names of.
    """

    what: Literal["tokenizer", "benchmark"]


@dataclass(frozen=True)
class FiltersOption:
    """The option names filters, each a string or a table of options with `use`; write `Filters`."""


@dataclass(frozen=True)
class RuntimeOption:
    """The option does not influence the output and is left out of the fingerprint; write `Runtime`."""


Template = TemplateOption()
Filters = FiltersOption()
Runtime = RuntimeOption()


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


AnnotationT = TypeVar("AnnotationT")

#: The type of an option that takes one label or a list of labels.
Labels = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


def options_with(options: type[BaseModel], annotation: type[AnnotationT]) -> Iterator[tuple[str, AnnotationT]]:
    """Yield the options that carry an annotation of this class.

    Args:
        options: the class of a stage, teacher or sampler.
        annotation: the class of the annotation, such as `Input` or `RuntimeOption`.

    Yields:
        The name of the field and the annotation.
    """
    for name, field in options.model_fields.items():
        for metadata in field.metadata:
            if isinstance(metadata, annotation):
                yield name, metadata


def option_name(options: type[BaseModel], field: str) -> str:
    """Return the name of a field in recipes: its alias if it has one, such as `from` for `inputs`."""
    return options.model_fields[field].alias or field
