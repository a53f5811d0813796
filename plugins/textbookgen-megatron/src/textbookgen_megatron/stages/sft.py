"""The stage `megatron/sft`: supervised finetuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from textbookgen import Estimate, Input
from textbookgen.training.options import SftOptions
from textbookgen_megatron.checkpoint import MegatronCheckpoint
from textbookgen_megatron.stages.options import MegatronTrainOptions


class Sft(SftOptions, MegatronTrainOptions):
    """Finetunes a model on whole documents or chats, packed without cross-document attention; uses the loss mask of shards."""

    name: ClassVar[str] = "sft"
    version: ClassVar[int] = 2

    checkpoint: Annotated[str, Input(MegatronCheckpoint)] = Field(description="stage above that trained the model")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate from the parameters of the checkpoint and the tokens of the shards times `epochs`."""
        return self.estimate_training(*self.parameters_and_tokens(inputs))
