"""The shape of a new model: its architecture and sizes, also by the name of a model that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Architecture = Literal["phi", "phi3", "llama", "neox", "pythia", "neo"]

#: Share of each head that turns with the position, by architecture; 0 is a table of learned positions instead.
ROTARY: dict[Architecture, float] = {"phi": 0.5, "phi3": 1.0, "llama": 1.0, "neox": 0.25, "pythia": 0.25, "neo": 0.0}
GATED: tuple[Architecture, ...] = ("phi3", "llama")
#: Those with a window, and those whose keys and values may be shared between heads.
WINDOWED: tuple[Architecture, ...] = ("phi3", "neo")
GROUPED: tuple[Architecture, ...] = ("phi", "phi3", "llama")

Parts = dict[str, Any]


def _sized(layers: int, hidden: int, heads: int, ffn: int | None = None, kv_heads: int | None = None) -> Parts:
    return {"layers": layers, "hidden": hidden, "heads": heads, "kv_heads": kv_heads or heads, "ffn": ffn or 4 * hidden}


_PHI: Parts = {"architecture": "phi", "vocabulary": 51_200}
_PHI_3: Parts = {"architecture": "phi3", "vocabulary": 32_064, "window": 2047}
_NEO: Parts = {"architecture": "neo", "vocabulary": 50_257, "positions": 2048, "window": 256, "tied": True}

#: Sizes as published: phi-1 and phi-1-small (arXiv 2306.11644), phi-1.5 (2309.05463), phi-2 (its released configuration),
#: phi-3 (2404.14219), phi-4 (2412.08905), TinyStories (2305.07759; the released configurations).
NAMED: dict[str, Parts] = {
    "phi-1": _PHI | _sized(24, 2048, 32),
    "phi-1-small": _PHI | _sized(20, 1024, 16),
    "phi-1.5": _PHI | _sized(24, 2048, 32),
    "phi-2": _PHI | _sized(32, 2560, 32) | {"rotary": 0.4},
    "phi-3-mini": _PHI_3 | _sized(32, 3072, 32, 8192),
    "phi-3-medium": _PHI_3 | _sized(40, 5120, 40, 17_920, 10),
    "phi-4": _PHI_3 | _sized(40, 5120, 40, 17_920, 10) | {"vocabulary": 100_352, "window": None, "rotary_base": 250_000.0},
    "tinystories-1m": _NEO | _sized(8, 64, 16),
    "tinystories-3m": _NEO | _sized(8, 128, 16),
    "tinystories-8m": _NEO | _sized(8, 256, 16),
    "tinystories-28m": _NEO | _sized(8, 512, 16),
    "tinystories-33m": _NEO | _sized(4, 768, 16),
    "tinystories-1layer-21m": _NEO | _sized(1, 1024, 16),
    "tinystories-2layers-33m": _NEO | _sized(2, 1024, 16),
}

#: What must be known before anything can be said of a shape.
NEEDED = ("layers", "hidden", "heads")
_SIZES = (*NEEDED, "kv_heads", "ffn", "vocabulary")


def parts(name: str | None, given: Mapping[str, Any]) -> Parts:
    """A named shape's parts, or none, with those that were `given` (and are not None) in their place.

    What follows from a part follows anew: an MLP keeps its proportion to the width, kv_heads theirs to the heads. Of
    another architecture only the sizes are kept.
    """
    own = {part: value for part, value in given.items() if value is not None}
    base: Parts = dict(NAMED[name]) if name else {"architecture": "phi"}
    if own.get("architecture", base["architecture"]) != base["architecture"]:
        base = {part: base[part] for part in _SIZES if part in base}
    whole = base | own
    if "hidden" in whole and "ffn" not in own:
        whole["ffn"] = whole["hidden"] * base["ffn"] // base["hidden"] if "ffn" in base else 4 * whole["hidden"]
    if "heads" in whole and "kv_heads" not in own:
        share = base["kv_heads"] / base["heads"] if "kv_heads" in base else 1
        whole["kv_heads"] = max(1, int(whole["heads"] * share))
    return whole


def problem_of(whole: Parts) -> tuple[str, str] | None:
    """The option at fault and what is wrong with it, if these parts make no model."""
    kind, hidden, heads, kv_heads = (whole[part] for part in ("architecture", "hidden", "heads", "kv_heads"))
    if hidden % heads:
        return "heads", f"hidden {hidden} does not split into {heads} heads"
    if heads % kv_heads:
        return "kv_heads", f"{heads} heads cannot share {kv_heads} kv_heads evenly"
    if kv_heads != heads and kind not in GROUPED:
        return "kv_heads", f"{kind} has as many kv_heads as heads, and {kv_heads} were given for {heads}"
    if whole.get("window") is not None and kind not in WINDOWED:
        return "window", f"no model in transformers has the {kind} block with a window"
    if whole.get("rotary") and not ROTARY[kind]:
        return "rotary", f"{kind} has learned positions, and nothing of it rotates"
    if kind == "llama" and whole.get("rotary", 1.0) != 1.0:
        return "rotary", "Llama rotates whole heads"
    turning = hidden // heads * whole.get("rotary", ROTARY[kind])
    if ROTARY[kind] and (round(turning) != turning or turning % 2 or not turning):
        return "heads", f"{turning:g} of a head of {hidden // heads} cannot be rotated: it must be an even number above 0"
    return None


def parameters_of_blocks(whole: Parts) -> float:
    """Weights of the matrices in the layers, without embeddings: what floating point operations are reckoned from."""
    attention = 2 * whole["hidden"] * (1 + whole["kv_heads"] / whole["heads"])
    matrices = 3 if whole["architecture"] in GATED else 2
    return float(whole["layers"] * whole["hidden"] * (attention + matrices * whole["ffn"]))
