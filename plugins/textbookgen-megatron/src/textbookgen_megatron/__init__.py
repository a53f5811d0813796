"""Training with Megatron-core for textbookgen: pretraining, growing, SFT, DPO, conversion, and serving of the models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from textbookgen import Checkpoint, Model, Stage, hookimpl
from textbookgen.api.cards import CheckpointCard


@hookimpl(specname="stages")  # not `def stages`: importing the subpackage of that name would replace the function
def provide_stages() -> Iterable[type[Stage]]:
    """Return the stages, used as `megatron/pretrain` and so on."""
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
    """Open the model of a checkpoint of this plugin or of a folder in the format of transformers, in a separate process."""
    if not _is_supported(checkpoint):
        return None
    from textbookgen_megatron.served_model import MegatronModel

    return MegatronModel(checkpoint)


def _is_supported(folder: Path) -> bool:
    if (folder / Checkpoint.card_name).is_file():
        return CheckpointCard.read(folder).format in ("megatron", "transformers")
    config = folder / "config.json"
    if not config.is_file() or not (folder / "tokenizer.json").is_file():
        return False
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except ValueError:
        return False
    return kind in ("phi", "phi3", "llama", "gpt_neox", "gpt_neo")
