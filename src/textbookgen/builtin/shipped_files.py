"""Where the prompts and recipes we ship are: in the package, or in the checkout it was installed from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from textbookgen.api.hookspecs import hookimpl

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def _shelf(name: str) -> list[Traversable]:
    """The folder of this name in the wheel, or (editable installs have none there) at the top of the checkout."""
    packaged = files("textbookgen").joinpath(name)
    if packaged.is_dir():
        return [packaged]
    checkout = Path(__file__).resolve().parents[3] / name
    return [checkout] if checkout.is_dir() else []


@hookimpl
def prompt_folders() -> list[Traversable]:
    """Our prompts."""
    return _shelf("prompts")


@hookimpl
def recipe_folders() -> list[Traversable]:
    """Our recipes."""
    return _shelf("recipes")
