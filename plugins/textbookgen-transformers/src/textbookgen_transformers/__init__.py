"""Transformers and TRL as a trainer of textbookgen: pretrain, sft, dpo, and the models that come of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textbookgen import Model, Stage, hookimpl


@hookimpl
def stages() -> Iterable[type[Stage]]:
    """The stages, used as `transformers/pretrain` and so on."""
    from textbookgen_transformers.preference import Dpo
    from textbookgen_transformers.training import Pretrain, Sft

    return [Pretrain, Sft, Dpo]


@hookimpl(trylast=True)
def open_model(checkpoint: Path) -> Model | None:
    """The model of a checkpoint this plugin wrote, or one exported for transformers that no other plugin opens."""
    from textbookgen.training.job import read_card
    from textbookgen_transformers.job import FORMATS

    if not (checkpoint / "checkpoint.json").is_file() or read_card(checkpoint).get("format") not in FORMATS:
        return None
    from textbookgen_transformers.model import TransformersModel

    return TransformersModel(checkpoint)
