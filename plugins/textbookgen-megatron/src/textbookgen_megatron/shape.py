"""The shape of a model: what decides the function it computes, and how many parameters that takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from textbookgen.errors import TrainerError

Architecture = Literal["phi", "llama"]

#: Vocabularies are padded to a multiple of this, whatever the layout, so that a checkpoint fits every tensor_parallel.
VOCABULARY_MULTIPLE = 128


def padded(vocabulary: int) -> int:
    """The rows of the embedding table for a vocabulary of this size."""
    return -(-vocabulary // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE


@dataclass(frozen=True)
class Shape:
    """A decoder with rotary positions and an untied head.

    `phi` is the block of phi-1 (arXiv 2306.11644, 2.3): attention and MLP side by side after one shared LayerNorm, rotary
    on half of each head, biases, tanh GELU. `llama` is the sequential block with RMSNorm, SwiGLU and no biases.
    """

    architecture: Architecture
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    sequence_length: int
    rotary_base: int = 10_000
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        problem = shape_problem(self.architecture, self.hidden, self.heads, self.kv_heads)
        if problem:
            raise TrainerError(problem, place="heads", hint="choose heads that divide hidden, and kv_heads that divide heads")

    @property
    def head_dim(self) -> int:
        """The width of one head."""
        return self.hidden // self.heads

    @property
    def rotary_percent(self) -> float:
        """The share of each head that rotates with the position."""
        return 0.5 if self.architecture == "phi" else 1.0

    @property
    def gated(self) -> bool:
        """Whether the MLP is gated (SwiGLU)."""
        return self.architecture == "llama"

    @property
    def biased(self) -> bool:
        """Whether linear layers and norms have biases."""
        return self.architecture == "phi"

    @property
    def padded_vocabulary(self) -> int:
        """The rows of the embedding table and of the head."""
        return padded(self.vocabulary)

    def parameters(self, *, padding: bool = False) -> int:
        """How many parameters there are, with or without the rows that pad the vocabulary."""
        rows = self.padded_vocabulary if padding else self.vocabulary
        norm = self.hidden * (2 if self.biased else 1)
        return 2 * rows * self.hidden + self.layers * self._layer_parameters(norm) + norm

    def _layer_parameters(self, norm: int) -> int:
        qkv = (self.heads + 2 * self.kv_heads) * self.head_dim
        up = self.ffn * (2 if self.gated else 1)
        weights = self.hidden * (qkv + self.hidden + up + self.ffn)
        biases = qkv + self.hidden + up + self.hidden if self.biased else 0
        return weights + biases + norm * (1 if self.architecture == "phi" else 2)

    def card(self) -> dict[str, Any]:
        """The shape as checkpoint.json tells it; `from_card` reads it back."""
        return asdict(self)

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> Shape:
        """The shape in a checkpoint.json."""
        return cls(**card["shape"])


def shape_problem(architecture: Architecture, hidden: int, heads: int, kv_heads: int) -> str:
    """What is wrong with these numbers, or nothing."""
    if hidden % heads:
        return f"hidden {hidden} does not split into {heads} heads"
    if heads % kv_heads:
        return f"{heads} heads cannot share {kv_heads} kv_heads evenly"
    even = 4 if architecture == "phi" else 2
    if (hidden // heads) % even:
        return f"a head of {hidden // heads} cannot be rotated: {architecture} needs a multiple of {even}"
    return ""
