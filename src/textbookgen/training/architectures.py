"""Model shapes: transformer architectures, published models by name, and shapes resolved from a recipe's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Architecture = Literal["phi", "phi3", "llama", "neox", "pythia", "neo"]

#: Sizes and other values of a model shape, by the name of the recipe option that sets them.
ShapeValues = dict[str, Any]


@dataclass(frozen=True)
class Traits:
    """What all models of an architecture have in common, whatever their size.

    Attributes:
        parallel: attention and MLP read the same input, side by side, rather than one after the other.
        norms: number of norms in a block.
        gated: the MLP is gated, as in SwiGLU.
        biased: linear layers have biases.
        qkv_biased: the projections to queries, keys and values have biases.
        activation: activation function of the MLP.
        rotary: default share of each head that gets rotary embeddings; 0 means learned absolute positions.
        scaled: attention logits are divided by the square root of the head dimension.
        grouped: several heads may share keys and values (grouped-query attention).
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

#: Architectures by name. `phi` is phi-1's block (arXiv 2306.11644, 2.3): attention and MLP in parallel after one shared
#: LayerNorm; `llama` has RMSNorm and SwiGLU, and `phi3` is the same block under other weight names (arXiv 2404.14219);
#: `neox` is GPT-NeoX's block in sequence and `pythia` in parallel; `neo` is GPT-Neo's, of TinyStories (arXiv 2305.07759).
TRAITS: dict[Architecture, Traits] = {
    "phi": Traits(parallel=True, norms=1, rotary=0.5, grouped=True),
    "phi3": _GATED,
    "llama": _GATED,
    "neox": Traits(activation="gelu", rotary=0.25),
    "pythia": Traits(parallel=True, activation="gelu", rotary=0.25),
    "neo": Traits(qkv_biased=False, rotary=0.0, scaled=False),
}


def _sized(layers: int, hidden: int, heads: int, ffn: int | None = None, kv_heads: int | None = None) -> ShapeValues:
    return {"layers": layers, "hidden": hidden, "heads": heads, "kv_heads": kv_heads or heads, "ffn": ffn or 4 * hidden}


_PHI: ShapeValues = {"architecture": "phi", "vocabulary": 51_200, "sequence_length": 2048, "head_bias": True}
_PHI_3: ShapeValues = {"architecture": "phi3", "vocabulary": 32_064, "sequence_length": 4096, "window": 2047}
_PHI_4: ShapeValues = {"architecture": "phi3", "vocabulary": 100_352, "sequence_length": 16_384, "rotary_base": 250_000.0}
_NEO: ShapeValues = {
    "architecture": "neo",
    "vocabulary": 50_257,
    "sequence_length": 512,
    "positions": 2048,
    "window": 256,
    "tied": True,
}

#: Models as published: phi-1 and phi-1-small (arXiv 2306.11644), phi-1.5 (2309.05463), phi-2 (its released configuration),
#: phi-3 (2404.14219), phi-4 (2412.08905), TinyStories (the released configurations; the paper trained windows of 512).
#: phi-4's rotary base and length are those after midtraining. phi-3-small is missing: its blocksparse layers are unsupported.
NAMED: dict[str, ShapeValues] = {
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

#: Values that every shape must set.
REQUIRED = ("layers", "hidden", "heads")
_SIZES = (*REQUIRED, "kv_heads", "ffn", "vocabulary")


def resolve_shape(name: str | None, overrides: Mapping[str, Any]) -> ShapeValues:
    """Return the values of a named shape, or of the `phi` architecture without sizes, with `overrides` applied.

    Dependent sizes are recomputed: the MLP keeps its ratio to the hidden size (4 without a name), and kv_heads its ratio to
    the heads. If the architecture is overridden, only the sizes of the named shape are kept.

    Args:
        name: a key of `NAMED`, or None.
        overrides: values by option; those that are None are ignored.
    """
    own = {option: value for option, value in overrides.items() if value is not None}
    base: ShapeValues = dict(NAMED[name]) if name else {"architecture": "phi"}
    if own.get("architecture", base["architecture"]) != base["architecture"]:
        base = {option: base[option] for option in _SIZES if option in base}
    shape = base | own
    if "hidden" in shape and "ffn" not in own:
        shape["ffn"] = shape["hidden"] * base["ffn"] // base["hidden"] if "ffn" in base else 4 * shape["hidden"]
    if "heads" in shape and "kv_heads" not in own:
        shape["kv_heads"] = max(1, shape["heads"] * base["kv_heads"] // base["heads"]) if "kv_heads" in base else shape["heads"]
    return shape


def shape_problem(shape: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the option at fault and what is wrong with it, or None if a model can have this shape."""
    architecture, hidden, heads, kv_heads = (shape[option] for option in ("architecture", "hidden", "heads", "kv_heads"))
    traits, rotary = TRAITS[architecture], shape.get("rotary")
    if hidden % heads:
        return "heads", f"hidden size {hidden} is not divisible by {heads} heads"
    if heads % kv_heads:
        return "kv_heads", f"{heads} heads cannot be split evenly over {kv_heads} kv_heads"
    if kv_heads != heads and not traits.grouped:
        return "kv_heads", f"{architecture} has no grouped-query attention: {heads} heads need {heads} kv_heads, not {kv_heads}"
    if rotary and not traits.rotary:
        return "rotary", f"{architecture} has learned positions, not rotary embeddings"
    rotated = hidden // heads * (traits.rotary if rotary is None else rotary)
    if traits.rotary and (abs(rotated - round(rotated)) > 1e-6 or round(rotated) % 2 or not round(rotated)):
        problem = f"{rotated:g} of a head's {hidden // heads} dimensions would be rotated: it must be an even number above 0"
        return "heads", problem
    return None


def block_parameters(shape: Mapping[str, Any]) -> float:
    """Return the parameters of the matrices in the layers, without embeddings: the basis of FLOP estimates."""
    attention = 2 * shape["hidden"] * (1 + shape["kv_heads"] / shape["heads"])
    matrices = 3 if TRAITS[shape["architecture"]].gated else 2
    return float(shape["layers"] * shape["hidden"] * (attention + matrices * shape["ffn"]))


#: Embedding tables are padded to a multiple of this many rows in every layout, so that any tensor_parallel divides them.
VOCABULARY_MULTIPLE = 128


def padded_vocabulary(vocabulary: int) -> int:
    """Return the number of rows of the embedding table for a vocabulary of this size."""
    return -(-vocabulary // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
