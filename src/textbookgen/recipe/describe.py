"""Describe the options of a class for people: names, types, defaults and descriptions, in the terms of a recipe."""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from textbookgen.api.annotations import FiltersOption, Input, Label, RuntimeOption, TemplateOption, option_name, options_with
from textbookgen.api.stage import Stage

OPTION_COLUMNS = ("option", "type", "default", "description")

#: Types by their names in TOML.
_TYPE_NAMES: dict[object, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    Path: "path",
    Any: "any",
    dict: "table",
    list: "list",
    tuple: "list",
}


def description(kind: type[BaseModel]) -> str:
    """Return the docstring of a class."""
    return inspect.getdoc(kind) or ""


def first_sentence(kind: type[BaseModel]) -> str:
    """Return the first sentence of a class's docstring, without the full stop."""
    return " ".join(description(kind).split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def input_types(stage: type[Stage]) -> str:
    """Return the types that a stage takes through `from` and its other input options."""
    inputs = {option_name(stage, name): mark for name, mark in options_with(stage, Input)}
    return ", ".join("/".join(artifact.name for artifact in mark.types) for mark in inputs.values()) or "–"


def option_rows(kind: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, default and description of each option, required ones first; runtime options are marked."""
    runtime = {name for name, _ in options_with(kind, RuntimeOption)}
    for name, field in sorted(kind.model_fields.items(), key=lambda item: not item[1].is_required()):
        default = "required" if field.is_required() else as_toml(field.get_default(call_default_factory=True))
        note = " (runtime option: does not affect the output)" if name in runtime else ""
        yield option_name(kind, name), type_name(field.annotation, field.metadata), default, (field.description or "") + note


def as_toml(value: object) -> str:
    """Return a value as a recipe would write it; a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {as_toml(item)}' for key, item in value.items())} }}" if value else "{}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, int) and abs(value) >= 10_000 and not isinstance(value, bool):
        return f"{value:_}"
    return json.dumps(value if isinstance(value, bool | int | float) else str(value), ensure_ascii=False)


def type_name(annotation: object, metadata: Iterable[object] = ()) -> str:
    """Return a type in the terms of a recipe, with the bounds of its values."""
    metadata = list(metadata)
    if reference := next((name for mark in metadata if (name := _reference(mark, annotation))), ""):
        return reference
    return f"{_plain_name(annotation)} {_bounds(metadata)}".rstrip()


def _reference(mark: object, annotation: object) -> str:
    """Return what an option refers to (a stage, a prompt, ...); empty if it is a plain value."""
    if isinstance(mark, Input):
        return ("stage or stages" if "tuple" in str(annotation) else "stage") + (" or name" if mark.or_name else "")
    if isinstance(mark, Label):
        return mark.table
    return {TemplateOption: "prompt", FiltersOption: "filters"}.get(type(mark), "")


def _plain_name(annotation: object) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(inner[0], [item for more in inner[1:] for item in getattr(more, "metadata", [more])])
    if origin is Literal:
        return " | ".join(as_toml(item) for item in inner)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(type_name(item) for item in inner if item is not NoneType))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"table of {type_name(inner[1])}"
    if isinstance(origin, type) and issubclass(origin, Collection):
        kinds = [type_name(item) for item in inner if item is not Ellipsis]
        return f"list of {kinds[0]}" if origin is not tuple or Ellipsis in inner else f"[{', '.join(kinds)}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"table with {', '.join(option_name(annotation, name) for name in annotation.model_fields)}"
    return _TYPE_NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(metadata: Iterable[object]) -> str:
    """Return the minimum and maximum in pydantic's metadata, such as `> 0, ≤ 1`."""
    signs = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
    bounds = [
        f"{sign} {bound:g}" for item in metadata for name, sign in signs if (bound := getattr(item, name, None)) is not None
    ]
    return ", ".join(bounds)
