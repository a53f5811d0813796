"""The stage `transformers/dpo`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from textbookgen import Diagnostic, Estimate, Input
from textbookgen.api.artifacts import TransformersCheckpoint
from textbookgen.training.options import DpoOptions
from textbookgen_transformers.stages.options import TransformersTrainOptions


class Dpo(DpoOptions, TransformersTrainOptions):
    """Direct preference optimization (arXiv 2305.18290) on packed pairs, with TRL's DPOTrainer.

    The reference model is the one that training starts from; its log probabilities are computed once per job.
    """

    name: ClassVar[str] = "dpo"

    checkpoint: Annotated[str, Input(TransformersCheckpoint)] = Field(
        description="the earlier stage that trained or exported the model, which is also the reference model"
    )

    def check(self) -> Iterable[Diagnostic]:
        """Report losses without the options they need, and options that no chosen loss supports."""
        yield from super().check()
        yield from self.loss_diagnostics()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate from the tokens of the shards in all epochs."""
        return self.estimate_training(*self.parameters_and_tokens(inputs))
