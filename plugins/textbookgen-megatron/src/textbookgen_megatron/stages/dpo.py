"""The stage `megatron/dpo`: direct preference optimization on pairs of a chosen and a rejected reply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from textbookgen import Diagnostic, Estimate, Input
from textbookgen.training.options import DpoOptions, LossType
from textbookgen_megatron.checkpoint import MegatronCheckpoint
from textbookgen_megatron.stages.options import MegatronTrainOptions


class Dpo(DpoOptions, MegatronTrainOptions):
    """Direct preference optimization (DPO, arXiv 2305.18290) on pairs packed by `pack`.

    The log probabilities of all replies under the reference model, which is the model training starts from, are computed
    once and stored in the step folder. With `label_smoothing`, `sigmoid` is conservative DPO (cDPO, E. Mitchell, 2023).
    """

    name: ClassVar[str] = "dpo"

    checkpoint: Annotated[str, Input(MegatronCheckpoint)] = Field(
        description="stage above that trained the model; also the reference model"
    )

    smoothable_losses: ClassVar[tuple[LossType, ...]] = ("sigmoid", *DpoOptions.smoothable_losses)

    def check(self) -> Iterable[Diagnostic]:
        """Report losses that need an option which is not set, and options that the losses do not use."""
        yield from super().check()
        yield from self.loss_diagnostics()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate from the parameters of the checkpoint and the tokens of the shards times `epochs`."""
        return self.estimate_training(*self.parameters_and_tokens(inputs))
