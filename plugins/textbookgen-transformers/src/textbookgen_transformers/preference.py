"""The stage `transformers/dpo`: a model learns from pairs of replies, one chosen and one rejected, with TRL's DPOTrainer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from textbookgen.artifacts import Checkpoint, Shards
from textbookgen.errors import Complaint
from textbookgen.marks import Pipe
from textbookgen_transformers.training import Beta, Finetuning

#: TRL's names of the losses that need no model but the policy and the reference.
LossType = Literal[
    "sigmoid",
    "robust",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "bco_pair",
    "sppo_hard",
    "apo_zero",
    "apo_down",
    "discopop",
    "sigmoid_norm",
    "aot",
    "aot_unpaired",
    "sft",
]
#: How much a loss counts.
Weight = Annotated[float, Field(gt=0)]
SMOOTHED = ("robust", "exo_pair", "aot", "aot_unpaired")


class Dpo(Finetuning):
    """Direct preference optimisation (arXiv 2305.18290) of a model on packed pairs, with TRL's DPOTrainer.

    What the model it starts from, the reference, says of each reply is computed once and kept in the step's folder.
    """

    name: ClassVar[str] = "dpo"
    warmup_share: ClassVar[float] = 0.1

    shards: Annotated[str, Pipe(Shards)] = Field(description="stage above that packed pairs")
    checkpoint: Annotated[str, Pipe(Checkpoint)] = Field(
        description="stage above that trained the model with this plugin, or exported one; it is the reference too"
    )
    epochs: float = Field(1.0, gt=0, description="how often the pairs are gone through")
    loss: LossType | dict[LossType, Weight] = Field(
        "sigmoid",
        description="which loss, by TRL's name; or several with their weights, such as { sigmoid = 1.0, sft = 0.2 }, "
        "which keeps chosen replies from becoming less likely",
    )
    beta: float = Field(0.1, gt=0, description="how dear it is to go away from the reference")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="share of pairs taken to be the wrong way round (robust, exo_pair, aot, aot_unpaired)"
    )
    batch: int = Field(64, gt=0, description="pairs a step")
    learning_rate: float = Field(5e-7, gt=0, description="the highest learning rate; small models want far higher ones")
    weight_decay: float = Field(0.0, ge=0, description="weight decay; biases and norms are spared")
    betas: tuple[Beta, Beta] = Field((0.9, 0.95), description="AdamW's betas")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of attention and residuals dropped; of `llama` attention only")
    warmup_steps: int | None = Field(
        None, ge=0, description="steps over which the learning rate rises; a tenth of all unless given"
    )

    @property
    def losses(self) -> dict[LossType, float]:
        """The losses and their weights."""
        return dict(self.loss) if isinstance(self.loss, dict) else {self.loss: 1.0}

    def check(self) -> Iterable[Complaint]:
        """Losses that need what was not given, or know nothing of what was."""
        yield from super().check()
        if not self.losses:
            yield Complaint("loss", "names none", 'loss = "sigmoid" is the usual one')
        if "robust" in self.losses and not self.label_smoothing:
            yield Complaint("label_smoothing", "is what `robust` is about, and it is 0", "give the share of wrong labels")
        elif self.label_smoothing and not set(SMOOTHED) & set(self.losses):
            yield Complaint(
                "label_smoothing", f"TRL's {' and '.join(self.losses)} has none", f"losses that do: {', '.join(SMOOTHED)}"
            )
