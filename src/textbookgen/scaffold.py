"""Makes a new plugin from the template we ship, by giving it another name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from textbookgen.api.errors import Diagnostic, PluginError, RecipeError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_LEFT_OUT = {"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache"}


def new_plugin(name: str, into: Path) -> Path:
    """The folder of a new plugin called `name`, made inside `into`: a copy of the template that bears its name.

    Raises:
        PluginError: the name will not do, or the template was not installed.
        RecipeError: the folder is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise PluginError(
            f"'{name}' cannot be a plugin's name", hint="lower-case letters, digits and single '-', beginning with a letter"
        )
    folder = into / f"textbookgen-{name}"
    if folder.exists():
        raise RecipeError([Diagnostic(str(folder), "is there already", "choose another name, or --into another folder")])
    for path, content in _files(_template(), ""):
        file = folder / _renamed(path, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_renamed(content, name), encoding="utf-8")
    return folder


def _renamed(text: str, name: str) -> str:
    module = name.replace("-", "_")
    return (
        text.replace("textbookgen_template", f"textbookgen_{module}")
        .replace("textbookgen-template", f"textbookgen-{name}")
        .replace('template = "', f'{name} = "')
        .replace('"template"', f'"{name}"')
        .replace("template/", f"{name}/")
        .replace("plugin check template", f"plugin check {name}")
    )


def _template() -> Traversable:
    """The template in the wheel, or in the checkout."""
    packaged = files("textbookgen").joinpath("template")
    if packaged.is_dir():
        return packaged
    checkout = Path(__file__).resolve().parents[2] / "plugins" / "textbookgen-template"
    if not checkout.is_dir():
        raise PluginError(
            "the template of plugins is not installed",
            hint="install textbookgen from a wheel, or from a checkout with plugins/",
        )
    return checkout


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name in _LEFT_OUT or entry.name.endswith(".egg-info"):
            continue
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        elif not entry.name.endswith(".pyc"):
            yield prefix + entry.name, entry.read_text(encoding="utf-8")
