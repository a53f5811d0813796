"""The shape of a model: architecture and sizes, and the parameters and FLOPs that follow from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from textbookgen import TrainerError
from textbookgen.api.cards import CheckpointCard
from textbookgen.training.architectures import TRAITS, Architecture, Traits, padded_vocabulary, shape_problem


@dataclass(frozen=True)
class Shape:
    """A decoder-only transformer.

    Attributes:
        architecture: The block, which also decides norms, activation and biases.
        layers: Number of layers.
        hidden: Hidden size.
        heads: Number of attention heads.
        kv_heads: Number of key/value heads (grouped-query attention).
        ffn: Intermediate size of the MLP.
        vocabulary: Vocabulary size, without padding.
        sequence_length: Maximum sequence length in tokens.
        rotary_base: Rotary base (RoPE theta).
        epsilon: Epsilon of the norms.
        rotary: Share of each head with rotary embeddings; None for the default of the architecture.
        window: Sliding attention window in tokens, the current one included (with `neo`, of every second layer); None for
            full attention.
        tied: Whether the output layer shares the weights of the token embeddings.
        head_bias: Whether the output layer has a bias.
        positions: Rows of the learned position embeddings; None for `sequence_length`.
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
        if problem := shape_problem(asdict(self)):
            place, words = problem
            raise TrainerError(words, place=place, hint="choose heads that divide hidden, and kv_heads that divide heads")
        if self.learned_positions and self.sequence_length > self.max_positions:
            raise TrainerError(
                f"sequences of {self.sequence_length} tokens exceed the {self.max_positions} learned position embeddings",
                place="sequence_length",
                hint="pack shorter sequences: learned position embeddings cannot be extrapolated",
            )

    @property
    def traits(self) -> Traits:
        """The properties common to all models of the architecture."""
        return TRAITS[self.architecture]

    @property
    def head_dim(self) -> int:
        """Dimension of a head."""
        return self.hidden // self.heads

    @property
    def rotary_percent(self) -> float:
        """Share of each head with rotary embeddings, between 0 and 1."""
        return self.traits.rotary if self.rotary is None else self.rotary

    @property
    def rotary_dim(self) -> int:
        """Number of dimensions of each head with rotary embeddings."""
        return round(self.head_dim * self.rotary_percent)

    @property
    def learned_positions(self) -> bool:
        """Whether positions are learned embeddings rather than rotary."""
        return self.traits.rotary == 0

    @property
    def max_positions(self) -> int:
        """Rows of the learned position embeddings."""
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
        """Return the attention window in tokens of a layer, counted from 0; None for full attention."""
        return None if self.architecture == "neo" and layer % 2 == 0 else self.window

    @property
    def padded_vocabulary(self) -> int:
        """Rows of the token embeddings and of the output layer."""
        return padded_vocabulary(self.vocabulary)

    def parameters(self, *, padding: bool = False) -> int:
        """Return the number of parameters, with or without the rows that pad the vocabulary."""
        rows = self.padded_vocabulary if padding else self.vocabulary
        tables = rows * self.hidden * (1 if self.tied else 2) + (rows if self.head_bias else 0)
        positions = self.max_positions * self.hidden if self.learned_positions else 0
        return tables + positions + self.block_parameters()

    def block_parameters(self) -> int:
        """Return the number of parameters without embeddings and output layer; the final norm is included."""
        norm = self.hidden * (2 if self.biased else 1)
        return self.layers * self._layer_parameters(norm) + norm

    def _layer_parameters(self, norm: int) -> int:
        qkv = (self.heads + 2 * self.kv_heads) * self.head_dim
        up = self.ffn * (2 if self.gated else 1)
        weights = self.hidden * (qkv + self.hidden + up + self.ffn)
        biases = self.hidden + up + self.hidden if self.biased else 0
        return weights + biases + (qkv if self.traits.qkv_biased else 0) + norm * self.traits.norms

    def flops(self, tokens: int, sequence_length: int | None = None) -> float:
        """Return the FLOPs of training on a number of tokens.

        6 N + 12 L H d s per token, as in the PaLM paper (arXiv 2204.02311, appendix B): N are the parameters of matrix
        multiplications, that is without embeddings but with the output layer.

        Args:
            tokens: Number of tokens.
            sequence_length: Tokens that attention spans; default: the sequence length of the shape.
        """
        norms = self.hidden * (2 if self.biased else 1) * (self.layers * self.traits.norms + 1)
        multiplied = self.block_parameters() - norms + self.padded_vocabulary * self.hidden
        return tokens * (6.0 * multiplied + 12.0 * self.layers * self.hidden * (sequence_length or self.sequence_length))

    def card(self) -> dict[str, Any]:
        """Return the shape as it is stored in checkpoint.json."""
        return asdict(self)

    @classmethod
    def from_card(cls, card: CheckpointCard) -> Shape:
        """Return the shape that a checkpoint card records."""
        return cls(**card.shape)
