"""Writes docs/api-reference.md from signatures, field descriptions and docstrings: `python docs/reference.py [--check]`."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import textbookgen

FILE = Path(__file__).with_name("api-reference.md")

#: The modules of the reference, in order.
MODULES = [
    *(
        f"textbookgen.api.{name}"
        for name in (
            "stage",
            "generator",
            "grader",
            "teacher_evaluator",
            "teacher_client",
            "annotations",
            "artifacts",
            "cards",
            "teacher",
            "chat_teacher",
            "message",
            "sampler",
            "benchmark",
            "model",
            "tokenizer",
            "executor",
            "events",
            "errors",
            "hookspecs",
            "reply_text",
            "rows",
            "files",
            "hashing",
            "plots",
        )
    ),
    "textbookgen.run.api",
    *(
        f"textbookgen.training.{name}"
        for name in (
            "options",
            "architectures",
            "job",
            "metrics",
            "process",
            "shards",
            "packing",
            "checkpoint_store",
            "evaluation",
            "sampling",
            "chat_template",
            "generation",
            "prompt_codec",
            "model_client",
            "model_server",
        )
    ),
    "textbookgen.testing",
]

#: A section of a Google-style docstring, such as `Args:`.
_SECTION = re.compile(r"^(Args|Arguments|Returns|Yields|Raises|Attributes|Note|Example):\s*$")
_ENTRY = re.compile(r"^    (?P<name>[\w.*`]+(?: \([^)]*\))?):\s+(?P<text>.*)$")


def document() -> str:
    """Return the whole page."""
    lines = [
        "# API reference\n",
        "Written by `make docs` from the docstrings. These names can be imported from `textbookgen` itself:\n",
    ]
    lines += ["| name | module |", "|---|---|"]
    for name in textbookgen.__all__:
        module = next(module for module, names in textbookgen._MODULES.items() if name in names.split())
        lines.append(f"| `{name}` | `textbookgen.{module}` |")
    return "\n".join([*lines, "", *page(MODULES)]).rstrip() + "\n"


def page(modules: list[str], level: int = 2) -> Iterator[str]:
    """Yield the lines of the reference of these modules, in order."""
    for name in modules:
        module = importlib.import_module(name)
        yield f"{'#' * level} `{name}`\n"
        yield f"{prose(inspect.getdoc(module) or '')}\n"
        for value in members(module):
            yield from (of_class(value, level + 1) if inspect.isclass(value) else of_function(value, level + 1))


def members(module: ModuleType) -> list[Any]:
    """Return the public classes and functions that a module defines, in the order of its source."""
    values = [value for name, value in vars(module).items() if not name.startswith("_")]
    mine = [value for value in values if getattr(value, "__module__", None) == module.__name__]
    return sorted(filter(lambda value: inspect.isclass(value) or inspect.isfunction(value), mine), key=_line)


def _line(value: Any) -> int:
    return inspect.getsourcelines(value)[1]


def of_class(kind: type, level: int) -> Iterator[str]:
    """Yield a class: its bases, its docstring, a table of its fields, and its methods."""
    bases = [base.__name__ for base in kind.__bases__ if base.__module__.startswith("textbookgen")]
    suffix = f" ({', '.join(bases)})" if bases else ""
    yield f"{'#' * level} {kind.__name__}{suffix}\n"
    yield f"{prose(inspect.getdoc(kind) or '')}\n"
    rows = list(fields(kind))
    if rows:
        yield "| field | type | default | meaning |\n|---|---|---|---|"
        yield from rows
        yield ""
    for name, value in vars(kind).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else getattr(value, "fget", value)
        if (name.startswith("_") and name != "__call__") or not inspect.isfunction(function):
            continue
        heading = name if isinstance(value, property) else f"{name}{signature(function)}"
        yield f"**`{heading}`**\n\n{prose(inspect.getdoc(function) or '')}\n"


def of_function(function: Any, level: int) -> Iterator[str]:
    """Yield a function: its signature and its docstring."""
    yield f"{'#' * level} {function.__name__}\n"
    yield f"`{function.__name__}{signature(function)}`\n\n{prose(inspect.getdoc(function) or '')}\n"


def fields(kind: type) -> Iterator[str]:
    """Yield a table row for each field that a class itself declares."""
    own = vars(kind).get("__annotations__", {})
    described = attributes(inspect.getdoc(kind) or "")
    if issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if name in own:
                default = "" if field.default is PydanticUndefined else f"`{field.default!r}`"
                yield row(field.alias or name, own[name], default, field.description or described.get(name, ""))
    elif dataclasses.is_dataclass(kind):
        for item in dataclasses.fields(kind):
            if item.name in own and not item.name.startswith("_"):
                missing = item.default is dataclasses.MISSING
                default = getattr(item.default, "__name__", repr(item.default))  # repr has an address
                yield row(item.name, own[item.name], "" if missing else f"`{default}`", described.get(item.name, ""))
    for name, annotation in own.items():
        if "ClassVar" in str(annotation) and not name.startswith("_"):
            value = vars(kind).get(name, inspect.Parameter.empty)
            simple = isinstance(value, bool | int | str) or value is None
            yield row(name, annotation, f"`{value!r}`" if simple else "", described.get(name, "set by each class"))


def row(name: str, annotation: object, default: str, meaning: str) -> str:
    """Return one row of a table of fields."""
    kind = re.sub(r"^(ClassVar|Annotated)\[(.*)\]$", r"\2", str(annotation)).split(", Field(")[0]
    return "| " + " | ".join(text.replace("|", "\\|") for text in (f"`{name}`", f"`{kind}`", default, meaning)) + " |"


def attributes(docstring: str) -> dict[str, str]:
    """Return the descriptions in the `Attributes:` section of a docstring, by name."""
    descriptions: dict[str, str] = {}
    section = name = ""
    for line in docstring.splitlines():
        if match := _SECTION.match(line):
            section = match[1]
        elif section == "Attributes" and (entry := _ENTRY.match(line)):
            name = entry["name"].strip("`").split(" ")[0]
            descriptions[name] = entry["text"]
        elif section == "Attributes" and name and line.startswith("     "):
            descriptions[name] += " " + line.strip()
    return descriptions


def signature(function: Any) -> str:
    """Return a signature without `self` and `cls`."""
    whole = inspect.signature(function)
    kept = [value for name, value in whole.parameters.items() if name not in ("self", "cls")]
    text = re.sub(r"<class '?[\w.]*?(\w+)'?>", r"\1", str(whole.replace(parameters=kept)))
    return re.sub(r"'([^']*)'", r"\1", text)


def prose(docstring: str) -> str:
    """Return a Google-style docstring as Markdown: sections become bold lines and lists; `Attributes` is left to the table."""
    lines: list[str] = []
    section = ""
    for line in docstring.splitlines():
        if match := _SECTION.match(line):
            section = match[1]
            if section != "Attributes":
                lines += ["", f"*{section}*", ""]
        elif section and line and not line.startswith(" "):
            section = ""
            lines += ["", line]
        elif section == "Attributes":
            continue
        elif section and (entry := _ENTRY.match(line)):
            lines.append(f"- `{entry['name'].strip('`')}`: {entry['text']}")
        elif section:
            lines.append(f"  {line.strip()}" if line.strip() else "")
        else:
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(FILE.read_text(encoding="utf-8") != document() and f"{FILE.name} is stale: run `make docs`")
    FILE.write_text(document(), encoding="utf-8")
