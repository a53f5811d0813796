"""What a training process is told, by job.json and by the checkpoint it starts from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textbookgen import TrainerError
from textbookgen.training.job import JobFile, Parent
from textbookgen.training.shards import PackedShards, check_one_vocabulary
from textbookgen_transformers.preference import Dpo
from textbookgen_transformers.training import Pretrain, Sft, Training
from textbookgen_transformers.weights import check_weights

STAGES: dict[str, type[Training]] = {f"transformers/{stage.name}": stage for stage in (Pretrain, Sft, Dpo)}

#: What this plugin writes, and what others export in the format of transformers: both can be opened and trained on.
FORMAT = "transformers/trainer"
FORMATS = (FORMAT, "transformers")
_STARTS = "transformers stages read their own checkpoints and those exported for transformers, as by megatron/export"


@dataclass(frozen=True)
class TrainingJob:
    """A job: its options, what flows in, and the folder it works in."""

    options: Training
    use: str
    seed: int
    folder: Path
    blend: dict[str, PackedShards]
    parent: Parent | None

    @property
    def shards(self) -> PackedShards:
        """The shards; of several, the first, which says what tokenizer and windows all have."""
        return next(iter(self.blend.values()))

    @classmethod
    def read(cls, path: Path) -> TrainingJob:
        """Reads job.json and all it names.

        Raises:
            TrainerError: something it names is missing, torn, or does not fit together.
        """
        told = JobFile.read(path)
        options = told.options(STAGES)
        blend = {flow.label: whole_shards(flow.path) for flow in told.inputs["shards"]}
        check_one_vocabulary(blend)
        _check_one_length(blend)
        parent = None
        if "checkpoint" in told.inputs:
            parent = Parent.read(told.inputs["checkpoint"][0], FORMATS, _STARTS)
            parent.check_vocabulary(next(iter(blend.values())).tokenizer)
            if os.environ.get("RANK", "0") == "0":  # once is enough: the other processes wait for this one
                check_weights(parent.folder, parent.card)
        seed = (told.seed + options.seed) % 2**32  # numpy takes no larger one
        return cls(options, told.use, seed, told.folder, blend, parent)


def whole_shards(folder: Path) -> PackedShards:
    """The shards of a folder, whose token files hold what the manifest tells.

    Raises:
        TrainerError: they do not, or there is nothing to train on.
    """
    shards = PackedShards.read(folder)
    shards.check_files()
    return shards


def _check_one_length(blend: Mapping[str, PackedShards]) -> None:
    """Raises TrainerError unless shards that are blended have windows of one length."""
    first, *others = blend
    for label in others:
        mine, theirs = blend[first].sequence_length, blend[label].sequence_length
        if mine != theirs:
            problem = f"{label!r} have windows of {theirs}, {first!r} of {mine}"
            raise TrainerError(f"the shards {problem}", place="shards", hint="pack all that is blended to one length")
