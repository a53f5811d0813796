"""The shape of a model: what decides the function it computes, and how many parameters that takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from textbookgen import TrainerError
from textbookgen.training.architectures import TRAITS, Architecture, Traits, padded, problem_of


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
        if problem := problem_of(asdict(self)):
            place, words = problem
            raise TrainerError(words, place=place, hint="choose heads that divide hidden, and kv_heads that divide heads")
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
