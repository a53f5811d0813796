"""The stages `megatron/pretrain`, `megatron/grow` and `megatron/sft`: their options, and the command that works them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from textbookgen.artifacts import Checkpoint, Shards
from textbookgen.errors import Complaint
from textbookgen.marks import Labels, Pipe, Placement
from textbookgen.stage import Job, Train, Volume
from textbookgen_megatron.named import NAMED, NEEDED, parts
from textbookgen_megatron.shape import TRAITS, Architecture, shape_problem

#: What GPU hours are foreseen with: an A100's bf16 peak and the share of it that training reaches. For phi-1-base, 1.2
#: billion parameters outside the embeddings and 50.3 billion tokens, that gives 721 hours; the paper tells of 770.
PEAK_FLOPS = 312e12
UTILISATION = 0.45


#: How much of a running mean is kept at each step.
Beta = Annotated[float, Field(ge=0, lt=1)]


class Placed(Train):
    """Where training is done, and how the work is split: nothing here changes what is learned."""

    tensor_parallel: Annotated[int, Placement] = Field(1, gt=0, description="processes that share each layer between them")
    pipeline_parallel: Annotated[int, Placement] = Field(
        1, gt=0, description="groups of processes that share the layers out between them, one stretch each"
    )
    gpus: Annotated[int | None, Placement] = Field(
        None,
        gt=0,
        description="processes that train together, one a GPU (or so many CPU processes); as few as the parallel layouts "
        "need unless given, and what is more shares out the batch",
    )
    sequence_parallel: Annotated[bool, Placement] = Field(
        False, description="with `tensor_parallel`: norms and dropout are shared out too, along the sequence; saves memory"
    )
    distributed_optimizer: Annotated[bool, Placement] = Field(
        False, description="share the optimizer's memory out between the processes that share the batch"
    )
    recompute: Annotated[bool, Placement] = Field(
        False, description="forget what happens inside layers and work it out again for the gradient: a third more work"
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
    peak_tflops: Annotated[float | None, Placement] = Field(
        None, gt=0, description="what a process's device can do at best, to tell its utilisation; known for common GPUs"
    )
    tensorboard: Annotated[bool, Placement] = Field(
        False, description="write the figures for TensorBoard too, into the checkpoint's folder `tensorboard`"
    )
    profile_step: Annotated[int | None, Placement] = Field(
        None, gt=0, description="a step whose time is told by operation, in profile.txt and profile.json (some tens of MB)"
    )
    nodes: Annotated[int, Placement] = Field(1, gt=0, description="machines that `gpus` are spread over evenly")
    launch: Annotated[Literal["here", "slurm", "print"], Placement] = Field(
        "here",
        description="`here` starts the processes; `slurm` sends a batch job and waits for it; `print` writes launch.sh and "
        "launch.sbatch into the step's folder and stops, for you to start one of them and run the recipe again",
    )
    slurm: Annotated[tuple[str, ...], Placement] = Field(
        (), description='further #SBATCH lines for the batch job, such as "--partition=gpu" or "--time=24:00:00"'
    )

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.gpus or self.group

    @property
    def group(self) -> int:
        """How many processes hold one copy of the model between them."""
        return self.tensor_parallel * self.pipeline_parallel

    def check(self) -> Iterable[Complaint]:
        """Layouts that cannot be."""
        if self.processes % self.group:
            yield Complaint(
                "gpus",
                f"{self.processes} processes do not split into groups of {self.group}",
                "give a multiple of tensor_parallel times pipeline_parallel",
            )
        if self.processes % self.nodes:
            problem = f"{self.processes} processes do not spread evenly over {self.nodes} machines"
            yield Complaint("nodes", problem, "let gpus be a multiple of nodes")
        if self.nodes > 1 and self.launch == "here":
            yield Complaint(
                "launch", f"processes on {self.nodes} machines cannot be started from here", 'say launch = "slurm" or "print"'
            )
        if self.sequence_parallel and self.tensor_parallel == 1:
            yield Complaint("sequence_parallel", "needs a tensor_parallel above 1", "take it away")

    def command(self, job: Job) -> list[str]:
        """One process alone, or as many as there are GPUs to use, started together."""
        if self.launch != "here":
            return [sys.executable, "-m", "textbookgen_megatron.cluster", self.launch, str(job.path)]
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


class Training(Placed):
    """What every kind of training has: how weights are learned, and how that is watched.

    Defaults are phi-1's (arXiv 2306.11644, 2.3) where the paper gives them; betas and eps are phi-1.5's.
    """

    batch: int = Field(1024, gt=0, description="sequences a step (phi-1: 1024); choose far less for small runs")
    learning_rate: float = Field(1e-3, gt=0, description="the highest learning rate (phi-1: 1e-3)")
    final_learning_rate: float = Field(0.0, ge=0, description="the learning rate that the schedule ends on")
    schedule: Literal["linear", "cosine", "constant", "wsd"] = Field(
        "linear",
        description="how the learning rate falls after warm-up (phi-1: linear); `wsd` holds it, then lets it fall linearly",
    )
    decay_share: float = Field(0.1, gt=0, le=1, description="with `wsd`: share of the steps over which the rate falls")
    warmup_steps: int | None = Field(
        None, ge=0, description="steps over which the learning rate rises; phi-1's share, 750 of 36,000, unless given"
    )
    optimizer: Literal["adamw", "sgd"] = Field(
        "adamw", description="`sgd` needs half of AdamW's memory or less; freeze the embeddings with it (arXiv 2211.09359)"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="with `sgd`: how much of the last step is kept; 0 keeps no state")
    weight_decay: float = Field(0.1, ge=0, description="weight decay (phi-1: 0.1); biases and norms are spared")
    betas: tuple[Beta, Beta] = Field((0.9, 0.98), description="AdamW's betas (phi-1.5: 0.9 and 0.98)")
    eps: float = Field(1e-7, gt=0, description="AdamW's epsilon (phi-1.5: 1e-7)")
    clip: float = Field(1.0, ge=0, description="the longest gradient that is not shortened; 0 shortens none")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of attention and residuals dropped (phi-1: 0.1)")
    freeze_embeddings: bool = Field(False, description="leave the tables of tokens and positions as they are")
    freeze_layers: int = Field(0, ge=0, description="leave so many of the first layers as they are")
    seed: int = Field(0, description="another seed draws other weights, orders and dropout")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of weights and sums; auto is bf16 on GPUs and fp32 on CPUs"
    )
    validation_tokens: Annotated[int, Placement] = Field(
        1_000_000, gt=0, description="most held-out tokens read to measure bits per byte"
    )
    validate_every: int | None = Field(None, gt=0, description="steps between measurements; only at the end unless given")
    patience: int | None = Field(
        None, gt=0, description="stop early once so many measurements in a row found no better; wants `validate_every`"
    )
    keep: Literal["last", "best"] = Field(
        "last", description="the weights of the last step, or of the best measurement; wants `validate_every`"
    )

    #: How many of phi-1's steps were warm-up.
    warmup_share: ClassVar[float] = 750 / 36_000

    def check(self) -> Iterable[Complaint]:
        """Layouts that cannot be, and options that need each other."""
        complaints = list(super().check())
        yield from complaints
        shares = max(1, self.processes // self.group)
        if not any(each.place == "gpus" for each in complaints) and self.batch % (shares * (self.micro_batch or 1)):
            problem = f"a batch of {self.batch} does not split over {shares} processes of {self.micro_batch or 1} at once"
            yield Complaint("batch", problem, f"give a multiple of {shares * (self.micro_batch or 1)}")
        for option, wish in (("patience", self.patience is not None), ("keep", self.keep == "best")):
            if wish and self.validate_every is None:
                yield Complaint(option, "is about measurements on the way, and there are none", "give validate_every")
        if self.optimizer == "sgd" and self.distributed_optimizer:
            yield Complaint("distributed_optimizer", "shares out AdamW's memory only", "take it away, or use adamw")


def _foreseen(parameters: float, tokens: float) -> Volume:
    """6 flops a parameter and token (arXiv 2001.08361), and 18 bytes a parameter for weights and the newest save."""
    hours = 6 * parameters * tokens / (PEAK_FLOPS * UTILISATION) / 3600
    return Volume(tokens=tokens, disk_bytes=18 * parameters, gpu_hours=hours, parameters=parameters)


class Phase(BaseModel):
    """A stretch of pretraining with data, windows or a learning rate of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, le=1, description="share of `tokens` that is seen in this phase")
    weights: dict[str, float] | None = Field(None, description="the blend in this phase, by stage label; as above unless given")
    sequence_length: int | None = Field(None, gt=1, description="tokens in a window; as packed unless given")
    rotary_base: float | None = Field(None, gt=0, description="rotary base (phi-4: 250000); as before unless given")
    batch: int | None = Field(None, gt=0, description="sequences a step; as above unless given")
    learning_rate_factor: float = Field(1.0, gt=0, description="what the schedule's rate is multiplied by (phi-4: 0.1)")


class OnTokens(Training):
    """Training on windows of a token stream: one set of shards, or several blended, in one phase or several."""

    shards: Annotated[Labels, Pipe(Shards)] = Field(
        description="stages above that packed the data, with `megatron/pack`; several are blended"
    )
    weights: dict[str, float] | None = Field(
        None, description="with several `shards`: how much of each is shown, by label; in proportion to size unless given"
    )
    phases: tuple[Phase, ...] = Field(
        (), description="one after the other: other blends, longer windows; their shares must sum to 1"
    )

    def check(self) -> Iterable[Complaint]:
        """Phases and blends that do not add up."""
        yield from super().check()
        if self.phases and abs(sum(phase.share for phase in self.phases) - 1) > 1e-6:
            yield Complaint("phases", f"shares sum to {sum(phase.share for phase in self.phases):g}", "let them sum to 1")
        shares = max(1, self.processes // self.group) * (self.micro_batch or 1)
        for batch in {phase.batch for phase in self.phases if phase.batch and phase.batch % shares}:
            yield Complaint(
                "phases", f"a phase's batch of {batch} does not split over processes", f"give a multiple of {shares}"
            )
        for weights in (self.weights, *(phase.weights for phase in self.phases)):
            for label, weight in (weights or {}).items():
                if label not in self.shards:
                    yield Complaint("weights", f"no shards are called '{label}'", f"there are {', '.join(self.shards)}")
                if weight < 0:
                    yield Complaint("weights", f"{label} has a negative weight", "0 shows nothing of it")
            if weights is not None and not any(weights.values()):
                yield Complaint("weights", "nothing has a weight above 0", "give one, or take the weights away")


class Pretrain(OnTokens):
    """Pretrains a model from nothing."""

    name: ClassVar[str] = "pretrain"

    shape: str | None = Field(
        None, description="name of a known model, such as phi-1 or tinystories-33m, whose parts others here replace"
    )
    architecture: Architecture | None = Field(
        None,
        description="`phi` is phi-1's block; `llama` (outside also `phi3`) has RMSNorm, SwiGLU and no biases; `neox` and "
        "`pythia` are GPT-NeoX's block, one after the other or side by side; `neo` is GPT-Neo's; `phi` unless given",
    )
    layers: int | None = Field(None, gt=0, description="how many layers")
    hidden: int | None = Field(None, gt=0, description="width of the residual stream")
    heads: int | None = Field(None, gt=0, description="attention heads")
    kv_heads: int | None = Field(None, gt=0, description="heads of keys and values; as many as `heads` unless given")
    ffn: int | None = Field(None, gt=0, description="width of the MLP; 4 times `hidden` unless given")
    vocabulary: int | None = Field(None, gt=0, description="rows of the embedding table; the tokenizer's ids unless given")
    rotary: float | None = Field(None, gt=0, le=1, description="share of each head that rotates (phi: 0.5, phi-2: 0.4)")
    rotary_base: float | None = Field(None, gt=0, description="base of the rotation; 10000 unless given")
    window: int | None = Field(None, gt=0, description="tokens back that a layer sees, itself included; all unless given")
    tied: bool | None = Field(None, description="whether the head is the embedding table")
    head_bias: bool | None = Field(None, description="whether the head has a bias, as phi-1's")
    tokens: int = Field(gt=0, description="tokens to be seen; the data is gone through again as often as that takes")

    def parts(self) -> dict[str, Any]:
        """The shape's parts as far as the options say; the vocabulary is that of the shards unless one was given here."""
        names = ("architecture", "layers", "hidden", "heads", "kv_heads", "ffn", "rotary", "rotary_base", "window", "tied")
        given = {name: getattr(self, name) for name in (*names, "head_bias")}
        return parts(self.shape, given)

    def check(self) -> Iterable[Complaint]:
        """Layouts and shapes that cannot be."""
        yield from super().check()
        if self.shape is not None and self.shape not in NAMED:
            yield Complaint("shape", f"no shape is called '{self.shape}'", f"there are {', '.join(NAMED)}")
            return
        whole = self.parts()
        if missing := [name for name in NEEDED if name not in whole]:
            yield Complaint(missing[0], "is missing", 'give it, or name a shape: shape = "phi-1-small"')
            return
        yield from self._shape_complaints(whole)
        if self.freeze_layers >= whole["layers"]:
            yield Complaint("freeze_layers", f"all {whole['layers']} layers would be frozen", "freeze fewer")
        for option in ("heads", "kv_heads", "ffn"):
            if whole[option] % self.tensor_parallel:
                problem = f"{option} {whole[option]} does not split over {self.tensor_parallel} processes"
                yield Complaint("tensor_parallel", problem, "choose one that divides heads, kv_heads and ffn")
        if whole["layers"] % self.pipeline_parallel:
            problem = f"{whole['layers']} layers do not split over {self.pipeline_parallel} stages"
            yield Complaint("pipeline_parallel", problem, "choose one that divides layers")

    def _shape_complaints(self, whole: dict[str, Any]) -> Iterable[Complaint]:
        """Numbers that make no model."""
        problem = shape_problem(whole["architecture"], whole["hidden"], whole["heads"], whole["kv_heads"], whole.get("rotary"))
        if problem:
            yield Complaint("heads", problem, "choose hidden, heads and kv_heads that fit each other")
        if whole.get("tied") and whole.get("head_bias"):
            yield Complaint("head_bias", "a head that is the embedding table has no bias", "take it away, or untie the head")
        if self.rotary is not None and not TRAITS[whole["architecture"]].rotary:
            yield Complaint("rotary", f"{whole['architecture']} has learned positions", "take it away")

    def foresee(self, flows: Mapping[str, Volume]) -> Volume | None:
        """Counts parameters outside the embeddings, which the vocabulary is needed for."""
        whole = self.parts() if self.shape is None or self.shape in NAMED else {}
        if any(name not in whole for name in NEEDED):
            return Volume(tokens=self.tokens)
        matrices = 3 if TRAITS[whole["architecture"]].gated else 2
        attention = 2 * whole["hidden"] * (1 + whole["kv_heads"] / whole["heads"])
        return _foreseen(whole["layers"] * whole["hidden"] * (attention + matrices * whole["ffn"]), self.tokens)


class Grow(OnTokens):
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

    shards: Annotated[str, Pipe(Shards)] = Field(
        description="stage above that packed documents or chats, with `megatron/pack`; of chats only the answers are learned"
    )
    checkpoint: Annotated[str, Pipe(Checkpoint)] = Field(description="stage above that trained the model")
    epochs: float = Field(1.0, gt=0, description="how often the data is gone through (phi-1: 17.5)")
    batch: int = Field(256, gt=0, description="windows of documents a step (phi-1: 256); choose far less for small data")
    learning_rate: float = Field(1e-4, gt=0, description="the highest learning rate (phi-1: 1e-4)")
    warmup_steps: int | None = Field(
        None, ge=0, description="steps over which the learning rate rises; phi-1's share, 50 of 6,000, unless given"
    )
    weight_decay: float = Field(0.01, ge=0, description="weight decay (phi-1: 0.01); biases and norms are spared")

    def foresee(self, flows: Mapping[str, Volume]) -> Volume | None:
        """The shards' tokens, as often as they are gone through."""
        tokens, parameters = flows.get("shards", Volume()).tokens, flows.get("checkpoint", Volume()).parameters
        if tokens is None or parameters is None:
            return Volume(tokens=None if tokens is None else tokens * self.epochs)
        return _foreseen(parameters, tokens * self.epochs)
