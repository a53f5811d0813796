"""The stage `transformers/sft`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from textbookgen import Estimate, Input
from textbookgen.api.artifacts import TransformersCheckpoint
from textbookgen.training.options import SftOptions
from textbookgen_transformers.stages.options import TransformersTrainOptions


class Sft(SftOptions, TransformersTrainOptions):
    """Finetunes a model on whole documents that do not attend to each other; the loss mask of the shards applies."""

    name: ClassVar[str] = "sft"

    checkpoint: Annotated[str, Input(TransformersCheckpoint)] = Field(
        description="the earlier stage that trained the model with this plugin, or exported it for transformers"
    )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate from the tokens of the shards in all epochs."""
        return self.estimate_training(*self.parameters_and_tokens(inputs))
