"""Options shared by the training stages of this plugin: process layout, launching, early stopping, phases."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from textbookgen import Artifact, Diagnostic, Job, Runtime
from textbookgen.training.options import BlendOptions, TrainOptions
from textbookgen_megatron.checkpoint import MegatronCheckpoint


class MegatronTrainOptions(TrainOptions):
    """Base class of the training stages: parallel layout, launch method, early stopping and monitoring."""

    output: ClassVar[type[Artifact] | None] = MegatronCheckpoint

    tensor_parallel: Annotated[int, Runtime] = Field(
        1, gt=0, description="tensor parallel size: the number of processes each layer is split across"
    )
    pipeline_parallel: Annotated[int, Runtime] = Field(
        1, gt=0, description="pipeline parallel size: the number of consecutive groups the layers are split into"
    )
    gpus: Annotated[int | None, Runtime] = Field(
        None,
        gt=0,
        description="number of processes, one per GPU (CPU processes without one); a multiple of tensor_parallel times "
        "pipeline_parallel, which is the default; more are used for data parallelism",
    )
    sequence_parallel: Annotated[bool, Runtime] = Field(
        False,
        description="with `tensor_parallel`: also split norms and dropout along the sequence, which saves activation memory",
    )
    distributed_optimizer: Annotated[bool, Runtime] = Field(
        False, description="shard the optimizer state across data parallel processes (ZeRO-1)"
    )
    overlap_communication: Annotated[bool | None, Runtime] = Field(
        None,
        description="overlap the reduction of gradients, and with `distributed_optimizer` the gathering of parameters, with "
        "computation; unless given, on GPUs only",
    )
    tensorboard: Annotated[bool, Runtime] = Field(
        False, description="also write the metrics for TensorBoard, to `tensorboard/` in the checkpoint folder"
    )
    profile_step: Annotated[int | None, Runtime] = Field(
        None, gt=0, description="step to profile; writes profile.txt (a table) and profile.json (a trace, tens of MB)"
    )
    nodes: Annotated[int, Runtime] = Field(1, gt=0, description="number of machines; `gpus` must be a multiple of it")
    launch: Annotated[Literal["local", "slurm", "script"], Runtime] = Field(
        "local",
        description="`local` starts the processes on this machine; `slurm` submits a batch job and waits for it; `script` "
        "writes launch.sh and launch.sbatch to the step folder and stops: run one of them, then run the recipe again",
    )
    slurm: Annotated[tuple[str, ...], Runtime] = Field(
        (), description='extra #SBATCH options of the batch job, such as "--partition=gpu" or "--time=24:00:00"'
    )

    patience: int | None = Field(
        None, gt=0, description="stop early after this many validations without improvement; requires `validate_every`"
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="which weights to keep: those of the last step, or those with the best validation loss (requires "
        "`validate_every`)",
    )

    @property
    def processes(self) -> int:
        """Number of processes (the world size)."""
        return self.gpus or self.model_parallel_size

    @property
    def data_parallel_size(self) -> int:
        """Data parallel size."""
        return max(1, self.processes // self.model_parallel_size)

    @property
    def model_parallel_size(self) -> int:
        """Number of processes that hold one copy of the model."""
        return self.tensor_parallel * self.pipeline_parallel

    def check(self) -> Iterable[Diagnostic]:
        """Report impossible layouts, and options that require one another."""
        yield from super().check()
        yield from self._layout_diagnostics()
        for option, is_set in (("patience", self.patience is not None), ("keep", self.keep == "best")):
            if is_set and self.validate_every is None:
                yield Diagnostic(option, "requires validation during training", "set validate_every")
        if self.optimizer == "sgd" and self.distributed_optimizer:
            yield Diagnostic("distributed_optimizer", 'not supported with optimizer = "sgd"', "remove it, or use adamw")

    def _layout_diagnostics(self) -> Iterable[Diagnostic]:
        if self.processes % self.model_parallel_size:
            yield Diagnostic(
                "gpus",
                f"{self.processes} processes cannot be split into groups of {self.model_parallel_size}",
                "use a multiple of tensor_parallel times pipeline_parallel",
            )
        if self.processes % self.nodes:
            problem = f"{self.processes} processes cannot be spread evenly over {self.nodes} machines"
            yield Diagnostic("nodes", problem, "make gpus a multiple of nodes")
        if self.nodes > 1 and self.launch == "local":
            yield Diagnostic(
                "launch", f"processes on {self.nodes} machines cannot be started locally", 'use launch = "slurm" or "script"'
            )
        if self.sequence_parallel and self.tensor_parallel == 1:
            yield Diagnostic("sequence_parallel", "requires tensor_parallel > 1", "remove it, or raise tensor_parallel")

    def command(self, job: Job) -> list[str]:
        """Return the command that runs the job, in one process or through a launcher."""
        if self.launch != "local":
            return [sys.executable, "-m", "textbookgen_megatron.launching.cluster", self.launch, str(job.path)]
        if self.processes == 1:
            return [sys.executable, "-m", "textbookgen_megatron.train", str(job.path)]
        return [sys.executable, "-m", "textbookgen_megatron.launching.local", str(self.processes), str(job.path)]

    def environment(self) -> Mapping[str, str]:
        """Return the environment of the processes: a single GPU work queue, which overlapping communication relies on."""
        return {**super().environment(), "CUDA_DEVICE_MAX_CONNECTIONS": "1"}


class Phase(BaseModel):
    """One phase of pretraining, with its own blend, sequence length, batch size or learning rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, le=1, description="share of `tokens` trained on in this phase")
    weights: dict[str, float] | None = Field(
        None, description="blend weights in this phase, by stage label; default: the stage's `weights`"
    )
    sequence_length: int | None = Field(
        None, gt=1, description="sequence length in tokens; default: the sequence length of the shards"
    )
    rotary_base: float | None = Field(
        None, gt=0, description="rotary base (RoPE theta; phi-4: 250000); default: that of the phase before"
    )
    batch_size: int | None = Field(None, gt=0, description="sequences per step; default: the stage's batch size")
    learning_rate_factor: float = Field(
        1.0, gt=0, description="factor applied to the scheduled learning rate in this phase (phi-4: 0.1)"
    )


class TokenStreamOptions(BlendOptions, MegatronTrainOptions):
    """Options of training on windows of a token stream, in one phase or several."""

    phases: tuple[Phase, ...] = Field(
        (), description="consecutive phases with their own blends or sequence lengths; their shares must sum to 1"
    )

    def check(self) -> Iterable[Diagnostic]:
        """Report phases whose shares do not sum to 1, batches that cannot be split, and invalid blend weights."""
        yield from super().check()
        if self.phases and abs(sum(phase.share for phase in self.phases) - 1) > 1e-6:
            problem = f"the shares sum to {sum(phase.share for phase in self.phases):g}"
            yield Diagnostic("phases", problem, "make them sum to 1")
        for batch in sorted({phase.batch_size for phase in self.phases if phase.batch_size}):
            yield from self.batch_size_diagnostics("phases", batch)
        for weights in (self.weights, *(phase.weights for phase in self.phases)):
            yield from self.blend_diagnostics(weights)
