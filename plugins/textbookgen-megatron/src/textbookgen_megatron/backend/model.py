"""Megatron-core's GPTModel in the shapes of this plugin, from its local layer spec."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped,misc"

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as functional
from megatron.core import parallel_state, tensor_parallel
from megatron.core.models.common.embeddings.rotary_pos_embedding import RotaryEmbedding
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.tensor_parallel.layers import ColumnParallelLinear, set_tensor_model_parallel_attributes
from megatron.core.transformer.identity_op import IdentityOp
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.transformer_layer import TransformerLayer, get_transformer_layer_offset
from torch import Tensor

from textbookgen_megatron.backend import device
from textbookgen_megatron.shape import Shape

Precision = Literal["fp32", "bf16"]


def gelu_tanh(x: Tensor) -> Tensor:
    """The GELU of phi-1 (`gelu_new`)."""
    return functional.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu_tanh": gelu_tanh, "gelu": functional.gelu, "silu": functional.silu}


class FlashAttention(MegatronModule):
    """Attention by torch's own kernels, which are fast on CPU and GPU and never hold a score for each pair of tokens.

    Takes and gives Megatron's layout: queries `[s, b, heads, d]`, keys and values `[s, b, groups, d]`, out `[s, b, heads * d]`.
    A mask is `[b, 1, s, s]`, True where a token must not look; without one, tokens look back, as far as the layer's window.
    """

    def __init__(self, config: TransformerConfig, layer_number: int, *_: Any, shape: Shape, **__: Any) -> None:
        super().__init__(config=config)
        self._scale = None if shape.traits.scaled else 1.0
        self._window = shape.window_of(layer_number - 1)
        self._dropout = config.attention_dropout

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None, /, **_: Any) -> Tensor:
        """Attends."""
        q, k, v = (item.permute(1, 2, 0, 3) for item in (query, key, value))
        if not q.is_cuda:
            q, k, v = q.float(), k.float(), v.float()  # on CPU the backward pass takes twice as long in bfloat16
        dropout = self._dropout if self.training else 0.0
        seen = self._seen(query.size(0), attention_mask, query.device)
        # heads are split over tensor parallel ranks, so each rank must draw dropout from a stream of its own
        with tensor_parallel.get_cuda_rng_tracker().fork() if dropout else contextlib.nullcontext():
            out = functional.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=seen,
                dropout_p=dropout,
                is_causal=seen is None,
                scale=self._scale,
                enable_gqa=q.size(1) != k.size(1),
            )
        return out.permute(2, 0, 1, 3).reshape(query.size(0), query.size(1), -1).to(query.dtype)

    def _seen(self, length: int, blind: Tensor | None, where: torch.device) -> Tensor | None:
        """True where a token looks; None if that is simply back."""
        seen = None if blind is None else ~blind
        if self._window is None or self._window >= length:
            return seen
        near = torch.ones(length, length, dtype=torch.bool, device=where).tril().triu(1 - self._window)
        return near if seen is None else seen & near


class Norm:
    """Builds torch's norm, marked so that Megatron-core sums its gradients where the sequence is split between processes."""

    def __new__(cls, config: TransformerConfig, hidden_size: int, eps: float, **_: Any) -> torch.nn.Module:
        """A LayerNorm or an RMSNorm; Megatron-core calls this in the place of a class."""
        kind = torch.nn.RMSNorm if config.normalization == "RMSNorm" else torch.nn.LayerNorm
        norm = kind(hidden_size, eps=eps)
        for parameter in norm.parameters():
            setattr(parameter, "sequence_parallel", config.sequence_parallel)  # noqa: B010
        return norm


class UnbiasedLinear(ColumnParallelLinear):
    """Queries, keys and values without biases in a block that otherwise has them, as in GPT-Neo."""

    def __init__(self, *arguments: Any, bias: bool, **options: Any) -> None:
        super().__init__(*arguments, bias=False, **options)


class ParallelBlock(TransformerLayer):
    """phi-1's block, `x + attention(norm(x)) + mlp(norm(x))`; Megatron-core itself has none of the kind.

    With a second norm, as in Pythia, that is the MLP's.
    """

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, rotary_pos_emb: Tensor | None = None, **_: Any
    ) -> tuple[Tensor, None]:
        """One block; the second value is Megatron's context, which decoders do not have."""
        normed = self.input_layernorm(hidden_states)
        attended, attention_bias = self.self_attention(normed, attention_mask=attention_mask, rotary_pos_emb=rotary_pos_emb)
        shared = isinstance(self.pre_mlp_layernorm, IdentityOp)
        thought, mlp_bias = self.mlp(normed if shared else self.pre_mlp_layernorm(hidden_states))
        attended = functional.dropout(attended + attention_bias, self.hidden_dropout, self.training)
        thought = functional.dropout(thought + mlp_bias, self.hidden_dropout, self.training)
        return hidden_states + attended + thought, None


def build(
    shape: Shape,
    *,
    precision: Precision = "fp32",
    dropout: float = 0.0,
    seed: int = 0,
    sequence_parallel: bool = False,
    recompute: bool = False,
) -> GPTModel:
    """A model of this shape with fresh weights on this process's device: its share of the layers, and of each of them.

    Weights are drawn whole on the CPU and then split, so they are the same on every layout and device.
    """
    device.seed(seed)
    config = _config(shape, precision, dropout, sequence_parallel, recompute)
    stage, stages = device.pipeline_rank()
    first = get_transformer_layer_offset(config, None, stage)
    _draw_in_vain(shape, first)
    model = GPTModel(
        config=config,
        transformer_layer_spec=_block(shape, shape.layers // stages),
        vocab_size=shape.padded_vocabulary,
        max_sequence_length=shape.places if shape.learned_positions else shape.sequence_length,
        position_embedding_type="learned_absolute" if shape.learned_positions else "rope",
        rotary_percent=shape.rotary_percent,
        rotary_base=shape.rotary_base,
        share_embeddings_and_output_weights=shape.tied,
        parallel_output=True,
        pre_process=stage == 0,
        post_process=stage == stages - 1,
    )
    if stage == 0:
        model.embedding.embedding_dropout.p = 0.0  # phi-1 drops attention and residuals only
    if stage == stages - 1 and shape.head_bias:
        _add_head_bias(model)
    return model.to(device.device())


def turn_by(model: GPTModel, shape: Shape, base: float) -> None:
    """Gives the model another rotary base, as phi-4's midtraining did for longer windows."""
    if shape.learned_positions:
        return
    model.rotary_pos_emb = RotaryEmbedding(
        kv_channels=shape.head_dim,
        rotary_percent=shape.rotary_percent,
        rotary_base=base,
        use_cpu_initialization=True,
        cp_group=model.pg_collection.cp,
    ).to(device.device())
    model.rotary_pos_emb_cache = {}


def _draw_in_vain(shape: Shape, layers: int) -> None:
    """Draws what stages of the pipeline before this one draw, so that this one's weights are those of a single process."""
    if not layers:
        return
    sizes = [(shape.padded_vocabulary, shape.hidden)]
    if shape.learned_positions:
        sizes += 2 * [(shape.places, shape.hidden)]  # torch's Embedding draws once, and Megatron-core again
    qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    up = shape.ffn * (2 if shape.gated else 1)
    sizes += layers * [(qkv, shape.hidden), (shape.hidden, shape.hidden), (up, shape.hidden), (shape.hidden, shape.ffn)]
    for size in sizes:
        torch.nn.init.normal_(torch.empty(size))


def _add_head_bias(model: GPTModel) -> None:
    """phi-1's head has a bias; Megatron-core's can have one, but GPTModel does not ask for it."""
    weight = model.output_layer.weight
    bias = torch.nn.Parameter(torch.zeros(weight.size(0), dtype=weight.dtype))
    set_tensor_model_parallel_attributes(bias, True, 0, 1)
    setattr(bias, "allreduce", True)  # noqa: B010
    model.output_layer.bias = bias


def _config(shape: Shape, precision: Precision, dropout: float, sequence_parallel: bool, recompute: bool) -> TransformerConfig:
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    ranks = parallel_state.get_tensor_model_parallel_world_size()
    return TransformerConfig(
        num_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        num_query_groups=shape.kv_heads,
        ffn_hidden_size=shape.ffn,
        normalization="LayerNorm" if shape.biased else "RMSNorm",
        layernorm_epsilon=shape.epsilon,
        gated_linear_unit=shape.gated,
        activation_func=ACTIVATIONS[shape.traits.activation],
        add_bias_linear=shape.biased,
        hidden_dropout=dropout,
        attention_dropout=dropout,
        tensor_model_parallel_size=ranks,
        pipeline_model_parallel_size=device.pipeline_rank()[1],
        sequence_parallel=sequence_parallel and ranks > 1,
        use_cpu_initialization=True,
        calculate_per_token_loss=True,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=precision == "bf16",
        recompute_granularity="full" if recompute else None,
        recompute_method="uniform" if recompute else None,
        recompute_num_layers=1 if recompute else None,
        # these need TransformerEngine or Apex, or a compiler, and change nothing but speed
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
        persist_layer_norm=False,
        apply_rope_fusion=False,
    )


def _block(shape: Shape, layers: int) -> TransformerBlockSubmodules:
    spec = copy.deepcopy(get_gpt_layer_local_spec(normalization="LayerNorm" if shape.biased else "RMSNorm"))
    parts = spec.submodules
    parts.self_attention.submodules.core_attention = ModuleSpec(FlashAttention, params={"shape": shape})
    if shape.biased and not shape.traits.qkv_biased:
        parts.self_attention.submodules.linear_qkv = UnbiasedLinear
    parts.input_layernorm = parts.pre_mlp_layernorm = Norm
    if shape.traits.parallel:
        spec.module = ParallelBlock
        parts.sharded_state_dict_keys_map = {}
        if shape.traits.norms == 1:
            parts.pre_mlp_layernorm = IdentityOp
    return TransformerBlockSubmodules(layer_specs=[spec] * layers, layer_norm=Norm)
