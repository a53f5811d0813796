"""What transformers has no model for, of shapes that could be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textbookgen.training.architectures import Architecture

#: Those with a window.
WINDOWED: tuple[Architecture, ...] = ("phi3", "neo")


def problem_of(whole: Mapping[str, Any]) -> tuple[str, str] | None:
    """The part at fault and what is wrong with it, if no model in transformers has these parts."""
    kind = whole["architecture"]
    if whole.get("window") is not None and kind not in WINDOWED:
        return "window", f"no model in transformers has the {kind} block with a window"
    if kind == "llama" and whole.get("rotary", 1.0) != 1.0:
        return "rotary", "Llama rotates whole heads"
    return None
