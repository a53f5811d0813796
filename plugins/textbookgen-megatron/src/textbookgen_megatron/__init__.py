"""Megatron-core as a trainer of textbookgen: pretrain, grow, sft, dpo, and the models that come of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from textbookgen import Model, Stage, hookimpl
from textbookgen.training.job import read_card


@hookimpl
def stages() -> Iterable[type[Stage]]:
    """The stages, used as `megatron/pretrain` and so on."""
    from textbookgen_megatron.stages.dpo import Dpo
    from textbookgen_megatron.stages.export import Export
    from textbookgen_megatron.stages.grow import Grow
    from textbookgen_megatron.stages.import_ import Import
    from textbookgen_megatron.stages.pivotal_tokens import PivotalTokens
    from textbookgen_megatron.stages.pretrain import Pretrain
    from textbookgen_megatron.stages.sft import Sft

    return [Pretrain, Grow, Sft, Dpo, PivotalTokens, Export, Import]


@hookimpl
def open_model(checkpoint: Path) -> Model | None:
    """The model of a checkpoint this plugin wrote or exported, or a folder of transformers, in a process of its own."""
    if not _ours(checkpoint):
        return None
    from textbookgen_megatron.served_model import MegatronModel

    return MegatronModel(checkpoint)


def _ours(folder: Path) -> bool:
    card, config = folder / "checkpoint.json", folder / "config.json"
    if card.is_file():
        return read_card(folder).get("format") in ("megatron", "transformers")
    if not config.is_file() or not (folder / "tokenizer.json").is_file():
        return False
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except ValueError:
        return False
    return kind in ("phi", "phi3", "llama", "gpt_neox", "gpt_neo")
