"""The stage `megatron/export`: writes a trained model in the format of transformers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from textbookgen import Artifact, Diagnostic, Estimate, Input, Runtime, TokenShards
from textbookgen.api.artifacts import TransformersCheckpoint
from textbookgen_megatron.checkpoint import MegatronCheckpoint
from textbookgen_megatron.stages.conversion import Conversion


class Export(Conversion):
    """Writes a trained model in the layout of transformers: weights, configuration, tokenizer, and where replies end.

    phi shapes become PhiForCausalLM, phi3 Phi3ForCausalLM, llama LlamaForCausalLM, neox and pythia GPTNeoXForCausalLM, neo
    GPTNeoForCausalLM. The weights are unchanged, except that the rows padding the vocabulary are removed.
    """

    name: ClassVar[str] = "export"
    version: ClassVar[int] = 4
    output: ClassVar[type[Artifact] | None] = TransformersCheckpoint

    checkpoint: Annotated[str, Input(MegatronCheckpoint)] = Field(description="stage above that trained the model")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="dtype of the exported weights")
    quantize: Literal["none", "int8", "int4"] = Field(
        "none",
        description="also write weights.quantized.safetensors, with the matrices of the layers quantized group-wise "
        "(round to nearest), and measure the loss of quality",
    )
    group_size: int = Field(64, gt=1, description="with `quantize`: weights of a row that share a scale")
    shards: Annotated[str | None, Input(TokenShards)] = Field(
        None, description="with `quantize`: stage above whose validation split the loss of quality is measured on"
    )
    validation_tokens: Annotated[int, Runtime] = Field(
        100_000, gt=0, description="with `quantize`: maximum number of validation tokens to evaluate on"
    )

    def check(self) -> Iterable[Diagnostic]:
        """Report missing options of quantization."""
        if self.quantize != "none" and self.shards is None:
            yield Diagnostic("shards", "required by `quantize`, to measure the loss of quality", "name a stage that packs data")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the size of the weights on disk."""
        parameters = inputs.get("checkpoint", Estimate()).parameters
        bytes_per_parameter = 4 if self.dtype == "float32" else 2
        return Estimate(disk_bytes=None if parameters is None else bytes_per_parameter * parameters, parameters=parameters)
