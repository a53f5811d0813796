"""The job of a training process: job.json with its shards and the checkpoint to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from textbookgen.api.cards import CausalLMCard
from textbookgen.training.job import TrainingJob, check_weights
from textbookgen.training.process import launched_as_rank_zero
from textbookgen_megatron.checkpoint import FORMAT
from textbookgen_megatron.stages.dpo import Dpo
from textbookgen_megatron.stages.grow import Grow
from textbookgen_megatron.stages.pretrain import Pretrain
from textbookgen_megatron.stages.sft import Sft

StageOptions = Pretrain | Grow | Sft | Dpo
STAGES: dict[str, type[StageOptions]] = {
    "megatron/pretrain": Pretrain,
    "megatron/grow": Grow,
    "megatron/sft": Sft,
    "megatron/dpo": Dpo,
}


class MegatronJob(TrainingJob[StageOptions, CausalLMCard]):
    """A training job of this plugin."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read job.json and everything it names.

        Raises:
            TrainerError: something is missing or corrupt, or the parts do not fit together.
        """
        hint = "start from a checkpoint of a megatron stage; `megatron/import` converts others"
        job = cls.load(path, STAGES, CausalLMCard, (FORMAT,), hint)
        if job.parent is not None and launched_as_rank_zero():  # once is enough: the other processes wait for this one
            check_weights(job.parent.folder, job.parent.card)
        return job
