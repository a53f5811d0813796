"""Training with transformers and TRL for textbookgen: pretraining, SFT, DPO, and serving of the models."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textbookgen import Checkpoint, Model, Stage, hookimpl


@hookimpl(specname="stages")  # not `def stages`: importing the subpackage of that name would replace the function
def provide_stages() -> Iterable[type[Stage]]:
    """Return the stages, used as `transformers/pretrain` and so on."""
    from textbookgen_transformers.stages.dpo import Dpo
    from textbookgen_transformers.stages.pretrain import Pretrain
    from textbookgen_transformers.stages.sft import Sft

    return [Pretrain, Sft, Dpo]


@hookimpl(trylast=True)
def open_model(checkpoint: Path) -> Model | None:
    """Open the model of a checkpoint of this plugin, or of one exported for transformers that no other plugin opens."""
    from textbookgen.api.cards import CheckpointCard
    from textbookgen_transformers.job import FORMATS

    if not (checkpoint / Checkpoint.card_name).is_file() or CheckpointCard.read(checkpoint).format not in FORMATS:
        return None
    from textbookgen_transformers.served_model import TransformersModel

    return TransformersModel(checkpoint)
