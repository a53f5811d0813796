"""The stage `megatron/dpo`: a model learns from pairs of replies, one chosen and one rejected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from textbookgen import Diagnostic, Estimate, Input
from textbookgen.training.options import DpoOptions, LossType
from textbookgen_megatron.checkpoint import MegatronCheckpoint
from textbookgen_megatron.training import Training


class Dpo(DpoOptions, Training):
    """Direct preference optimisation (arXiv 2305.18290) of a model on pairs that `pack` packed.

    What the model it starts from, the reference, says of each reply is computed once and kept in the step's folder. With
    `label_smoothing`, `sigmoid` is the conservative DPO of its author's note.
    """

    name: ClassVar[str] = "dpo"

    checkpoint: Annotated[str, Input(MegatronCheckpoint)] = Field(
        description="stage above that trained the model; it is the reference too"
    )

    smoothed: ClassVar[tuple[LossType, ...]] = ("sigmoid", *DpoOptions.smoothed)

    def check(self) -> Iterable[Diagnostic]:
        """Losses that need what was not given, or know nothing of what was."""
        yield from super().check()
        yield from self.loss_diagnostics()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """The shards' tokens, as often as they are gone through."""
        return self.estimated(*self.volumes(inputs))
