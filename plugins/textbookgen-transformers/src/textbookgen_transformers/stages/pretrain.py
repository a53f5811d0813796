"""The stage `transformers/pretrain`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from pydantic import Field

from textbookgen import Diagnostic, Estimate
from textbookgen.training.options import BlendOptions, NewModelOptions
from textbookgen_transformers.shape import unsupported_shape
from textbookgen_transformers.stages.options import TransformersTrainOptions


class Pretrain(NewModelOptions, BlendOptions, TransformersTrainOptions):
    """Pretrains a new model of transformers on windows of a token stream.

    Architectures are PhiForCausalLM (`phi`), Phi3ForCausalLM (`phi3`), LlamaForCausalLM (`llama`), GPTNeoXForCausalLM (`neox`
    and `pythia`) and GPTNeoForCausalLM (`neo`); `phi3` and `neo` support an attention window.
    """

    name: ClassVar[str] = "pretrain"

    tokens: int = Field(gt=0, description="training tokens; the data is repeated as often as needed")

    def check(self) -> Iterable[Diagnostic]:
        """Report shapes that are impossible or that transformers has no model for, and invalid blends."""
        yield from super().check()
        yield from self.blend_diagnostics(self.weights)
        if diagnostics := list(self.shape_diagnostics()):
            yield from diagnostics
        elif problem := unsupported_shape(self.shape_values()):
            yield Diagnostic(*problem)

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate from the parameters outside the embeddings, whose size depends on the vocabulary."""
        return self.estimate_training(self.estimate_parameters(), self.tokens)
