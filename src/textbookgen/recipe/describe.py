"""What a class of options says of itself: its options with types, defaults and descriptions, for people."""

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


def described(kind: type[BaseModel]) -> str:
    """The class's docstring."""
    return inspect.getdoc(kind) or ""


def first_sentence(kind: type[BaseModel]) -> str:
    """What it is for, in its docstring's first sentence."""
    return " ".join(described(kind).split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def types(stage: type[Stage]) -> str:
    """What flows into a stage through `from` and its other pipes."""
    inputs = {option_name(stage, name): input_option for name, input_option in options_with(stage, Input)}
    return ", ".join("/".join(artifact.name for artifact in input_option.types) for input_option in inputs.values()) or "–"


def options_of(kind: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """Each option, needed ones first: its name in a recipe, its type, its default, and its description; placement is
    marked as such."""
    placement = {name for name, _ in options_with(kind, RuntimeOption)}
    for name, each in sorted(kind.model_fields.items(), key=lambda item: not item[1].is_required()):
        default = "needed" if each.is_required() else as_toml(each.get_default(call_default_factory=True))
        note = " (placement)" if name in placement else ""
        yield option_name(kind, name), type_of(each.annotation, each.metadata), default, (each.description or "") + note


def as_toml(value: object) -> str:
    """A default as a recipe would write it; nothing where it has none."""
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


def type_of(annotation: object, metadata: Iterable[object] = ()) -> str:
    """A type as a recipe author reads it, with the limits of its values."""
    if meant := next((words for item in metadata if (words := _meant(item, annotation))), ""):
        return meant
    return f"{_plain(annotation)} {_limits(metadata)}".rstrip()


def _meant(mark: object, annotation: object) -> str:
    """What an option names, if it does."""
    if isinstance(mark, Input):
        return ("stage or stages" if "tuple" in str(annotation) else "stage") + (" or name" if mark.or_name else "")
    if isinstance(mark, Label):
        return mark.table
    return {TemplateOption: "prompt", FiltersOption: "judges"}.get(type(mark), "")


def _plain(annotation: object) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(inner[0], [item for more in inner[1:] for item in getattr(more, "metadata", [more])])
    if origin is Literal:
        return " | ".join(as_toml(item) for item in inner)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(type_of(item) for item in inner if item is not NoneType))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"table of {type_of(inner[1])}"
    if isinstance(origin, type) and issubclass(origin, Collection):
        kinds = [type_of(item) for item in inner if item is not Ellipsis]
        return f"list of {kinds[0]}" if origin is not tuple or Ellipsis in inner else f"[{', '.join(kinds)}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"table with {', '.join(option_name(annotation, name) for name in annotation.model_fields)}"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _limits(metadata: Iterable[object]) -> str:
    """Least and most, as pydantic keeps them."""
    signs = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
    told = [
        f"{sign} {limit:g}" for item in metadata for name, sign in signs if (limit := getattr(item, name, None)) is not None
    ]
    return ", ".join(told)


#: Types by what they are called in TOML, or by what stands for them there.
_WORDS: dict[object, str] = {
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
