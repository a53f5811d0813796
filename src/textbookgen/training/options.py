"""Options that all trainers share, so that an option means the same in every plugin.

`TrainOptions` is the base class of training stages; the other classes are mixed in before it:
`class Pretrain(NewModelOptions, BlendOptions, MyTrainOptions)`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from textbookgen.api.annotations import Input, Labels, Runtime
from textbookgen.api.artifacts import Checkpoint, PairShards, Shards, TokenShards
from textbookgen.api.errors import Diagnostic
from textbookgen.api.stage import Estimate, Trainer
from textbookgen.training.architectures import (
    NAMED,
    REQUIRED,
    Architecture,
    ShapeValues,
    block_parameters,
    resolve_shape,
    shape_problem,
)

#: Peak FLOP/s that estimates of GPU hours assume: an A100 in bfloat16.
PEAK_FLOPS = 312e12

#: A decay rate of a running mean.
Beta = Annotated[float, Field(ge=0, lt=1)]

#: The weight of a loss in a sum of losses.
LossWeight = Annotated[float, Field(gt=0)]

#: TRL's names of the preference losses that need no model other than the policy and the reference.
LossType = Literal[
    "sigmoid",
    "robust",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "bco_pair",
    "sppo_hard",
    "apo_zero",
    "apo_down",
    "discopop",
    "sigmoid_norm",
    "aot",
    "aot_unpaired",
    "sft",
]


class TrainOptions(Trainer):
    """Options of every kind of training: optimization, evaluation and checkpointing, and hardware.

    Defaults are phi-1's (arXiv 2306.11644, 2.3) where the paper gives them; betas and eps are phi-1.5's.
    """

    batch_size: int = Field(1024, gt=0, description="sequences per step (phi-1: 1024); choose far fewer for small runs")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate (phi-1: 1e-3)")
    min_learning_rate: float = Field(0.0, ge=0, description="learning rate at the end of the schedule")
    schedule: Literal["linear", "cosine", "constant", "wsd"] = Field(
        "linear",
        description="learning-rate schedule after warm-up (phi-1: linear); `wsd` keeps the peak rate, then decays linearly",
    )
    decay_fraction: float = Field(0.1, gt=0, le=1, description="with `wsd`: share of all steps in the decay phase")
    warmup_steps: int | None = Field(
        None, ge=0, description="steps of linear warm-up; by default phi-1's share of the run, 750 of 36,000 steps"
    )
    optimizer: Literal["adamw", "sgd"] = Field(
        "adamw",
        description="`sgd` takes half of AdamW's memory or less; combine it with freeze_embeddings (arXiv 2211.09359)",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of `sgd`; 0 keeps no optimizer state")
    weight_decay: float = Field(0.1, ge=0, description="weight decay (phi-1: 0.1); not applied to biases and norms")
    betas: tuple[Beta, Beta] = Field((0.9, 0.98), description="AdamW's betas (phi-1.5: 0.9 and 0.98)")
    eps: float = Field(1e-7, gt=0, description="AdamW's epsilon (phi-1.5: 1e-7)")
    max_grad_norm: float = Field(1.0, ge=0, description="maximum gradient norm; 0 disables clipping")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate of attention and residuals (phi-1: 0.1)")
    freeze_embeddings: bool = Field(False, description="freeze the token and position embeddings")
    freeze_layers: int = Field(0, ge=0, description="freeze this many of the first layers")
    seed: int = Field(0, description="seed of initial weights, data order and dropout")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="dtype of weights and accumulation; auto is bf16 on GPUs and fp32 on CPUs"
    )
    validate_every: int | None = Field(None, gt=0, description="steps between evaluations; by default only after the last step")
    validation_tokens: Annotated[int, Runtime] = Field(
        1_000_000, gt=0, description="maximum number of held-out tokens read per evaluation"
    )
    gpus: Annotated[int | None, Runtime] = Field(
        None, gt=0, description="number of training processes, one per GPU (CPU processes on machines without one); default 1"
    )
    micro_batch_size: Annotated[int | None, Runtime] = Field(
        None,
        gt=0,
        description="sequences per forward pass of a process, the rest by gradient accumulation; default: by window length",
    )
    activation_checkpointing: Annotated[bool, Runtime] = Field(
        False, description="recompute activations in the backward pass: about a third more compute, less memory"
    )
    threads: Annotated[int | None, Runtime] = Field(
        None, gt=0, description="CPU threads per process; by default the cores divided by the processes"
    )
    checkpoint_every: Annotated[int, Runtime] = Field(
        500, gt=0, description="steps between saves, from which an interrupted run resumes"
    )
    peak_tflops: Annotated[float | None, Runtime] = Field(
        None, gt=0, description="peak TFLOP/s of a process's device, to report utilization (MFU); known for common GPUs"
    )

    #: Share of the steps that are warm-up by default: phi-1's.
    warmup_share: ClassVar[float] = 750 / 36_000
    #: Assumed share of `PEAK_FLOPS` that training reaches, and bytes on disk per parameter, for estimates.
    utilization: ClassVar[float] = 0.45
    bytes_per_parameter: ClassVar[float] = 18

    @property
    def processes(self) -> int:
        """Number of training processes."""
        return self.gpus or 1

    @property
    def data_parallel_size(self) -> int:
        """Number of processes, or groups of processes, that each take a share of the batch."""
        return self.processes

    def check(self) -> Iterable[Diagnostic]:
        """Report a batch size that cannot be divided over the processes."""
        yield from super().check()
        yield from self.batch_size_diagnostics("batch_size", self.batch_size)

    def batch_size_diagnostics(self, place: str, batch_size: int) -> Iterable[Diagnostic]:
        """Report a batch size that is not divisible by processes times micro-batch size."""
        micro_batch_size = self.micro_batch_size or 1
        per_step = max(1, self.data_parallel_size) * micro_batch_size
        if batch_size % per_step:
            split = f"{self.data_parallel_size} processes times micro-batches of {micro_batch_size}"
            problem = f"a batch size of {batch_size} is not divisible by {split}"
            yield Diagnostic(place, problem, f"choose a multiple of {per_step}")

    def resolve_warmup_steps(self, steps: int) -> int:
        """Return the number of warm-up steps in a run of `steps` steps."""
        return min(self.warmup_steps if self.warmup_steps is not None else round(self.warmup_share * steps), steps)

    def environment(self) -> Mapping[str, str]:
        """Set the threads of each process; idle threads sleep, since spinning ones slow down processes that share cores."""
        threads = self.threads or max(1, _available_cores() // self.processes)
        return {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}

    def estimate_training(self, parameters: float | None, tokens: float | None) -> Estimate:
        """Estimate GPU hours at 6 FLOPs per parameter and token (arXiv 2001.08361), and disk space.

        Args:
            parameters: parameters outside the embeddings; None if unknown.
            tokens: tokens seen in training; None if unknown.
        """
        if parameters is None or tokens is None:
            return Estimate(tokens=tokens, parameters=parameters)
        hours = 6 * parameters * tokens / (PEAK_FLOPS * self.utilization) / 3600
        return Estimate(tokens=tokens, disk_bytes=self.bytes_per_parameter * parameters, gpu_hours=hours, parameters=parameters)


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OptionsMixin(BaseModel):
    """Options that precede `TrainOptions` among the bases of a stage, and may override its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NewModelOptions(OptionsMixin):
    """The shape of a new model: a published one by name, possibly with overrides, or its values alone."""

    shape: str | None = Field(
        None, description="a published model, such as phi-1 or tinystories-33m; other options here override its values"
    )
    architecture: Architecture | None = Field(
        None,
        description="block: `phi` (phi-1, the default), `llama` and `phi3` (RMSNorm, SwiGLU, no biases), `neox` and "
        "`pythia` (GPT-NeoX, in sequence or in parallel), `neo` (GPT-Neo)",
    )
    layers: int | None = Field(None, gt=0, description="number of layers")
    hidden: int | None = Field(None, gt=0, description="hidden size, the width of the residual stream")
    heads: int | None = Field(None, gt=0, description="number of attention heads")
    kv_heads: int | None = Field(None, gt=0, description="number of key/value heads; default: `heads`")
    ffn: int | None = Field(None, gt=0, description="intermediate size of the MLP; default: 4 times `hidden`")
    vocabulary: int | None = Field(None, gt=0, description="rows of the embedding table; default: the tokenizer's vocabulary")
    rotary: float | None = Field(
        None, gt=0, le=1, description="share of each head with rotary embeddings (phi: 0.5, phi-2: 0.4)"
    )
    rotary_base: float | None = Field(None, gt=0, description="base of the rotary embeddings; default 10000")
    window: int | None = Field(
        None, gt=0, description="sliding attention window in tokens, the current one included; default: full attention"
    )
    tied: bool | None = Field(None, description="tie the output head to the token embeddings")

    def shape_values(self) -> ShapeValues:
        """Return the shape as far as the options define it, without the vocabulary, which depends on the shards."""
        options = set(NewModelOptions.model_fields) - {"shape", "vocabulary"} | self.extra_shape_options()
        return resolve_shape(self.shape, {name: getattr(self, name) for name in sorted(options)})

    def extra_shape_options(self) -> set[str]:
        """Return the names of further options of the stage that belong to the shape."""
        return set()

    def shape_diagnostics(self) -> Iterable[Diagnostic]:
        """Report unknown names, missing values, and values that do not fit each other."""
        if self.shape is not None and self.shape not in NAMED:
            yield Diagnostic("shape", f"no shape is called '{self.shape}'", f"available: {', '.join(NAMED)}")
            return
        shape = self.shape_values()
        if missing := [name for name in REQUIRED if name not in shape]:
            yield Diagnostic(missing[0], "is missing", 'set it, or name a shape: shape = "phi-1-small"')
        elif problem := shape_problem(shape):
            yield Diagnostic(*problem, "choose hidden, heads, kv_heads and rotary that fit each other")

    def estimate_parameters(self) -> float | None:
        """Return the parameters outside the embeddings; None if the shape is incomplete."""
        shape = self.shape_values() if self.shape is None or self.shape in NAMED else {}
        return block_parameters(shape) if all(name in shape for name in REQUIRED) else None


class BlendOptions(OptionsMixin):
    """Training data from one set of shards, or a blend of several."""

    shards: Annotated[Labels, Input(TokenShards)] = Field(description="earlier `pack` stages; several are blended")
    weights: dict[str, float] | None = Field(
        None, description="with several `shards`: sampling weight of each, by label; default: in proportion to their tokens"
    )

    def blend_diagnostics(self, weights: Mapping[str, float] | None) -> Iterable[Diagnostic]:
        """Report weights of unknown shards, negative weights, and weights that are all zero."""
        for label, weight in (weights or {}).items():
            if label not in self.shards:
                yield Diagnostic("weights", f"no shards are called '{label}'", f"available: {', '.join(self.shards)}")
            if weight < 0:
                yield Diagnostic("weights", f"the weight of {label} is negative", "0 leaves it out")
        if weights is not None and not any(weights.values()):
            yield Diagnostic("weights", "all weights are 0", "set at least one above 0, or remove the option")


class FromCheckpoint(OptionsMixin):
    """Training that starts from a checkpoint and makes a number of passes over the data."""

    shards: Annotated[str, Input(Shards)]
    checkpoint: Annotated[str, Input(Checkpoint)] = Field(description="the earlier stage whose model is trained further")
    epochs: float = Field(1.0, gt=0, description="passes over the data")

    def parameters_and_tokens(self, inputs: Mapping[str, Estimate]) -> tuple[float | None, float | None]:
        """Return the checkpoint's parameters and the tokens seen in all epochs; None where unknown."""
        tokens, parameters = inputs.get("shards", Estimate()).tokens, inputs.get("checkpoint", Estimate()).parameters
        return parameters, None if tokens is None else tokens * self.epochs


class SftOptions(FromCheckpoint):
    """Supervised finetuning on whole documents or conversations, with phi-1's defaults (arXiv 2306.11644, 2.3)."""

    warmup_share: ClassVar[float] = 50 / 6_000

    shards: Annotated[str, Input(TokenShards)] = Field(
        description="an earlier `pack` stage; the loss covers what follows a `prompt`, and the assistant's messages of chats"
    )
    epochs: float = Field(1.0, gt=0, description="passes over the data (phi-1: 17.5)")
    batch_size: int = Field(
        256, gt=0, description="windows of whole documents per step (phi-1: 256); choose far fewer for small data"
    )
    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate (phi-1: 1e-4)")
    warmup_steps: int | None = Field(
        None, ge=0, description="steps of linear warm-up; by default phi-1's share of the run, 50 of 6,000 steps"
    )
    weight_decay: float = Field(0.01, ge=0, description="weight decay (phi-1: 0.01); not applied to biases and norms")


class DpoOptions(FromCheckpoint):
    """Direct preference optimization (arXiv 2305.18290) and related losses, by TRL's names."""

    warmup_share: ClassVar[float] = 0.1

    shards: Annotated[str, Input(PairShards)] = Field(description="an earlier `pack` stage of preference pairs")
    checkpoint: Annotated[str, Input(Checkpoint)] = Field(
        description="the earlier stage whose model is trained further; it is also the reference model"
    )
    epochs: float = Field(1.0, gt=0, description="passes over the pairs")
    loss: LossType | dict[LossType, LossWeight] = Field(
        "sigmoid",
        description="loss by TRL's name, or several with weights, such as { sigmoid = 1.0, sft = 0.2 }, which keeps chosen "
        "replies from becoming less likely",
    )
    beta: float = Field(0.1, gt=0, description="strength of the KL penalty towards the reference model")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="assumed share of pairs with swapped labels; not supported by every loss"
    )
    batch_size: int = Field(64, gt=0, description="pairs per step")
    learning_rate: float = Field(5e-7, gt=0, description="peak learning rate; small models need far higher ones")
    weight_decay: float = Field(0.0, ge=0, description="weight decay; not applied to biases and norms")
    betas: tuple[Beta, Beta] = Field((0.9, 0.95), description="AdamW's betas")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate of attention and residuals")
    warmup_steps: int | None = Field(None, ge=0, description="steps of linear warm-up; default: a tenth of all steps")

    #: The losses that support `label_smoothing`.
    smoothable_losses: ClassVar[tuple[LossType, ...]] = ("robust", "exo_pair", "aot", "aot_unpaired")

    @property
    def loss_weights(self) -> dict[LossType, float]:
        """The weight of each loss."""
        return dict(self.loss) if isinstance(self.loss, dict) else {self.loss: 1.0}

    def loss_diagnostics(self) -> Iterable[Diagnostic]:
        """Report losses without the options they need, and options that no chosen loss supports."""
        losses = self.loss_weights
        if not losses:
            yield Diagnostic("loss", "is empty", 'loss = "sigmoid" is the usual choice')
        if "robust" in losses and not self.label_smoothing:
            yield Diagnostic("label_smoothing", "is 0, but the loss `robust` needs it", "set it to the share of wrong labels")
        elif losses and self.label_smoothing and not set(self.smoothable_losses) & set(losses):
            problem = f"not supported by the loss {' and '.join(losses)}"
            yield Diagnostic("label_smoothing", problem, f"losses that support it: {', '.join(self.smoothable_losses)}")
