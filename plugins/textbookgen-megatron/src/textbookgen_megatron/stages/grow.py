"""The stage `megatron/grow`: enlarges a trained model and continues training it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from textbookgen import Estimate, Input
from textbookgen_megatron.checkpoint import MegatronCheckpoint
from textbookgen_megatron.stages.options import TokenStreamOptions


class Grow(TokenStreamOptions):
    """Enlarges a trained model and continues training: deeper by copying layers, wider by tiling or reusing weights."""

    name: ClassVar[str] = "grow"

    checkpoint: Annotated[str, Input(MegatronCheckpoint)] = Field(description="stage above that trained the smaller model")
    layers: int | None = Field(None, gt=0, description="number of layers; default: that of the smaller model")
    hidden: int | None = Field(
        None,
        gt=0,
        description="hidden size; default: that of the smaller model",
    )
    heads: int | None = Field(
        None,
        gt=0,
        description="number of attention heads, which are enlarged if it grows less than `hidden` (phi-1.5 to phi-2: 32 heads "
        "of 64 to 32 of 80; needs dimensions that are not rotated); unless given, heads keep their size and their number grows",
    )
    ffn: int | None = Field(None, gt=0, description="intermediate size of the MLP; default: scaled with `hidden`")
    method: Literal["tile", "reuse", "scratch"] = Field(
        "tile",
        description="`tile` fills each matrix with copies, which preserves the function if the width grows by an integer "
        "factor; `reuse` copies each smaller matrix into a corner and initializes the rest; `scratch` initializes everything "
        "(a baseline)",
    )
    noise: float = Field(
        1.0,
        ge=0,
        description="with `tile`: standard deviation of the noise that breaks the symmetry of copies, relative to that of the "
        "weights; it sums to zero over the copies of an input",
    )
    layer_rounding: Literal["even", "down"] = Field(
        "even",
        description="which layer a new layer between two copies: `even` rounds (halves to even), `down` truncates",
    )
    tokens: int = Field(ge=0, description="tokens to train on; 0 only enlarges the model")
    learning_rate: float = Field(
        5e-4, gt=0, description="peak learning rate; half of phi-1's, since a high rate undoes what was preserved"
    )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate from `layers` and `hidden`, if both are set."""
        if self.layers is None or self.hidden is None:
            return Estimate(tokens=self.tokens)
        ffn = self.ffn or 4 * self.hidden
        return self.estimate_training(self.layers * self.hidden * (4 * self.hidden + 2 * ffn), self.tokens)
