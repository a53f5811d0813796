"""Creates a new plugin: a copy of the plugin template under another name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from textbookgen.api.errors import Diagnostic, PluginError, RecipeError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SKIPPED = {"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache"}


def new_plugin(name: str, into: Path) -> Path:
    """Create a plugin and return its folder, `textbookgen-NAME`.

    Args:
        name: the name of the plugin in recipes.
        into: the folder in which the plugin's folder is created.

    Raises:
        PluginError: the name is invalid, or the template is not installed.
        RecipeError: the folder exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise PluginError(
            f"invalid plugin name '{name}'", hint="use lower-case letters, digits and single hyphens, beginning with a letter"
        )
    folder = into / f"textbookgen-{name}"
    if folder.exists():
        raise RecipeError([Diagnostic(str(folder), "already exists", "choose another name, or another folder with --into")])
    for path, content in _read_files(_template(), ""):
        file = folder / _rename(path, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_rename(content, name), encoding="utf-8")
    return folder


def _rename(text: str, name: str) -> str:
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
    """Return the template's folder, in the wheel or in the checkout."""
    packaged = files("textbookgen").joinpath("template")
    if packaged.is_dir():
        return packaged
    checkout = Path(__file__).resolve().parents[2] / "plugins" / "textbookgen-template"
    if not checkout.is_dir():
        raise PluginError(
            "the plugin template is not installed",
            hint="install textbookgen from a wheel, or from a checkout with its folder plugins/",
        )
    return checkout


def _read_files(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the relative path and the text of every file of the template."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name in _SKIPPED or entry.name.endswith(".egg-info"):
            continue
        if entry.is_dir():
            yield from _read_files(entry, f"{prefix}{entry.name}/")
        elif not entry.name.endswith(".pyc"):
            yield prefix + entry.name, entry.read_text(encoding="utf-8")
