"""The stages `megatron/pretrain`, `megatron/grow` and `megatron/sft`: their options, and the command that works them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from textbookgen.artifacts import Checkpoint, Shards
from textbookgen.errors import Complaint
from textbookgen.marks import Pipe, Placement
from textbookgen.stage import Job, Train, Volume
from textbookgen_megatron.shape import Architecture, shape_problem

#: What GPU hours are foreseen with: an A100's bf16 peak and the share of it that training reaches. For phi-1-base, 1.2
#: billion parameters outside the embeddings and 50.3 billion tokens, that gives 721 hours; the paper tells of 770.
PEAK_FLOPS = 312e12
UTILISATION = 0.45


class Training(Train):
    """What every kind of training has: shards, how weights are learned, and where the work is done.

    Defaults are phi-1's (arXiv 2306.11644, 2.3) where the paper gives them; betas and eps are phi-1.5's.
    """

    shards: Annotated[str, Pipe(Shards)] = Field(description="stage above that packed the data, with `megatron/pack`")
    batch: int = Field(1024, gt=0, description="sequences a step (phi-1: 1024); choose far less for small runs")
    learning_rate: float = Field(1e-3, gt=0, description="the highest learning rate (phi-1: 1e-3)")
    final_learning_rate: float = Field(0.0, ge=0, description="the learning rate that the schedule ends on")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="how the learning rate falls after warm-up (phi-1: linear)"
    )
    warmup_steps: int | None = Field(
        None, ge=0, description="steps over which the learning rate rises; phi-1's share, 750 of 36,000, unless given"
    )
    weight_decay: float = Field(0.1, ge=0, description="AdamW's weight decay (phi-1: 0.1); biases and norms are spared")
    betas: tuple[float, float] = Field((0.9, 0.98), description="AdamW's betas (phi-1.5: 0.9 and 0.98)")
    eps: float = Field(1e-7, gt=0, description="AdamW's epsilon (phi-1.5: 1e-7)")
    clip: float = Field(1.0, ge=0, description="the longest gradient that is not shortened; 0 shortens none")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of attention and residuals dropped (phi-1: 0.1)")
    seed: int = Field(0, description="another seed draws other weights, orders and dropout")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of weights and sums; auto is bf16 on GPUs and fp32 on CPUs"
    )
    tensor_parallel: Annotated[int, Placement] = Field(1, gt=0, description="processes that share each layer between them")
    gpus: Annotated[int | None, Placement] = Field(
        None,
        gt=0,
        description="processes that train together, one a GPU (or so many CPU processes); `tensor_parallel` unless given",
    )
    micro_batch: Annotated[int | None, Placement] = Field(
        None, gt=0, description="sequences a process works at once; chosen by size unless given"
    )
    checkpoint_every: Annotated[int, Placement] = Field(
        500, gt=0, description="steps between saves from which a killed run goes on"
    )
    threads: Annotated[int | None, Placement] = Field(
        None, gt=0, description="CPU threads a process; the cores shared out evenly unless given"
    )
    validation_tokens: Annotated[int, Placement] = Field(
        1_000_000, gt=0, description="most held-out tokens read to measure bits per byte"
    )

    #: How many of phi-1's steps were warm-up.
    warmup_share: ClassVar[float] = 750 / 36_000

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.gpus or self.tensor_parallel

    def check(self) -> Iterable[Complaint]:
        """Layouts that cannot be."""
        if self.processes % self.tensor_parallel:
            yield Complaint(
                "gpus",
                f"{self.processes} processes do not split into groups of {self.tensor_parallel}",
                "give a multiple of tensor_parallel",
            )
            return
        shares = self.processes // self.tensor_parallel
        if self.batch % (shares * (self.micro_batch or 1)):
            yield Complaint(
                "batch", f"a batch of {self.batch} does not split over {shares} processes of {self.micro_batch or 1} at once"
            )

    def command(self, job: Job) -> list[str]:
        """One process alone, or as many as there are GPUs to use, started together."""
        start = [] if self.processes == 1 else ["textbookgen_megatron.launch", str(self.processes)]
        return [sys.executable, "-m", *(start or ["textbookgen_megatron.train"]), str(job.path)]

    def environment(self) -> Mapping[str, str]:
        """Threads for each process, which sleep while they wait: where cores are shared, spinning ones are three times slower.

        And one queue to the GPU, which overlapping communication with work relies on.
        """
        threads = self.threads or max(1, _cores() // self.processes)
        return {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", "CUDA_DEVICE_MAX_CONNECTIONS": "1"}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _foreseen(parameters: float, tokens: float) -> Volume:
    """6 flops a parameter and token (arXiv 2001.08361), and 18 bytes a parameter for weights and the newest save."""
    hours = 6 * parameters * tokens / (PEAK_FLOPS * UTILISATION) / 3600
    return Volume(tokens=tokens, disk_bytes=18 * parameters, gpu_hours=hours, parameters=parameters)


class Pretrain(Training):
    """Pretrains a model from nothing."""

    name: ClassVar[str] = "pretrain"

    architecture: Architecture = Field("phi", description="`phi` is phi-1's block; `llama` has RMSNorm, SwiGLU and no biases")
    layers: int = Field(gt=0, description="how many layers")
    hidden: int = Field(gt=0, description="width of the residual stream")
    heads: int = Field(gt=0, description="attention heads")
    kv_heads: int | None = Field(None, gt=0, description="heads of keys and values; as many as `heads` unless given")
    ffn: int | None = Field(None, gt=0, description="width of the MLP; 4 times `hidden` unless given")
    tokens: int = Field(gt=0, description="tokens to be seen; the data is gone through again as often as that takes")

    def check(self) -> Iterable[Complaint]:
        """Layouts and shapes that cannot be."""
        yield from super().check()
        kv_heads = self.kv_heads or self.heads
        if problem := shape_problem(self.architecture, self.hidden, self.heads, kv_heads):
            yield Complaint("heads", problem)
        for option, size in (("heads", self.heads), ("kv_heads", kv_heads), ("ffn", self.ffn or 4 * self.hidden)):
            if size % self.tensor_parallel:
                yield Complaint("tensor_parallel", f"{option} {size} does not split over {self.tensor_parallel} processes")

    def foresee(self, flows: Mapping[str, Volume]) -> Volume | None:
        """Counts parameters outside the embeddings, which the vocabulary is needed for."""
        ffn = (self.ffn or 4 * self.hidden) * (3 if self.architecture == "llama" else 2)
        return _foreseen(self.layers * self.hidden * (4 * self.hidden + ffn), self.tokens)


class Grow(Training):
    """Makes a trained model larger and trains it on: deeper by copying layers, wider by tiling or reusing weights."""

    name: ClassVar[str] = "grow"

    checkpoint: Annotated[str, Pipe(Checkpoint)] = Field(description="stage above that trained the smaller model")
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

    def foresee(self, flows: Mapping[str, Volume]) -> Volume | None:
        """Known where layers and hidden are given."""
        if self.layers is None or self.hidden is None:
            return Volume(tokens=self.tokens)
        return _foreseen(self.layers * self.hidden * (4 * self.hidden + 2 * (self.ffn or 4 * self.hidden)), self.tokens)


class Sft(Training):
    """Finetunes a model on whole documents, which do not see each other; honours the loss mask of shards with a `prompt`."""

    name: ClassVar[str] = "sft"
    warmup_share: ClassVar[float] = 50 / 6_000

    checkpoint: Annotated[str, Pipe(Checkpoint)] = Field(description="stage above that trained the model")
    epochs: float = Field(1.0, gt=0, description="how often the data is gone through (phi-1: 17.5)")
    batch: int = Field(256, gt=0, description="windows of documents a step (phi-1: 256); choose far less for small data")
    learning_rate: float = Field(1e-4, gt=0, description="the highest learning rate (phi-1: 1e-4)")
    warmup_steps: int | None = Field(
        None, ge=0, description="steps over which the learning rate rises; phi-1's share, 50 of 6,000, unless given"
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's weight decay (phi-1: 0.01); biases and norms are spared")

    def foresee(self, flows: Mapping[str, Volume]) -> Volume | None:
        """The shards' tokens, as often as they are gone through."""
        tokens, parameters = flows.get("shards", Volume()).tokens, flows.get("checkpoint", Volume()).parameters
        if tokens is None or parameters is None:
            return Volume(tokens=None if tokens is None else tokens * self.epochs)
        return _foreseen(parameters, tokens * self.epochs)


STAGES: dict[str, type[Training]] = {f"megatron/{stage.name}": stage for stage in (Pretrain, Grow, Sft)}
