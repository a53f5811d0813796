"""The stage `megatron/dpo`: a model learns from pairs of replies, one chosen and one rejected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from textbookgen.errors import Complaint
from textbookgen.marks import Pipe
from textbookgen.stage import Volume
from textbookgen.training import LossType, OnPairs
from textbookgen_megatron.checkpoint import MegatronCheckpoint
from textbookgen_megatron.training import Training


class Dpo(OnPairs, Training):
    """Direct preference optimisation (arXiv 2305.18290) of a model on pairs that `megatron/pack` packed.

    What the model it starts from, the reference, says of each reply is computed once and kept in the step's folder. With
    `label_smoothing`, `sigmoid` is the conservative DPO of its author's note.
    """

    name: ClassVar[str] = "dpo"

    checkpoint: Annotated[str, Pipe(MegatronCheckpoint)] = Field(
        description="stage above that trained the model; it is the reference too"
    )

    smoothed: ClassVar[tuple[LossType, ...]] = ("sigmoid", *OnPairs.smoothed)

    def check(self) -> Iterable[Complaint]:
        """Losses that need what was not given, or know nothing of what was."""
        yield from super().check()
        yield from self.loss_complaints()

    def foresee(self, flows: Mapping[str, Volume]) -> Volume | None:
        """The shards' tokens, as often as they are gone through."""
        return self.foreseen(*self.volumes(flows))
