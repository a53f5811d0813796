"""A GPT in plain torch with a key/value cache, for evaluation and generation.

It computes what Megatron-core's GPTModel computes (a test compares the two to 1e-5), but starts in a second and has little
overhead between matrix multiplications, which matters for small models and decoding one token at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as functional
from torch import Tensor

from textbookgen_megatron.shape import Shape


@dataclass
class KVCache:
    """Keys and values of each layer, `[batch, kv_heads, capacity, head_dim]`, and the length of each row, int64 `[batch]`."""

    keys: list[Tensor]
    values: list[Tensor]
    lengths: Tensor

    def rows(self, index: Tensor) -> KVCache:
        """Return a cache of the rows at these indices, int64 `[rows]`; indices may repeat."""
        return KVCache([k[index] for k in self.keys], [v[index] for v in self.values], self.lengths[index])

    def extended(self, positions: int) -> KVCache:
        """Return a cache with capacity for further positions."""
        padding = (0, 0, 0, positions)
        keys, values = ([functional.pad(tensor, padding) for tensor in tensors] for tensors in (self.keys, self.values))
        return KVCache(keys, values, self.lengths)


@dataclass(frozen=True)
class _LayerCache:
    """The cache of one layer while it decodes one token per row, and the boolean mask of positions that row attends to.

    `keys` and `values` are `[batch, kv_heads, capacity, head_dim]`, `lengths` int64 `[batch]`, `allowed` boolean
    `[batch, 1, 1, positions]`.
    """

    keys: Tensor
    values: Tensor
    lengths: Tensor
    allowed: Tensor

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store the key and value of a token per row, each `[batch, kv_heads, 1, head_dim]`; return those in use."""
        rows = torch.arange(key.size(0), device=key.device)
        self.keys[rows, :, self.lengths], self.values[rows, :, self.lengths] = key[:, :, 0], value[:, :, 0]
        positions = self.allowed.size(-1)
        return self.keys[:, :, :positions], self.values[:, :, :positions]


@dataclass
class TorchModel:
    """A model as its shape and its weights by Megatron-core's names, in float32 on one device."""

    shape: Shape
    weights: dict[str, Tensor]
    device: torch.device = field(default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def __post_init__(self) -> None:
        self.weights = {name: weight.to(self.device, torch.float32) for name, weight in self.weights.items()}
        dims = self.shape.rotary_dim
        exponents = torch.arange(0, dims, 2, dtype=torch.float32, device=self.device) / dims
        self._frequencies = 1.0 / (self.shape.rotary_base**exponents)

    def hidden(self, tokens: Tensor, cache: KVCache | None = None) -> tuple[Tensor, KVCache]:
        """Compute the hidden states after the final norm.

        Without a cache, rows start at position 0 and may be padded on the right, which causal attention ignores. With one,
        each row is continued by one token.

        Args:
            tokens: Token ids, int64 `[batch, seq]`; with a cache `[batch, 1]`.
            cache: Keys and values of the tokens before; it is modified.

        Returns:
            Hidden states, float32 `[batch, seq, hidden]`, and the cache with these tokens.
        """
        x = self.weights["embedding.word_embeddings.weight"][tokens]
        start = torch.zeros(tokens.size(0), dtype=torch.long, device=self.device) if cache is None else cache.lengths
        positions = start[:, None] + torch.arange(tokens.size(1), device=self.device)
        if self.shape.learned_positions:
            x = x + self.weights["embedding.position_embeddings.weight"][positions]
        rotation = self._rotation(positions)
        keys, values = [], []
        for layer in range(self.shape.layers):
            name, window = f"decoder.layers.{layer}.", self.shape.window_of(layer)
            if cache is None:
                x, key, value = self._layer(name, x, rotation, self._window_mask(tokens.size(1), window), None)
            else:
                key, value = cache.keys[layer], cache.values[layer]
                layer_cache = _LayerCache(key, value, cache.lengths, self._cache_mask(cache.lengths, window))
                x, _, _ = self._layer(name, x, rotation, layer_cache.allowed, layer_cache)
            keys.append(key)
            values.append(value)
        return self._norm("decoder.final_layernorm.", x), KVCache(keys, values, start + tokens.size(1))

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits `[..., vocabulary]` from hidden states `[..., hidden]`, without the rows that pad the vocabulary."""
        rows, bias = self.shape.vocabulary, self.weights.get("output_layer.bias")
        head = self.weights["embedding.word_embeddings.weight" if self.shape.tied else "output_layer.weight"]
        return functional.linear(hidden, head[:rows], None if bias is None else bias[:rows])

    def _layer(
        self, name: str, x: Tensor, rotation: tuple[Tensor, Tensor], allowed: Tensor | None, cache: _LayerCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Apply a layer to `[batch, seq, hidden]`; also return its keys and values."""
        normed = self._norm(f"{name}input_layernorm.", x)
        attended, key, value = self._attention(f"{name}self_attention.", normed, rotation, allowed, cache)
        if self.shape.traits.parallel:
            if self.shape.traits.norms == 2:
                normed = self._norm(f"{name}pre_mlp_layernorm.", x)
            return x + attended + self._mlp(f"{name}mlp.", normed), key, value
        x = x + attended
        return x + self._mlp(f"{name}mlp.", self._norm(f"{name}pre_mlp_layernorm.", x)), key, value

    def _attention(
        self, name: str, x: Tensor, rotation: tuple[Tensor, Tensor], allowed: Tensor | None, cache: _LayerCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        shape, (batch, seq, _) = self.shape, x.shape
        per_group = shape.heads // shape.kv_heads
        qkv = self._linear(f"{name}linear_qkv.", x).view(batch, seq, shape.kv_heads, per_group + 2, shape.head_dim)
        query = _rotate(qkv[..., :per_group, :].reshape(batch, seq, shape.heads, -1).transpose(1, 2), rotation)
        key, value = _rotate(qkv[..., -2, :].transpose(1, 2), rotation), qkv[..., -1, :].transpose(1, 2)
        if cache is not None:
            key, value = cache.append(key, value)
        out = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=allowed,
            is_causal=allowed is None and seq > 1,
            scale=None if shape.traits.scaled else 1.0,
            enable_gqa=per_group > 1,
        )
        return self._linear(f"{name}linear_proj.", out.transpose(1, 2).reshape(batch, seq, -1)), key, value

    def _mlp(self, name: str, x: Tensor) -> Tensor:
        up = self._linear(f"{name}linear_fc1.", x)
        if self.shape.gated:
            gate, up = up.chunk(2, -1)
            return self._linear(f"{name}linear_fc2.", functional.silu(gate) * up)
        approximate = "tanh" if self.shape.traits.activation == "gelu_tanh" else "none"
        return self._linear(f"{name}linear_fc2.", functional.gelu(up, approximate=approximate))

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.weights[f"{name}weight"], self.weights.get(f"{name}bias"))

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, width = self.weights[f"{name}weight"], (self.shape.hidden,)
        if self.shape.biased:
            return functional.layer_norm(x, width, weight, self.weights[f"{name}bias"], self.shape.epsilon)
        return functional.rms_norm(x, width, weight, self.shape.epsilon)

    def _window_mask(self, length: int, window: int | None) -> Tensor | None:
        """Return the boolean attention mask of a sliding window, `[length, length]`; None for plain causal attention."""
        if window is None or window >= length:
            return None
        return torch.ones(length, length, dtype=torch.bool, device=self.device).tril().triu(1 - window)

    def _cache_mask(self, lengths: Tensor, window: int | None) -> Tensor:
        """Return which positions the next token of each row attends to: those in the cache and its own.

        Returns:
            Boolean, `[batch, 1, 1, positions]`, with as many positions as the longest row has.
        """
        positions = torch.arange(int(lengths.max()) + 1, device=self.device)
        allowed = positions <= lengths[:, None]
        if window is not None:
            allowed &= positions > lengths[:, None] - window
        return allowed[:, None, None, :]

    def _rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines, each `[batch, 1, seq, rotary_dim]`, for positions `[batch, seq]`."""
        angles = positions[:, None, :, None].float() * self._frequencies
        angles = torch.cat([angles, angles], -1)
        return angles.cos(), angles.sin()


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Apply rotary embeddings to the first dimensions of each head, `[batch, heads, seq, head_dim]`; the others stay."""
    cosines, sines = rotation
    rotary, rest = x[..., : cosines.size(-1)], x[..., cosines.size(-1) :]
    first, second = rotary.chunk(2, -1)
    return torch.cat([rotary * cosines + torch.cat([-second, first], -1) * sines, rest], -1)
