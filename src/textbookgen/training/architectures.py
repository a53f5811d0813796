"""Shapes of models: the architectures, the sizes of models that are known, and a shape's parts as a recipe gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Architecture = Literal["phi", "phi3", "llama", "neox", "pythia", "neo"]

#: Parts of a shape by the name of the option that gives them.
Parts = dict[str, Any]


@dataclass(frozen=True)
class Traits:
    """What the blocks of an architecture have in common, whatever their size.

    `norms` counts the norms of a block; `rotary` is the share of each head that turns with the position, unless a shape
    says otherwise, and 0 means a table of learned positions; `scaled` says whether attention divides by the root of the
    head's width; `grouped` whether heads may share keys and values.
    """

    parallel: bool = False
    norms: int = 2
    gated: bool = False
    biased: bool = True
    qkv_biased: bool = True
    activation: Literal["gelu", "gelu_tanh", "silu"] = "gelu_tanh"
    rotary: float = 1.0
    scaled: bool = True
    grouped: bool = False


_GATED = Traits(gated=True, biased=False, qkv_biased=False, activation="silu", grouped=True)

#: Each block by name. `phi` is phi-1's (arXiv 2306.11644, 2.3): attention and MLP side by side after one shared LayerNorm;
#: `llama` has RMSNorm and SwiGLU, and `phi3` is the same with other names outside (arXiv 2404.14219); `neox` is GPT-NeoX's
#: block one after the other, `pythia` side by side; `neo` is GPT-Neo's, of TinyStories (arXiv 2305.07759).
TRAITS: dict[Architecture, Traits] = {
    "phi": Traits(parallel=True, norms=1, rotary=0.5, grouped=True),
    "phi3": _GATED,
    "llama": _GATED,
    "neox": Traits(activation="gelu", rotary=0.25),
    "pythia": Traits(parallel=True, activation="gelu", rotary=0.25),
    "neo": Traits(qkv_biased=False, rotary=0.0, scaled=False),
}


def _sized(layers: int, hidden: int, heads: int, ffn: int | None = None, kv_heads: int | None = None) -> Parts:
    return {"layers": layers, "hidden": hidden, "heads": heads, "kv_heads": kv_heads or heads, "ffn": ffn or 4 * hidden}


_PHI: Parts = {"architecture": "phi", "vocabulary": 51_200, "sequence_length": 2048, "head_bias": True}
_PHI_3: Parts = {"architecture": "phi3", "vocabulary": 32_064, "sequence_length": 4096, "window": 2047}
_PHI_4: Parts = {"architecture": "phi3", "vocabulary": 100_352, "sequence_length": 16_384, "rotary_base": 250_000.0}
_NEO: Parts = {
    "architecture": "neo",
    "vocabulary": 50_257,
    "sequence_length": 512,
    "positions": 2048,
    "window": 256,
    "tied": True,
}

#: Models as published: phi-1 and phi-1-small (arXiv 2306.11644), phi-1.5 (2309.05463), phi-2 (its released configuration),
#: phi-3 (2404.14219), phi-4 (2412.08905), TinyStories (the released configurations; the paper trained windows of 512).
#: phi-4's rotary base and length are those after midtraining. phi-3-small, with its blocksparse layers, is not here.
NAMED: dict[str, Parts] = {
    "phi-1": _PHI | _sized(24, 2048, 32),
    "phi-1-small": _PHI | _sized(20, 1024, 16),
    "phi-1.5": _PHI | _sized(24, 2048, 32),
    "phi-2": _PHI | _sized(32, 2560, 32) | {"rotary": 0.4},
    "phi-3-mini": _PHI_3 | _sized(32, 3072, 32, 8192),
    "phi-3-medium": _PHI_3 | _sized(40, 5120, 40, 17_920, 10),
    "phi-4": _PHI_4 | _sized(40, 5120, 40, 17_920, 10),
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

    What follows from a part follows anew: an MLP keeps its proportion to the width (4 times, without a name), kv_heads
    theirs to the heads. Of another architecture only the sizes are kept.
    """
    own = {part: value for part, value in given.items() if value is not None}
    base: Parts = dict(NAMED[name]) if name else {"architecture": "phi"}
    if own.get("architecture", base["architecture"]) != base["architecture"]:
        base = {part: base[part] for part in _SIZES if part in base}
    whole = base | own
    if "hidden" in whole and "ffn" not in own:
        whole["ffn"] = whole["hidden"] * base["ffn"] // base["hidden"] if "ffn" in base else 4 * whole["hidden"]
    if "heads" in whole and "kv_heads" not in own:
        whole["kv_heads"] = max(1, whole["heads"] * base["kv_heads"] // base["heads"]) if "kv_heads" in base else whole["heads"]
    return whole


def problem_of(whole: Mapping[str, Any]) -> tuple[str, str] | None:
    """The part at fault and what is wrong with it, if no model has these parts."""
    kind, hidden, heads, kv_heads = (whole[part] for part in ("architecture", "hidden", "heads", "kv_heads"))
    traits, rotary = TRAITS[kind], whole.get("rotary")
    if hidden % heads:
        return "heads", f"hidden {hidden} does not split into {heads} heads"
    if heads % kv_heads:
        return "kv_heads", f"{heads} heads cannot share {kv_heads} kv_heads evenly"
    if kv_heads != heads and not traits.grouped:
        return "kv_heads", f"{kind} has as many kv_heads as heads, and {kv_heads} were given for {heads}"
    if rotary and not traits.rotary:
        return "rotary", f"{kind} has learned positions, and nothing of it rotates"
    turning = hidden // heads * (traits.rotary if rotary is None else rotary)
    if traits.rotary and (abs(turning - round(turning)) > 1e-6 or round(turning) % 2 or not round(turning)):
        return "heads", f"{turning:g} of a head of {hidden // heads} cannot be rotated: it must be an even number above 0"
    return None


def weights_of_blocks(whole: Mapping[str, Any]) -> float:
    """Weights of the matrices in the layers, without embeddings: what floating point operations are reckoned from."""
    attention = 2 * whole["hidden"] * (1 + whole["kv_heads"] / whole["heads"])
    matrices = 3 if TRAITS[whole["architecture"]].gated else 2
    return float(whole["layers"] * whole["hidden"] * (attention + matrices * whole["ffn"]))


#: Embedding tables are padded to a multiple of this many rows, whatever the layout, so that every tensor_parallel divides them.
VOCABULARY_MULTIPLE = 128


def padded(vocabulary: int) -> int:
    """The rows of the embedding table for a vocabulary of this size."""
    return -(-vocabulary // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
