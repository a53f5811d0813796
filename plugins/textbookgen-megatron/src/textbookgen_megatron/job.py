"""What a training process is told, by job.json and by the checkpoint it starts from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from textbookgen.training import job as trainer
from textbookgen.training.job import Flow, JobFile
from textbookgen.training.shards import PackedShards, check_one_vocabulary
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.dpo import Dpo
from textbookgen_megatron.stages.grow import Grow
from textbookgen_megatron.stages.options import MegatronTrainOptions
from textbookgen_megatron.stages.pretrain import Pretrain
from textbookgen_megatron.stages.sft import Sft

STAGES: dict[str, type[MegatronTrainOptions]] = {f"megatron/{stage.name}": stage for stage in (Pretrain, Grow, Sft, Dpo)}


class Parent(trainer.Parent):
    """The checkpoint a job starts from."""

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return Shape.from_card(self.card)


def read_parent(flow: Flow) -> Parent:
    """The checkpoint in this folder.

    Raises:
        TrainerError: there is none, or it is of another plugin.
    """
    return Parent.read(flow, ("megatron",), hint="megatron stages read their own")


@dataclass(frozen=True)
class TrainingJob:
    """A job: its options, what flows in, and the folder it works in."""

    options: MegatronTrainOptions
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
            TrainerError: something it names is missing, or does not fit together.
        """
        told = JobFile.read(path)
        options = told.options(STAGES)
        blend = {flow.label: PackedShards.read(flow.path) for flow in told.inputs["shards"]}
        check_one_vocabulary(blend)
        parent = None
        if "checkpoint" in told.inputs:
            parent = read_parent(told.inputs["checkpoint"][0])
            parent.check_vocabulary(next(iter(blend.values())).tokenizer)
            if os.environ.get("RANK", "0") == "0":  # once is enough: the other processes wait for this one
                parent.check_weights()
        return cls(options, told.use, told.seed + options.seed, told.folder, blend, parent)
