"""Shapes by the name of the model that had them, and how a recipe's own numbers take the place of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textbookgen_megatron.shape import Architecture, Shape

_PHI: dict[str, Any] = {"architecture": "phi", "vocabulary": 51_200, "sequence_length": 2048, "head_bias": True}
_PHI_3: dict[str, Any] = {"architecture": "phi3", "vocabulary": 32_064, "sequence_length": 4096, "window": 2047}
_NEO: dict[str, Any] = {
    "architecture": "neo",
    "heads": 16,
    "vocabulary": 50_257,
    "sequence_length": 512,
    "positions": 2048,
    "window": 256,
    "tied": True,
}


def _sizes(layers: int, hidden: int, heads: int, ffn: int | None = None, kv_heads: int | None = None) -> dict[str, Any]:
    return {
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads or heads,
        "ffn": ffn or 4 * hidden,
    }


def _neo(layers: int, hidden: int) -> dict[str, Any]:
    return _NEO | _sizes(layers, hidden, 16)


#: Sizes as published: phi-1 and phi-1-small (arXiv 2306.11644), phi-1.5 (2309.05463), phi-2 (its released configuration),
#: phi-3 (2404.14219), phi-4 (2412.08905), TinyStories (the released configurations; the paper trained windows of 512).
#: phi-4's rotary base and length are those after midtraining. phi-3-small, with its blocksparse layers, is not here.
NAMED: dict[str, dict[str, Any]] = {
    "phi-1": _PHI | _sizes(24, 2048, 32),
    "phi-1-small": _PHI | _sizes(20, 1024, 16),
    "phi-1.5": _PHI | _sizes(24, 2048, 32),
    "phi-2": _PHI | _sizes(32, 2560, 32) | {"rotary": 0.4},
    "phi-3-mini": _PHI_3 | _sizes(32, 3072, 32, 8192),
    "phi-3-medium": _PHI_3 | _sizes(40, 5120, 40, 17_920, 10),
    "phi-4": _PHI_3
    | _sizes(40, 5120, 40, 17_920, 10)
    | {"vocabulary": 100_352, "sequence_length": 16_384, "window": None, "rotary_base": 250_000},
    "tinystories-1m": _neo(8, 64),
    "tinystories-3m": _neo(8, 128),
    "tinystories-8m": _neo(8, 256),
    "tinystories-28m": _neo(8, 512),
    "tinystories-33m": _neo(4, 768),
    "tinystories-1layer-21m": _neo(1, 1024),
    "tinystories-2layers-33m": _neo(2, 1024),
}


def named(name: str) -> Shape:
    """The shape of this name, as published.

    Raises:
        KeyError: there is no such name.
    """
    return Shape(**NAMED[name])


def parts(name: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """A named shape's parts, those `given` (and not None) in place of its own; what follows from them follows anew.

    A width that is given brings an MLP in the proportion that the named one had, and heads bring as many `kv_heads` in
    proportion; without a name, 4 times the width and as many as there are heads. Another architecture keeps the sizes only.
    """
    own: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    base = dict(NAMED[name]) if name else {"architecture": "phi"}
    if own.get("architecture", base["architecture"]) != base["architecture"]:
        base = {key: base[key] for key in ("layers", "hidden", "heads", "kv_heads", "ffn", "vocabulary") if key in base}
    whole = base | own
    if "ffn" not in own and "hidden" in whole:
        whole["ffn"] = whole["hidden"] * base["ffn"] // base["hidden"] if "ffn" in base else 4 * whole["hidden"]
    if "kv_heads" not in own and "heads" in whole:
        whole["kv_heads"] = max(1, whole["heads"] * base["kv_heads"] // base["heads"]) if "kv_heads" in base else whole["heads"]
    return whole


#: What a shape must have before anything can be said of it.
NEEDED = ("layers", "hidden", "heads")


def architecture_of(whole: Mapping[str, Any]) -> Architecture:
    """The architecture among the parts."""
    found: Architecture = whole["architecture"]
    return found
