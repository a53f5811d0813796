"""The stage `transformers/dpo`: a model learns from pairs of replies, one chosen and one rejected, with TRL's DPOTrainer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from textbookgen import Diagnostic, Estimate, Input
from textbookgen.api.artifacts import TransformersCheckpoint
from textbookgen.training.options import DpoOptions
from textbookgen_transformers.training import Training


class Dpo(DpoOptions, Training):
    """Direct preference optimisation (arXiv 2305.18290) of a model on packed pairs, with TRL's DPOTrainer.

    What the model it starts from, the reference, says of each reply is computed once and kept in the step's folder.
    """

    name: ClassVar[str] = "dpo"

    checkpoint: Annotated[str, Input(TransformersCheckpoint)] = Field(
        description="stage above that trained the model with this plugin, or exported one; it is the reference too"
    )

    def check(self) -> Iterable[Diagnostic]:
        """Losses that need what was not given, or know nothing of what was."""
        yield from super().check()
        yield from self.loss_diagnostics()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """The shards' tokens, as often as they are gone through."""
        return self.estimated(*self.volumes(inputs))
