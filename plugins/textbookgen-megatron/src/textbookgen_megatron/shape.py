"""The shape of a model: what decides the function it computes, and how many parameters that takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from textbookgen.errors import TrainerError

Architecture = Literal["phi", "phi3", "llama", "neox", "pythia", "neo"]

#: Vocabularies are padded to a multiple of this, whatever the layout, so that a checkpoint fits every tensor_parallel.
VOCABULARY_MULTIPLE = 128


def padded(vocabulary: int) -> int:
    """The rows of the embedding table for a vocabulary of this size."""
    return -(-vocabulary // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE


@dataclass(frozen=True)
class Traits:
    """What the blocks of an architecture have in common, whatever their size.

    `norms` counts the norms of a block; `rotary` is the share of each head that turns with the position, unless a shape
    says otherwise, and 0 means a table of learned positions; `scaled` says whether attention divides by the root of the
    head's width.
    """

    parallel: bool = False
    norms: int = 2
    gated: bool = False
    biased: bool = True
    qkv_biased: bool = True
    activation: Literal["gelu", "gelu_tanh", "silu"] = "gelu_tanh"
    rotary: float = 1.0
    scaled: bool = True


_GATED = Traits(gated=True, biased=False, qkv_biased=False, activation="silu")

#: Each block by name. `phi` is phi-1's (arXiv 2306.11644, 2.3): attention and MLP side by side after one shared LayerNorm;
#: `llama` has RMSNorm and SwiGLU, and `phi3` is the same with other names outside (arXiv 2404.14219); `neox` is GPT-NeoX's
#: block one after the other, `pythia` side by side; `neo` is GPT-Neo's, of TinyStories (arXiv 2305.07759).
TRAITS: dict[Architecture, Traits] = {
    "phi": Traits(parallel=True, norms=1, rotary=0.5),
    "phi3": _GATED,
    "llama": _GATED,
    "neox": Traits(activation="gelu", rotary=0.25),
    "pythia": Traits(parallel=True, activation="gelu", rotary=0.25),
    "neo": Traits(qkv_biased=False, rotary=0.0, scaled=False),
}


@dataclass(frozen=True)
class Shape:
    """A decoder: its block, its sizes, and what is done at its two ends.

    `rotary` is the share of each head that turns with the position; `window` is how many tokens back a layer sees, itself
    included (of `neo`, every second layer); `tied` is a head that is the embedding table; `positions` is how many places a
    table of learned positions has, as many as `sequence_length` unless given.
    """

    architecture: Architecture
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    sequence_length: int
    rotary_base: float = 10_000
    epsilon: float = 1e-5
    rotary: float | None = None
    window: int | None = None
    tied: bool = False
    head_bias: bool = False
    positions: int | None = None

    def __post_init__(self) -> None:
        problem = shape_problem(self.architecture, self.hidden, self.heads, self.kv_heads, self.rotary)
        if problem:
            raise TrainerError(problem, place="heads", hint="choose heads that divide hidden, and kv_heads that divide heads")
        if self.learned_positions and self.sequence_length > self.places:
            raise TrainerError(
                f"windows of {self.sequence_length} tokens are longer than the model's table of {self.places} positions",
                place="sequence_length",
                hint="pack shorter windows: learned positions do not reach further than they were learned",
            )

    @property
    def traits(self) -> Traits:
        """What its architecture decides."""
        return TRAITS[self.architecture]

    @property
    def head_dim(self) -> int:
        """The width of one head."""
        return self.hidden // self.heads

    @property
    def rotary_percent(self) -> float:
        """The share of each head that rotates with the position."""
        return self.traits.rotary if self.rotary is None else self.rotary

    @property
    def rotated(self) -> int:
        """How many of a head's numbers rotate."""
        return round(self.head_dim * self.rotary_percent)

    @property
    def learned_positions(self) -> bool:
        """Whether positions are a table rather than a rotation."""
        return self.traits.rotary == 0

    @property
    def places(self) -> int:
        """Rows of the table of learned positions."""
        return self.positions or self.sequence_length

    @property
    def gated(self) -> bool:
        """Whether the MLP is gated (SwiGLU)."""
        return self.traits.gated

    @property
    def biased(self) -> bool:
        """Whether linear layers and norms have biases."""
        return self.traits.biased

    def window_of(self, layer: int) -> int | None:
        """How many tokens back the layer (counted from 0) sees; None for all."""
        return None if self.architecture == "neo" and layer % 2 == 0 else self.window

    @property
    def padded_vocabulary(self) -> int:
        """The rows of the embedding table and of the head."""
        return padded(self.vocabulary)

    def parameters(self, *, padding: bool = False) -> int:
        """How many parameters there are, with or without the rows that pad the vocabulary."""
        rows = self.padded_vocabulary if padding else self.vocabulary
        ends = rows * self.hidden * (1 if self.tied else 2) + (rows if self.head_bias else 0)
        table = self.places * self.hidden if self.learned_positions else 0
        return ends + table + self.parameters_of_blocks()

    def parameters_of_blocks(self) -> int:
        """Without embeddings and head; the last norm counts."""
        norm = self.hidden * (2 if self.biased else 1)
        return self.layers * self._layer_parameters(norm) + norm

    def _layer_parameters(self, norm: int) -> int:
        qkv = (self.heads + 2 * self.kv_heads) * self.head_dim
        up = self.ffn * (2 if self.gated else 1)
        weights = self.hidden * (qkv + self.hidden + up + self.ffn)
        biases = self.hidden + up + self.hidden if self.biased else 0
        return weights + biases + (qkv if self.traits.qkv_biased else 0) + norm * self.traits.norms

    def flops(self, tokens: int, length: int | None = None) -> float:
        """Floating point operations of training on so many tokens: six for each weight that is multiplied, and attention over
        windows of `length`, of `sequence_length` unless given.

        As in the PaLM paper (arXiv 2204.02311, appendix B): 6 N + 12 L H d s a token, embeddings left out, head counted.
        """
        norms = self.hidden * (2 if self.biased else 1) * (self.layers * self.traits.norms + 1)
        multiplied = self.parameters_of_blocks() - norms + self.padded_vocabulary * self.hidden
        return tokens * (6.0 * multiplied + 12.0 * self.layers * self.hidden * (length or self.sequence_length))

    def card(self) -> dict[str, Any]:
        """The shape as checkpoint.json tells it; `from_card` reads it back."""
        return asdict(self)

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> Shape:
        """The shape in a checkpoint.json."""
        return cls(**card["shape"])


def shape_problem(architecture: Architecture, hidden: int, heads: int, kv_heads: int, rotary: float | None = None) -> str:
    """What is wrong with these numbers, or nothing."""
    if hidden % heads:
        return f"hidden {hidden} does not split into {heads} heads"
    if heads % kv_heads:
        return f"{heads} heads cannot share {kv_heads} kv_heads evenly"
    if architecture in ("neox", "pythia", "neo") and heads != kv_heads:
        return f"{architecture} has as many kv_heads as heads, and {kv_heads} were given for {heads}"
    share = TRAITS[architecture].rotary if rotary is None else rotary
    turning = hidden // heads * share
    if abs(turning - round(turning)) > 1e-6 or round(turning) % 2:
        return f"{turning:g} of a head of {hidden // heads} cannot be rotated: it must be an even number"
    if TRAITS[architecture].rotary and not round(turning):
        return f"nothing of a head of {hidden // heads} would be rotated, and {architecture} has no other positions"
    return ""
