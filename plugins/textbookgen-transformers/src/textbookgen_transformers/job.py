"""The job of a training process: job.json with its shards and the checkpoint to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from textbookgen.api.cards import CausalLMCard
from textbookgen.training.job import TrainingJob
from textbookgen.training.process import launched_as_rank_zero
from textbookgen.training.shards import check_same_sequence_length
from textbookgen_transformers.stages.dpo import Dpo
from textbookgen_transformers.stages.pretrain import Pretrain
from textbookgen_transformers.stages.sft import Sft
from textbookgen_transformers.weight_files import check_weight_files

StageOptions = Pretrain | Sft | Dpo
STAGES: dict[str, type[StageOptions]] = {
    "transformers/pretrain": Pretrain,
    "transformers/sft": Sft,
    "transformers/dpo": Dpo,
}

#: The format that this plugin writes, and all that it opens: others export in the format of transformers too.
FORMAT = "transformers/trainer"
FORMATS = (FORMAT, "transformers")


class TransformersJob(TrainingJob[StageOptions, CausalLMCard]):
    """A training job of this plugin."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read job.json and everything it names.

        Raises:
            TrainerError: something is missing or corrupt, or the parts do not fit together.
        """
        hint = "start from a checkpoint of a transformers stage, or one exported for transformers, as by megatron/export"
        job = cls.load(path, STAGES, CausalLMCard, FORMATS, hint)
        check_same_sequence_length(job.blend)
        for shards in job.blend.values():
            shards.check_files()
        if job.parent is not None and launched_as_rank_zero():  # once is enough: the other processes wait for this one
            check_weight_files(job.parent.folder, job.parent.card)
        return job
