"""Shapes that no model in transformers has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textbookgen.training.architectures import Architecture

#: Architectures whose models in transformers support a sliding attention window.
WINDOWED: tuple[Architecture, ...] = ("phi3", "neo")


def unsupported_shape(shape: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the option at fault and what is wrong with it, or None if a model in transformers has this shape."""
    architecture = shape["architecture"]
    if shape.get("window") is not None and architecture not in WINDOWED:
        return "window", f"no model in transformers has the {architecture} block with an attention window"
    if architecture == "llama" and shape.get("rotary", 1.0) != 1.0:
        return "rotary", "Llama in transformers applies rotary embeddings to whole heads"
    return None
