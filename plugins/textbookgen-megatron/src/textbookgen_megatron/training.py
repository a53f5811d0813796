"""The stages `megatron/pretrain`, `megatron/grow` and `megatron/sft`: their options, and the command that works them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from textbookgen import Artifact, Diagnostic, Estimate, Input, Job, Runtime
from textbookgen.training.options import BlendOptions, NewModelOptions, SftOptions, TrainOptions
from textbookgen_megatron.checkpoint import MegatronCheckpoint


class Training(TrainOptions):
    """What every kind of training has here: layouts of many processes, measurements that decide, and where it is launched."""

    output: ClassVar[type[Artifact] | None] = MegatronCheckpoint

    tensor_parallel: Annotated[int, Runtime] = Field(1, gt=0, description="processes that share each layer between them")
    pipeline_parallel: Annotated[int, Runtime] = Field(
        1, gt=0, description="groups of processes that share the layers out between them, one stretch each"
    )
    gpus: Annotated[int | None, Runtime] = Field(
        None,
        gt=0,
        description="processes that train together, one a GPU (or so many CPU processes); as few as the parallel layouts "
        "need unless given, and what is more shares out the batch",
    )
    sequence_parallel: Annotated[bool, Runtime] = Field(
        False, description="with `tensor_parallel`: norms and dropout are shared out too, along the sequence; saves memory"
    )
    distributed_optimizer: Annotated[bool, Runtime] = Field(
        False, description="share the optimizer's memory out between the processes that share the batch"
    )
    tensorboard: Annotated[bool, Runtime] = Field(
        False, description="write the figures for TensorBoard too, into the checkpoint's folder `tensorboard`"
    )
    profile_step: Annotated[int | None, Runtime] = Field(
        None, gt=0, description="a step whose time is told by operation, in profile.txt and profile.json (some tens of MB)"
    )
    nodes: Annotated[int, Runtime] = Field(1, gt=0, description="machines that `gpus` are spread over evenly")
    launch: Annotated[Literal["here", "slurm", "print"], Runtime] = Field(
        "here",
        description="`here` starts the processes; `slurm` sends a batch job and waits for it; `print` writes launch.sh and "
        "launch.sbatch into the step's folder and stops, for you to start one of them and run the recipe again",
    )
    slurm: Annotated[tuple[str, ...], Runtime] = Field(
        (), description='further #SBATCH lines for the batch job, such as "--partition=gpu" or "--time=24:00:00"'
    )

    patience: int | None = Field(
        None, gt=0, description="stop early once so many measurements in a row found no better; wants `validate_every`"
    )
    keep: Literal["last", "best"] = Field(
        "last", description="the weights of the last step, or of the best measurement; wants `validate_every`"
    )

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.gpus or self.group

    @property
    def sharers(self) -> int:
        """How many groups of processes share the batch."""
        return max(1, self.processes // self.group)

    @property
    def group(self) -> int:
        """How many processes hold one copy of the model between them."""
        return self.tensor_parallel * self.pipeline_parallel

    def check(self) -> Iterable[Diagnostic]:
        """Layouts that cannot be, and options that need each other."""
        yield from super().check()
        yield from self._layout_complaints()
        for option, wish in (("patience", self.patience is not None), ("keep", self.keep == "best")):
            if wish and self.validate_every is None:
                yield Diagnostic(option, "is about measurements on the way, and there are none", "give validate_every")
        if self.optimizer == "sgd" and self.distributed_optimizer:
            yield Diagnostic("distributed_optimizer", "shares out AdamW's memory only", "take it away, or use adamw")

    def _layout_complaints(self) -> Iterable[Diagnostic]:
        if self.processes % self.group:
            yield Diagnostic(
                "gpus",
                f"{self.processes} processes do not split into groups of {self.group}",
                "give a multiple of tensor_parallel times pipeline_parallel",
            )
        if self.processes % self.nodes:
            problem = f"{self.processes} processes do not spread evenly over {self.nodes} machines"
            yield Diagnostic("nodes", problem, "let gpus be a multiple of nodes")
        if self.nodes > 1 and self.launch == "here":
            yield Diagnostic(
                "launch", f"processes on {self.nodes} machines cannot be started from here", 'say launch = "slurm" or "print"'
            )
        if self.sequence_parallel and self.tensor_parallel == 1:
            yield Diagnostic("sequence_parallel", "needs a tensor_parallel above 1", "take it away")

    def command(self, job: Job) -> list[str]:
        """One process alone, or as many as there are GPUs to use, started together."""
        if self.launch != "here":
            return [sys.executable, "-m", "textbookgen_megatron.cluster", self.launch, str(job.path)]
        start = [] if self.processes == 1 else ["textbookgen_megatron.launch", str(self.processes)]
        return [sys.executable, "-m", *(start or ["textbookgen_megatron.train"]), str(job.path)]

    def environment(self) -> Mapping[str, str]:
        """One queue to the GPU besides, which overlapping communication with work relies on."""
        return {**super().environment(), "CUDA_DEVICE_MAX_CONNECTIONS": "1"}


class Phase(BaseModel):
    """A stretch of pretraining with data, windows or a learning rate of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, le=1, description="share of `tokens` that is seen in this phase")
    weights: dict[str, float] | None = Field(None, description="the blend in this phase, by stage label; as above unless given")
    sequence_length: int | None = Field(None, gt=1, description="tokens in a window; as packed unless given")
    rotary_base: float | None = Field(None, gt=0, description="rotary base (phi-4: 250000); as before unless given")
    batch: int | None = Field(None, gt=0, description="sequences a step; as above unless given")
    learning_rate_factor: float = Field(1.0, gt=0, description="what the schedule's rate is multiplied by (phi-4: 0.1)")


class OnTokens(BlendOptions, Training):
    """Training on windows of a token stream, in one phase or several."""

    phases: tuple[Phase, ...] = Field(
        (), description="one after the other: other blends, longer windows; their shares must sum to 1"
    )

    def check(self) -> Iterable[Diagnostic]:
        """Phases and blends that do not add up."""
        yield from super().check()
        if self.phases and abs(sum(phase.share for phase in self.phases) - 1) > 1e-6:
            yield Diagnostic("phases", f"shares sum to {sum(phase.share for phase in self.phases):g}", "let them sum to 1")
        for batch in sorted({phase.batch for phase in self.phases if phase.batch}):
            yield from self.batch_diagnostics("phases", batch)
        for weights in (self.weights, *(phase.weights for phase in self.phases)):
            yield from self.blend_diagnostics(weights)


class Pretrain(NewModelOptions, OnTokens):
    """Pretrains a model from nothing."""

    name: ClassVar[str] = "pretrain"

    head_bias: bool | None = Field(None, description="whether the head has a bias, as phi-1's")
    tokens: int = Field(gt=0, description="tokens to be seen; the data is gone through again as often as that takes")

    def further_parts(self) -> set[str]:
        """The head's bias is a part of the shape too."""
        return {"head_bias"}

    def check(self) -> Iterable[Diagnostic]:
        """Layouts and shapes that cannot be."""
        yield from super().check()
        if result := list(self.shape_diagnostics()):
            yield from result
            return
        whole = self.parts()
        if whole.get("tied") and whole.get("head_bias"):
            yield Diagnostic("head_bias", "a head that is the embedding table has no bias", "take it away, or untie the head")
        if self.freeze_layers >= whole["layers"]:
            yield Diagnostic("freeze_layers", f"all {whole['layers']} layers would be frozen", "freeze fewer")
        for option in ("heads", "kv_heads", "ffn"):
            if whole[option] % self.tensor_parallel:
                problem = f"{option} {whole[option]} does not split over {self.tensor_parallel} processes"
                yield Diagnostic("tensor_parallel", problem, "choose one that divides heads, kv_heads and ffn")
        if whole["layers"] % self.pipeline_parallel:
            problem = f"{whole['layers']} layers do not split over {self.pipeline_parallel} stages"
            yield Diagnostic("pipeline_parallel", problem, "choose one that divides layers")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Counts parameters outside the embeddings, which the vocabulary is needed for."""
        return self.estimated(self.estimated_weights(), self.tokens)


class Grow(OnTokens):
    """Makes a trained model larger and trains it on: deeper by copying layers, wider by tiling or reusing weights."""

    name: ClassVar[str] = "grow"

    checkpoint: Annotated[str, Input(MegatronCheckpoint)] = Field(description="stage above that trained the smaller model")
    layers: int | None = Field(None, gt=0, description="how many layers; the parent's unless given")
    hidden: int | None = Field(
        None,
        gt=0,
        description="width of the residual stream; heads keep their size, so there will be more; the parent's unless given",
    )
    ffn: int | None = Field(None, gt=0, description="width of the MLP; in proportion to `hidden` unless given")
    method: Literal["tile", "reuse", "scratch"] = Field(
        "tile",
        description="`tile` fills matrices with copies and, if the width grows by a whole factor, keeps the function; "
        "`reuse` copies the parent into a corner and draws the rest; `scratch` draws all of it, to compare with",
    )
    noise: float = Field(
        1.0,
        ge=0,
        description="with `tile`: noise that sets copies apart, as a share of the weights' spread; sums to zero over copies",
    )
    layer_rounding: Literal["even", "down"] = Field(
        "even", description="which layer a new one between two copies: `even` rounds, `down` cuts off"
    )
    tokens: int = Field(ge=0, description="further tokens to be seen; 0 only grows")
    learning_rate: float = Field(
        5e-4, gt=0, description="the highest learning rate; half of phi-1's, since a high one undoes what was kept"
    )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Known where layers and hidden are given."""
        if self.layers is None or self.hidden is None:
            return Estimate(tokens=self.tokens)
        return self.estimated(self.layers * self.hidden * (4 * self.hidden + 2 * (self.ffn or 4 * self.hidden)), self.tokens)


class Sft(SftOptions, Training):
    """Finetunes a model on whole documents, which do not see each other; honours the loss mask of shards with a `prompt`."""

    name: ClassVar[str] = "sft"

    checkpoint: Annotated[str, Input(MegatronCheckpoint)] = Field(description="stage above that trained the model")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """The shards' tokens, as often as they are gone through."""
        return self.estimated(*self.volumes(inputs))
