"""Megatron-core's GPTModel in the shapes of this plugin, from its local layer spec."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped,misc"

from __future__ import annotations

import contextlib
import copy
from typing import Any, Literal

import torch
import torch.nn.functional as functional
from megatron.core import parallel_state, tensor_parallel
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer.identity_op import IdentityOp
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.transformer_layer import TransformerLayer
from torch import Tensor

from textbookgen_megatron.backend import device
from textbookgen_megatron.shape import Shape

Precision = Literal["fp32", "bf16"]


def gelu_tanh(x: Tensor) -> Tensor:
    """The GELU of phi-1 (`gelu_new`)."""
    return functional.gelu(x, approximate="tanh")


class FlashAttention(MegatronModule):
    """Attention by torch's own kernels, which are fast on CPU and GPU and never hold a score for each pair of tokens.

    Takes and gives Megatron's layout: queries `[s, b, heads, d]`, keys and values `[s, b, groups, d]`, out `[s, b, heads * d]`.
    A mask is `[b, 1, s, s]`, True where a token must not look; without one, tokens look back.
    """

    def __init__(
        self, config: TransformerConfig, layer_number: int, *_: Any, softmax_scale: float | None = None, **__: Any
    ) -> None:
        super().__init__(config=config)
        self._scale = softmax_scale
        self._dropout = config.attention_dropout

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None, /, **_: Any) -> Tensor:
        """Attends."""
        q, k, v = (each.permute(1, 2, 0, 3) for each in (query, key, value))
        if not q.is_cuda:
            q, k, v = q.float(), k.float(), v.float()  # on CPU the backward pass takes twice as long in bfloat16
        dropout = self._dropout if self.training else 0.0
        # heads are split over tensor parallel ranks, so each rank must draw dropout from a stream of its own
        with tensor_parallel.get_cuda_rng_tracker().fork() if dropout else contextlib.nullcontext():
            out = functional.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=None if attention_mask is None else ~attention_mask,
                dropout_p=dropout,
                is_causal=attention_mask is None,
                scale=self._scale,
                enable_gqa=q.size(1) != k.size(1),
            )
        return out.permute(2, 0, 1, 3).reshape(query.size(0), query.size(1), -1).to(query.dtype)


class ParallelBlock(TransformerLayer):
    """phi-1's block, `x + attention(norm(x)) + mlp(norm(x))`; Megatron-core itself has none of the kind."""

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, rotary_pos_emb: Tensor | None = None, **_: Any
    ) -> tuple[Tensor, None]:
        """One block; the second value is Megatron's context, which decoders do not have."""
        normed = self.input_layernorm(hidden_states)
        attended, attention_bias = self.self_attention(normed, attention_mask=attention_mask, rotary_pos_emb=rotary_pos_emb)
        thought, mlp_bias = self.mlp(normed)
        attended = functional.dropout(attended + attention_bias, self.hidden_dropout, self.training)
        thought = functional.dropout(thought + mlp_bias, self.hidden_dropout, self.training)
        return hidden_states + attended + thought, None


def build(shape: Shape, *, precision: Precision = "fp32", dropout: float = 0.0, seed: int = 0) -> GPTModel:
    """A model of this shape with fresh weights on this process's device, its tensor parallel share of them.

    Weights are drawn whole on the CPU and then split, so they are the same on every layout and device.
    """
    device.seed(seed)
    model = GPTModel(
        config=_config(shape, precision, dropout),
        transformer_layer_spec=_layer(shape),
        vocab_size=shape.padded_vocabulary,
        max_sequence_length=shape.sequence_length,
        position_embedding_type="rope",
        rotary_percent=shape.rotary_percent,
        rotary_base=shape.rotary_base,
        share_embeddings_and_output_weights=False,
        parallel_output=True,
    )
    model.embedding.embedding_dropout.p = 0.0  # phi-1 drops attention and residuals only
    return model.to(device.device())


def _config(shape: Shape, precision: Precision, dropout: float) -> TransformerConfig:
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return TransformerConfig(
        num_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        num_query_groups=shape.kv_heads,
        ffn_hidden_size=shape.ffn,
        normalization="LayerNorm" if shape.biased else "RMSNorm",
        layernorm_epsilon=shape.epsilon,
        gated_linear_unit=shape.gated,
        activation_func=functional.silu if shape.gated else gelu_tanh,
        add_bias_linear=shape.biased,
        hidden_dropout=dropout,
        attention_dropout=dropout,
        tensor_model_parallel_size=parallel_state.get_tensor_model_parallel_world_size(),
        use_cpu_initialization=True,
        calculate_per_token_loss=True,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=precision == "bf16",
        # these need TransformerEngine or Apex, or a compiler, and change nothing but speed
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
        persist_layer_norm=False,
        apply_rope_fusion=False,
    )


def _layer(shape: Shape) -> ModuleSpec:
    spec = copy.deepcopy(get_gpt_layer_local_spec(normalization="LayerNorm" if shape.biased else "RMSNorm"))
    spec.submodules.self_attention.submodules.core_attention = FlashAttention
    if shape.architecture == "phi":
        spec.module = ParallelBlock
        spec.submodules.pre_mlp_layernorm = IdentityOp
        spec.submodules.sharded_state_dict_keys_map = {}
    return spec
