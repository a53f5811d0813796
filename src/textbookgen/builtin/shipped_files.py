"""The prompts and recipes that are shipped with textbookgen: in the package, or in the checkout of an editable install."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from textbookgen.api.hookspecs import hookimpl

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def _find_folder(name: str) -> list[Traversable]:
    """Return the folder of this name: inside the wheel, or at the top of the checkout; an empty list if there is none."""
    packaged = files("textbookgen").joinpath(name)
    if packaged.is_dir():
        return [packaged]
    checkout = Path(__file__).resolve().parents[3] / name
    return [checkout] if checkout.is_dir() else []


@hookimpl
def prompt_folders() -> list[Traversable]:
    """Return the folder of shipped prompts."""
    return _find_folder("prompts")


@hookimpl
def recipe_folders() -> list[Traversable]:
    """Return the folder of shipped recipes."""
    return _find_folder("recipes")
