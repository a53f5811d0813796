"""The forward pass of a trained model in plain torch, with a cache of keys and values.

It computes what Megatron-core's GPTModel computes (a test holds the two to 1e-5), but starts in a second and spends no time
between matrix multiplications, which is what counts for small models and one token at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as functional
from safetensors.torch import load_file
from torch import Tensor

from textbookgen.training.job import checked_weights, read_card
from textbookgen_megatron.exchange.model import read_model
from textbookgen_megatron.shape import Shape


@dataclass
class Cache:
    """Keys and values of each layer, `[b, kv_heads, length, d]`, and how many places of each row are filled, `[b]`."""

    keys: list[Tensor]
    values: list[Tensor]
    filled: Tensor

    def rows(self, index: Tensor) -> Cache:
        """The cache of these rows; a row may be named several times."""
        return Cache([k[index] for k in self.keys], [v[index] for v in self.values], self.filled[index])

    def roomier(self, more: int) -> Cache:
        """The cache with `more` places behind."""
        room = (0, 0, 0, more)
        return Cache([functional.pad(k, room) for k in self.keys], [functional.pad(v, room) for v in self.values], self.filled)


@dataclass
class Network:
    """Weights ready to be applied."""

    shape: Shape
    weights: dict[str, Tensor]
    device: torch.device = field(default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def __post_init__(self) -> None:
        self.weights = {name: weight.to(self.device, torch.float32) for name, weight in self.weights.items()}
        rotated = self.shape.rotated
        steps = torch.arange(0, rotated, 2, dtype=torch.float32, device=self.device) / rotated
        self._frequencies = 1.0 / (self.shape.rotary_base**steps)

    @classmethod
    def load(cls, checkpoint: Path) -> Network:
        """The model of a checkpoint folder, of this plugin's or of transformers."""
        if (checkpoint / "config.json").is_file():
            return cls(*read_model(checkpoint))
        card = read_card(checkpoint)
        return cls(Shape.from_card(card), load_file(checked_weights(checkpoint, card)))

    def hidden(self, tokens: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """The last hidden states `[b, s, hidden]` of tokens `[b, s]`, and the cache to go on with.

        Without a cache, rows start at position 0 and may be padded on the right: what comes after a token does not change it.
        With one, each row goes on where it is filled to, by one token.
        """
        x = self.weights["embedding.word_embeddings.weight"][tokens]
        start = torch.zeros(tokens.size(0), dtype=torch.long, device=self.device) if cache is None else cache.filled
        places = start[:, None] + torch.arange(tokens.size(1), device=self.device)
        if self.shape.learned_positions:
            x = x + self.weights["embedding.position_embeddings.weight"][places]
        turn = self._turn(places)
        keys, values = [], []
        for layer in range(self.shape.layers):
            had = None if cache is None else (cache.keys[layer], cache.values[layer], cache.filled)
            visible = self._visible(tokens.size(1), cache, self.shape.window_of(layer))
            x, key, value = self._layer(f"decoder.layers.{layer}.", x, turn, had, visible)
            keys.append(key if had is None else had[0])
            values.append(value if had is None else had[1])
        return self._norm("decoder.final_layernorm.", x), Cache(keys, values, start + tokens.size(1))

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary, without the rows that only pad it."""
        rows, bias = self.shape.vocabulary, self.weights.get("output_layer.bias")
        head = self.weights["embedding.word_embeddings.weight" if self.shape.tied else "output_layer.weight"]
        return functional.linear(hidden, head[:rows], None if bias is None else bias[:rows])

    def _layer(
        self,
        name: str,
        x: Tensor,
        turn: tuple[Tensor, Tensor],
        had: tuple[Tensor, Tensor, Tensor] | None,
        visible: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        normed = self._norm(f"{name}input_layernorm.", x)
        attended, key, value = self._attention(f"{name}self_attention.", normed, turn, had, visible)
        if self.shape.traits.parallel:
            if self.shape.traits.norms == 2:
                normed = self._norm(f"{name}pre_mlp_layernorm.", x)
            return x + attended + self._mlp(f"{name}mlp.", normed), key, value
        x = x + attended
        return x + self._mlp(f"{name}mlp.", self._norm(f"{name}pre_mlp_layernorm.", x)), key, value

    def _attention(
        self,
        name: str,
        x: Tensor,
        turn: tuple[Tensor, Tensor],
        had: tuple[Tensor, Tensor, Tensor] | None,
        visible: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        shape, (b, s, _) = self.shape, x.shape
        per_group = shape.heads // shape.kv_heads
        qkv = self._linear(f"{name}linear_qkv.", x).view(b, s, shape.kv_heads, per_group + 2, shape.head_dim)
        query = _turned(qkv[..., :per_group, :].reshape(b, s, shape.heads, -1).transpose(1, 2), turn)
        key, value = _turned(qkv[..., -2, :].transpose(1, 2), turn), qkv[..., -1, :].transpose(1, 2)
        if had is not None:
            rows, places = torch.arange(b, device=self.device), had[2]
            had[0][rows, :, places], had[1][rows, :, places] = key[:, :, 0], value[:, :, 0]
            assert visible is not None
            key, value = had[0][:, :, : visible.size(-1)], had[1][:, :, : visible.size(-1)]
        out = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=visible,
            is_causal=visible is None and s > 1,
            scale=None if shape.traits.scaled else 1.0,
            enable_gqa=per_group > 1,
        )
        return self._linear(f"{name}linear_proj.", out.transpose(1, 2).reshape(b, s, -1)), key, value

    def _mlp(self, name: str, x: Tensor) -> Tensor:
        up = self._linear(f"{name}linear_fc1.", x)
        if self.shape.gated:
            gate, up = up.chunk(2, -1)
            return self._linear(f"{name}linear_fc2.", functional.silu(gate) * up)
        rounded = "tanh" if self.shape.traits.activation == "gelu_tanh" else "none"
        return self._linear(f"{name}linear_fc2.", functional.gelu(up, approximate=rounded))

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.weights[f"{name}weight"], self.weights.get(f"{name}bias"))

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, width = self.weights[f"{name}weight"], (self.shape.hidden,)
        if self.shape.biased:
            return functional.layer_norm(x, width, weight, self.weights[f"{name}bias"], self.shape.epsilon)
        return functional.rms_norm(x, width, weight, self.shape.epsilon)

    def _visible(self, length: int, cache: Cache | None, window: int | None) -> Tensor | None:
        """Which places a row's next token sees: those filled, and its own; up to the fullest row, `[b, 1, 1, places]`.

        Without a cache `[length, length]`, or None if every token simply sees those before it.
        """
        if cache is None:
            if window is None or window >= length:
                return None
            return torch.ones(length, length, dtype=torch.bool, device=self.device).tril().triu(1 - window)
        places = torch.arange(int(cache.filled.max()) + 1, device=self.device)
        seen = places <= cache.filled[:, None]
        if window is not None:
            seen &= places > cache.filled[:, None] - window
        return seen[:, None, None, :]

    def _turn(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines for positions `[b, s]`, each `[b, 1, s, rotated]`."""
        angles = positions[:, None, :, None].float() * self._frequencies
        angles = torch.cat([angles, angles], -1)
        return angles.cos(), angles.sin()


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotates the front of each head by its position; the rest stays as it is."""
    cosines, sines = turn
    front, rest = x[..., : cosines.size(-1)], x[..., cosines.size(-1) :]
    first, second = front.chunk(2, -1)
    return torch.cat([front * cosines + torch.cat([-second, first], -1) * sines, rest], -1)
