"""Megatron-core's GPTModel in the architectures of this plugin, built from its local layer spec."""

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
    """Apply the tanh approximation of GELU (`gelu_new` in transformers), which phi-1 uses."""
    return functional.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu_tanh": gelu_tanh, "gelu": functional.gelu, "silu": functional.silu}


class SdpaAttention(MegatronModule):
    """Core attention by torch's scaled_dot_product_attention, which does not materialize the attention scores.

    Replaces Megatron-core's DotProductAttention and has its interface: queries `[seq, batch, heads, head_dim]`, keys and values
    `[seq, batch, kv_heads, head_dim]`, output `[seq, batch, heads * head_dim]`. A mask is boolean, `[batch, 1, seq, seq]`, True
    where attention is not allowed; without one, attention is causal, and limited to the layer's window.
    """

    def __init__(self, config: TransformerConfig, layer_number: int, *_: Any, shape: Shape, **__: Any) -> None:
        super().__init__(config=config)
        self._scale = None if shape.traits.scaled else 1.0
        self._window = shape.window_of(layer_number - 1)
        self._dropout = config.attention_dropout

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None, /, **_: Any) -> Tensor:
        """Compute attention; shapes are those of the class."""
        q, k, v = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
        if not q.is_cuda:
            q, k, v = q.float(), k.float(), v.float()  # on CPUs the backward pass takes twice as long in bfloat16
        dropout = self._dropout if self.training else 0.0
        allowed = self._allowed(query.size(0), attention_mask, query.device)
        # heads are split across tensor parallel ranks, so each rank must draw dropout from its own stream
        with tensor_parallel.get_cuda_rng_tracker().fork() if dropout else contextlib.nullcontext():
            out = functional.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=allowed,
                dropout_p=dropout,
                is_causal=allowed is None,
                scale=self._scale,
                enable_gqa=q.size(1) != k.size(1),
            )
        return out.permute(2, 0, 1, 3).reshape(query.size(0), query.size(1), -1).to(query.dtype)

    def _allowed(self, length: int, mask: Tensor | None, on: torch.device) -> Tensor | None:
        """Return a boolean mask that is True where attention is allowed; None for plain causal attention."""
        allowed = None if mask is None else ~mask
        if self._window is None or self._window >= length:
            return allowed
        in_window = torch.ones(length, length, dtype=torch.bool, device=on).tril().triu(1 - self._window)
        return in_window if allowed is None else allowed & in_window


class Norm:
    """Builds torch's LayerNorm or RMSNorm, marked so that Megatron-core reduces its gradients under sequence parallelism."""

    def __new__(cls, config: TransformerConfig, hidden_size: int, eps: float, **_: Any) -> torch.nn.Module:
        """Return the norm; Megatron-core calls this like the constructor of a module class."""
        kind = torch.nn.RMSNorm if config.normalization == "RMSNorm" else torch.nn.LayerNorm
        norm = kind(hidden_size, eps=eps)
        for parameter in norm.parameters():
            setattr(parameter, "sequence_parallel", config.sequence_parallel)  # noqa: B010
        return norm


class UnbiasedLinear(ColumnParallelLinear):
    """A QKV projection without bias in a block whose other linear layers have biases, as in GPT-Neo."""

    def __init__(self, *arguments: Any, bias: bool, **options: Any) -> None:
        super().__init__(*arguments, bias=False, **options)


class ParallelBlock(TransformerLayer):
    """The block of phi-1, `x + attention(norm(x)) + mlp(norm(x))`, which Megatron-core does not have.

    With a second norm, as in Pythia, the MLP has its own.
    """

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, rotary_pos_emb: Tensor | None = None, **_: Any
    ) -> tuple[Tensor, None]:
        """Apply the block to `[seq, batch, hidden]`; the second value is Megatron-core's context, unused in decoders."""
        normed = self.input_layernorm(hidden_states)
        attended, attention_bias = self.self_attention(normed, attention_mask=attention_mask, rotary_pos_emb=rotary_pos_emb)
        shares_norm = isinstance(self.pre_mlp_layernorm, IdentityOp)
        mlp_out, mlp_bias = self.mlp(normed if shares_norm else self.pre_mlp_layernorm(hidden_states))
        attended = functional.dropout(attended + attention_bias, self.hidden_dropout, self.training)
        mlp_out = functional.dropout(mlp_out + mlp_bias, self.hidden_dropout, self.training)
        return hidden_states + attended + mlp_out, None


def build_model(
    shape: Shape,
    *,
    precision: Precision = "fp32",
    dropout: float = 0.0,
    seed: int = 0,
    sequence_parallel: bool = False,
    activation_checkpointing: bool = False,
) -> GPTModel:
    """Build this process's part of a freshly initialized model, on its device.

    Full weights are drawn on the CPU and then split, so they are the same for every parallel layout and device.

    Args:
        shape: The architecture and its sizes.
        precision: dtype of the weights.
        dropout: Dropout rate of attention and residuals.
        seed: Seed of the initial weights.
        sequence_parallel: Split norms and dropout along the sequence; has an effect with tensor parallelism only.
        activation_checkpointing: Recompute each layer in the backward pass.
    """
    device.set_seed(seed)
    config = _config(shape, precision, dropout, sequence_parallel, activation_checkpointing)
    stage, stages = device.pipeline_rank(), device.pipeline_size()
    _advance_rng_past_earlier_stages(shape, get_transformer_layer_offset(config, None, stage))
    model = GPTModel(
        config=config,
        transformer_layer_spec=_block_spec(shape, shape.layers // stages),
        vocab_size=shape.padded_vocabulary,
        max_sequence_length=shape.max_positions if shape.learned_positions else shape.sequence_length,
        position_embedding_type="learned_absolute" if shape.learned_positions else "rope",
        rotary_percent=shape.rotary_percent,
        rotary_base=shape.rotary_base,
        share_embeddings_and_output_weights=shape.tied,
        parallel_output=True,
        pre_process=stage == 0,
        post_process=stage == stages - 1,
    )
    if stage == 0:
        model.embedding.embedding_dropout.p = 0.0  # phi-1 has dropout on attention and residuals only
    if stage == stages - 1 and shape.head_bias:
        _add_head_bias(model)
    return model.to(device.device())


def set_rotary_base(model: GPTModel, shape: Shape, base: float) -> None:
    """Replace the rotary base (RoPE theta) of a model, as phi-4's midtraining does for longer sequences."""
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


def _advance_rng_past_earlier_stages(shape: Shape, layers: int) -> None:
    """Draw the initial weights of earlier pipeline stages, so that this stage's weights are those of a single process.

    Args:
        shape: The shape of the whole model.
        layers: Number of layers before this stage; 0 on the first.
    """
    if not layers:
        return
    sizes = [(shape.padded_vocabulary, shape.hidden)]
    if shape.learned_positions:
        sizes += 2 * [(shape.max_positions, shape.hidden)]  # torch's Embedding draws once, and Megatron-core again
    qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    up = shape.ffn * (2 if shape.gated else 1)
    sizes += layers * [(qkv, shape.hidden), (shape.hidden, shape.hidden), (up, shape.hidden), (shape.hidden, shape.ffn)]
    for size in sizes:
        torch.nn.init.normal_(torch.empty(size))


def _add_head_bias(model: GPTModel) -> None:
    """Add a bias to the output layer, as phi-1 has; ColumnParallelLinear supports one, but GPTModel never asks for it."""
    weight = model.output_layer.weight
    bias = torch.nn.Parameter(torch.zeros(weight.size(0), dtype=weight.dtype))
    set_tensor_model_parallel_attributes(bias, True, 0, 1)
    setattr(bias, "allreduce", True)  # noqa: B010
    model.output_layer.bias = bias


def _config(
    shape: Shape, precision: Precision, dropout: float, sequence_parallel: bool, activation_checkpointing: bool
) -> TransformerConfig:
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
        pipeline_model_parallel_size=device.pipeline_size(),
        sequence_parallel=sequence_parallel and ranks > 1,
        use_cpu_initialization=True,
        calculate_per_token_loss=True,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=precision == "bf16",
        recompute_granularity="full" if activation_checkpointing else None,
        recompute_method="uniform" if activation_checkpointing else None,
        recompute_num_layers=1 if activation_checkpointing else None,
        # these need TransformerEngine, Apex or a compiler, and affect speed only
        bias_activation_fusion=False,
        bias_dropout_fusion=False,
        masked_softmax_fusion=False,
        gradient_accumulation_fusion=False,
        persist_layer_norm=False,
        apply_rope_fusion=False,
    )


def _block_spec(shape: Shape, layers: int) -> TransformerBlockSubmodules:
    spec = copy.deepcopy(get_gpt_layer_local_spec(normalization="LayerNorm" if shape.biased else "RMSNorm"))
    parts = spec.submodules
    parts.self_attention.submodules.core_attention = ModuleSpec(SdpaAttention, params={"shape": shape})
    if shape.biased and not shape.traits.qkv_biased:
        parts.self_attention.submodules.linear_qkv = UnbiasedLinear
    parts.input_layernorm = parts.pre_mlp_layernorm = Norm
    if shape.traits.parallel:
        spec.module = ParallelBlock
        parts.sharded_state_dict_keys_map = {}
        if shape.traits.norms == 1:
            parts.pre_mlp_layernorm = IdentityOp
    return TransformerBlockSubmodules(layer_specs=[spec] * layers, layer_norm=Norm)
