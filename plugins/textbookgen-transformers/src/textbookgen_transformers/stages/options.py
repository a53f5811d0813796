"""Options that the training stages of this plugin share."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from textbookgen import Artifact, Job
from textbookgen.api.artifacts import TransformersCheckpoint
from textbookgen.training.options import TrainOptions


class TransformersTrainOptions(TrainOptions):
    """Base class of the training stages."""

    output: ClassVar[type[Artifact] | None] = TransformersCheckpoint
    utilization: ClassVar[float] = 0.35  # without fused kernels
    bytes_per_parameter: ClassVar[float] = 28  # the weights, and two saves with AdamW's state

    dropout: float = Field(
        0.1, ge=0, lt=1, description="dropout rate of attention and residuals (phi-1: 0.1); of `llama` only attention"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="dtype of computation; weights stay in fp32; auto is bf16 on GPUs that support it, else fp32"
    )

    def command(self, job: Job) -> list[str]:
        """Return the command for one process, or for several that `accelerate launch` starts."""
        module = ["train"] if self.processes == 1 else ["launch", str(self.processes)]
        return [sys.executable, "-m", f"textbookgen_transformers.{module[0]}", *module[1:], str(job.path)]

    def environment(self) -> Mapping[str, str]:
        """Set threads, work offline, and show a single process a single GPU."""
        environment = {**super().environment(), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        if self.processes == 1:  # transformers would divide each batch over all GPUs it sees
            environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        return environment
