"""Megatron-core as a trainer of textbookgen: pack, pretrain, grow, sft, dpo, and the models that come of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from textbookgen.hookspecs import hookimpl
from textbookgen.model import Model
from textbookgen.stage import Stage


@hookimpl
def stages() -> Iterable[type[Stage]]:
    """The stages, used as `megatron/pack`, `megatron/pretrain` and so on."""
    from textbookgen_megatron.packing import MegatronPack
    from textbookgen_megatron.preference import Dpo
    from textbookgen_megatron.training import Grow, Pretrain, Sft

    return [MegatronPack, Pretrain, Grow, Sft, Dpo]


@hookimpl
def open_model(checkpoint: Path) -> Model | None:
    """The model of a checkpoint this plugin wrote, in a process of its own."""
    card = checkpoint / "checkpoint.json"
    if not card.is_file() or json.loads(card.read_text(encoding="utf-8")).get("format") != "megatron":
        return None
    from textbookgen_megatron.model import ServedModel

    return ServedModel(checkpoint)
