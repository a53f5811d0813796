"""What a class of options says of itself: its options with types, defaults and descriptions, for people."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from textbookgen.marks import Pipe, PlacementMark, marked, option_name
from textbookgen.stage import Stage


def described(kind: type[BaseModel]) -> str:
    """The class's docstring."""
    return inspect.getdoc(kind) or ""


def first_sentence(kind: type[BaseModel]) -> str:
    """What it is for, in its docstring's first sentence."""
    return " ".join(described(kind).split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def takes(stage: type[Stage]) -> str:
    """What flows into a stage through `from` and its other pipes."""
    pipes = {option_name(stage, name): pipe for name, pipe in marked(stage, Pipe)}
    return ", ".join("/".join(artifact.name for artifact in pipe.takes) for pipe in pipes.values()) or "–"


def options_of(kind: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """Each option: its name in a recipe, its type, its default, and its description; placement is marked as such."""
    placement = {name for name, _ in marked(kind, PlacementMark)}
    for name, each in kind.model_fields.items():
        default = (
            "needed"
            if each.default is PydanticUndefined and each.default_factory is None
            else repr(each.get_default(call_default_factory=True))
        )
        note = " (placement)" if name in placement else ""
        yield option_name(kind, name), _type(each.annotation), default, (each.description or "") + note


def _type(annotation: object) -> str:
    """A type as a recipe author reads it."""
    text = annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text.replace("typing.", ""))
    return text.replace("NoneType", "None")
