"""The stage `megatron/pretrain`: trains a model from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from pydantic import Field

from textbookgen import Diagnostic, Estimate
from textbookgen.training.options import NewModelOptions
from textbookgen_megatron.stages.options import TokenStreamOptions


class Pretrain(NewModelOptions, TokenStreamOptions):
    """Pretrains a model from scratch."""

    name: ClassVar[str] = "pretrain"

    head_bias: bool | None = Field(None, description="add a bias to the output layer, as phi-1 has")
    tokens: int = Field(gt=0, description="tokens to train on; the data is repeated as needed")

    def extra_shape_options(self) -> set[str]:
        """Return the options of this stage that are part of the model shape: the bias of the output layer."""
        return {"head_bias"}

    def check(self) -> Iterable[Diagnostic]:
        """Report impossible shapes, and layouts that do not divide the shape."""
        yield from super().check()
        if problems := list(self.shape_diagnostics()):
            yield from problems
            return
        shape = self.shape_values()
        if shape.get("tied") and shape.get("head_bias"):
            yield Diagnostic("head_bias", "a tied output layer has no bias", "remove it, or untie the output layer")
        if self.freeze_layers >= shape["layers"]:
            yield Diagnostic("freeze_layers", f"all {shape['layers']} layers would be frozen", "freeze fewer layers")
        for option in ("heads", "kv_heads", "ffn"):
            if shape[option] % self.tensor_parallel:
                problem = f"{option} = {shape[option]} cannot be split across {self.tensor_parallel} processes"
                yield Diagnostic("tensor_parallel", problem, "choose a divisor of heads, kv_heads and ffn")
        if shape["layers"] % self.pipeline_parallel:
            problem = f"{shape['layers']} layers cannot be split into {self.pipeline_parallel} pipeline stages"
            yield Diagnostic("pipeline_parallel", problem, "choose a divisor of layers")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate from the parameters outside the embeddings; the vocabulary is not known yet."""
        return self.estimate_training(self.estimate_parameters(), self.tokens)
