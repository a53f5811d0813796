"""Options that trainers have in common, so that one means the same whoever trains: of learning, of a new model, of finetuning.

`Learning` is the stage to derive from; the others are mixed in before it: `class Pretrain(NewModel, Blended, Mine)`.
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
from textbookgen.training.architectures import NAMED, NEEDED, Architecture, Parts, parts, problem_of, weights_of_blocks

#: What GPU hours are foreseen with: an A100's peak in bfloat16.
PEAK_FLOPS = 312e12

#: How much of a running mean is kept at each step.
Beta = Annotated[float, Field(ge=0, lt=1)]

#: How much a loss counts.
Weight = Annotated[float, Field(gt=0)]

#: TRL's names of the preference losses that need no model but the policy and the reference.
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
    """What every kind of training has: how weights are learned, how that is watched, and what it runs on.

    Defaults are phi-1's (arXiv 2306.11644, 2.3) where the paper gives them; betas and eps are phi-1.5's.
    """

    batch_size: int = Field(1024, gt=0, description="sequences a step (phi-1: 1024); choose far less for small runs")
    learning_rate: float = Field(1e-3, gt=0, description="the highest learning rate (phi-1: 1e-3)")
    min_learning_rate: float = Field(0.0, ge=0, description="the learning rate that the schedule ends on")
    schedule: Literal["linear", "cosine", "constant", "wsd"] = Field(
        "linear",
        description="how the learning rate falls after warm-up (phi-1: linear); `wsd` holds it, then lets it fall linearly",
    )
    decay_fraction: float = Field(0.1, gt=0, le=1, description="with `wsd`: share of the steps over which the rate falls")
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
    max_grad_norm: float = Field(1.0, ge=0, description="the longest gradient that is not shortened; 0 shortens none")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of attention and residuals dropped (phi-1: 0.1)")
    freeze_embeddings: bool = Field(False, description="leave the tables of tokens and positions as they are")
    freeze_layers: int = Field(0, ge=0, description="leave so many of the first layers as they are")
    seed: int = Field(0, description="another seed draws other weights, orders and dropout")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of weights and sums; auto is bf16 on GPUs and fp32 on CPUs"
    )
    validate_every: int | None = Field(None, gt=0, description="steps between measurements; only at the end unless given")
    validation_tokens: Annotated[int, Runtime] = Field(
        1_000_000, gt=0, description="most held-out tokens read to measure bits per byte"
    )
    gpus: Annotated[int | None, Runtime] = Field(
        None, gt=0, description="processes that share the batch, one a GPU (or so many CPU processes); one unless given"
    )
    micro_batch_size: Annotated[int | None, Runtime] = Field(
        None, gt=0, description="sequences a process works at once, the rest by accumulation; chosen by size unless given"
    )
    activation_checkpointing: Annotated[bool, Runtime] = Field(
        False, description="forget what happens inside layers and work it out again for the gradient: a third more work"
    )
    threads: Annotated[int | None, Runtime] = Field(
        None, gt=0, description="CPU threads a process; the cores shared out evenly unless given"
    )
    checkpoint_every: Annotated[int, Runtime] = Field(
        500, gt=0, description="steps between saves from which a killed run goes on"
    )
    peak_tflops: Annotated[float | None, Runtime] = Field(
        None, gt=0, description="what a process's device can do at best, to tell its utilisation; known for common GPUs"
    )

    #: How many of phi-1's steps were warm-up.
    warmup_share: ClassVar[float] = 750 / 36_000
    #: The share of `PEAK_FLOPS` that training is foreseen to reach, and the bytes on disk it takes for each parameter.
    utilisation: ClassVar[float] = 0.45
    bytes_a_parameter: ClassVar[float] = 18

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.gpus or 1

    @property
    def sharers(self) -> int:
        """How many processes, or groups of them, share the batch."""
        return self.processes

    def check(self) -> Iterable[Diagnostic]:
        """Batches that cannot be shared out."""
        yield from super().check()
        yield from self.batch_diagnostics("batch_size", self.batch_size)

    def batch_diagnostics(self, place: str, batch: int) -> Iterable[Diagnostic]:
        """Says so if a batch does not split evenly."""
        at_once = max(1, self.sharers) * (self.micro_batch_size or 1)
        if batch % at_once:
            problem = f"a batch of {batch} does not split over {self.sharers} processes of {self.micro_batch_size or 1} at once"
            yield Diagnostic(place, problem, f"give a multiple of {at_once}")

    def warmup_of(self, steps: int) -> int:
        """The steps of warm-up among so many."""
        return min(self.warmup_steps if self.warmup_steps is not None else round(self.warmup_share * steps), steps)

    def environment(self) -> Mapping[str, str]:
        """Threads for each process, which sleep while they wait: where cores are shared, spinning ones hold up all work."""
        threads = self.threads or max(1, _cores() // self.processes)
        return {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}

    def estimated(self, parameters: float | None, tokens: float | None) -> Estimate:
        """6 flops a parameter and token (arXiv 2001.08361), and the disk, as far as the numbers are known."""
        if parameters is None or tokens is None:
            return Estimate(tokens=tokens, parameters=parameters)
        hours = 6 * parameters * tokens / (PEAK_FLOPS * self.utilisation) / 3600
        return Estimate(tokens=tokens, disk_bytes=self.bytes_a_parameter * parameters, gpu_hours=hours, parameters=parameters)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OptionsMixin(BaseModel):
    """Options that go before `Learning` among a stage's bases, and may take the place of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NewModelOptions(OptionsMixin):
    """The shape of a model that is drawn anew: a known one's, with parts of its own, or by parts alone."""

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

    def parts(self) -> Parts:
        """The shape's parts as far as the options say; the vocabulary is that of the shards unless one was given here."""
        options = set(NewModelOptions.model_fields) - {"shape", "vocabulary"} | self.further_parts()
        return parts(self.shape, {name: getattr(self, name) for name in sorted(options)})

    def further_parts(self) -> set[str]:
        """The names of options of the stage's own that are parts of the shape too."""
        return set()

    def shape_diagnostics(self) -> Iterable[Diagnostic]:
        """Shapes that nobody knows, that lack something, or that no model has."""
        if self.shape is not None and self.shape not in NAMED:
            yield Diagnostic("shape", f"no shape is called '{self.shape}'", f"there are {', '.join(NAMED)}")
            return
        whole = self.parts()
        if missing := [name for name in NEEDED if name not in whole]:
            yield Diagnostic(missing[0], "is missing", 'give it, or name a shape: shape = "phi-1-small"')
        elif problem := problem_of(whole):
            yield Diagnostic(*problem, "choose hidden, heads, kv_heads and rotary that fit each other")

    def estimated_weights(self) -> float | None:
        """Weights outside the embeddings, which the vocabulary is needed for; None if the shape is not whole."""
        whole = self.parts() if self.shape is None or self.shape in NAMED else {}
        return weights_of_blocks(whole) if all(name in whole for name in NEEDED) else None


class BlendOptions(OptionsMixin):
    """Data from one set of shards, or from several at once."""

    shards: Annotated[Labels, Input(TokenShards)] = Field(description="stages above that packed the data; several are blended")
    weights: dict[str, float] | None = Field(
        None, description="with several `shards`: how much of each is shown, by label; in proportion to size unless given"
    )

    def blend_diagnostics(self, weights: Mapping[str, float] | None) -> Iterable[Diagnostic]:
        """What cannot be of weights by label."""
        for label, weight in (weights or {}).items():
            if label not in self.shards:
                yield Diagnostic("weights", f"no shards are called '{label}'", f"there are {', '.join(self.shards)}")
            if weight < 0:
                yield Diagnostic("weights", f"{label} has a negative weight", "0 shows nothing of it")
        if weights is not None and not any(weights.values()):
            yield Diagnostic("weights", "nothing has a weight above 0", "give one, or take the weights away")


class FromCheckpoint(OptionsMixin):
    """Training on from a checkpoint, so many times over the data."""

    shards: Annotated[str, Input(Shards)]
    checkpoint: Annotated[str, Input(Checkpoint)] = Field(description="stage above that trained the model")
    epochs: float = Field(1.0, gt=0, description="how often the data is gone through")

    def volumes(self, inputs: Mapping[str, Estimate]) -> tuple[float | None, float | None]:
        """The checkpoint's parameters, and the shards' tokens as often as they are gone through; None where not known."""
        tokens, parameters = inputs.get("shards", Estimate()).tokens, inputs.get("checkpoint", Estimate()).parameters
        return parameters, None if tokens is None else tokens * self.epochs


class SftOptions(FromCheckpoint):
    """Finetuning on whole documents or conversations, with phi-1's defaults (arXiv 2306.11644, 2.3)."""

    warmup_share: ClassVar[float] = 50 / 6_000

    shards: Annotated[str, Input(TokenShards)] = Field(
        description="stage above that packed documents or chats; of chats, and after a `prompt`, only answers are learned"
    )
    epochs: float = Field(1.0, gt=0, description="how often the data is gone through (phi-1: 17.5)")
    batch_size: int = Field(256, gt=0, description="windows of documents a step (phi-1: 256); choose far less for small data")
    learning_rate: float = Field(1e-4, gt=0, description="the highest learning rate (phi-1: 1e-4)")
    warmup_steps: int | None = Field(
        None, ge=0, description="steps over which the learning rate rises; phi-1's share, 50 of 6,000, unless given"
    )
    weight_decay: float = Field(0.01, ge=0, description="weight decay (phi-1: 0.01); biases and norms are spared")


class DpoOptions(FromCheckpoint):
    """Direct preference optimisation (arXiv 2305.18290), and its kin by TRL's names."""

    warmup_share: ClassVar[float] = 0.1

    shards: Annotated[str, Input(PairShards)] = Field(description="stage above that packed pairs")
    checkpoint: Annotated[str, Input(Checkpoint)] = Field(
        description="stage above that trained the model; it is the reference too"
    )
    epochs: float = Field(1.0, gt=0, description="how often the pairs are gone through")
    loss: LossType | dict[LossType, Weight] = Field(
        "sigmoid",
        description="which loss, by TRL's name; or several with their weights, such as { sigmoid = 1.0, sft = 0.2 }, "
        "which keeps chosen replies from becoming less likely",
    )
    beta: float = Field(0.1, gt=0, description="how dear it is to go away from the reference")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="share of pairs taken to be the wrong way round; not every loss knows of it"
    )
    batch_size: int = Field(64, gt=0, description="pairs a step")
    learning_rate: float = Field(5e-7, gt=0, description="the highest learning rate; small models want far higher ones")
    weight_decay: float = Field(0.0, ge=0, description="weight decay; biases and norms are spared")
    betas: tuple[Beta, Beta] = Field((0.9, 0.95), description="AdamW's betas")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of attention and residuals dropped")
    warmup_steps: int | None = Field(
        None, ge=0, description="steps over which the learning rate rises; a tenth of all unless given"
    )

    #: The losses that `label_smoothing` says something to.
    smoothed: ClassVar[tuple[LossType, ...]] = ("robust", "exo_pair", "aot", "aot_unpaired")

    @property
    def losses(self) -> dict[LossType, float]:
        """The losses and their weights."""
        return dict(self.loss) if isinstance(self.loss, dict) else {self.loss: 1.0}

    def loss_diagnostics(self) -> Iterable[Diagnostic]:
        """Losses that need what was not given, or know nothing of what was."""
        if not self.losses:
            yield Diagnostic("loss", "names none", 'loss = "sigmoid" is the usual one')
        if "robust" in self.losses and not self.label_smoothing:
            yield Diagnostic("label_smoothing", "is what `robust` is about, and it is 0", "give the share of wrong labels")
        elif self.losses and self.label_smoothing and not set(self.smoothed) & set(self.losses):
            problem = f"{' and '.join(self.losses)} knows nothing of it"
            yield Diagnostic("label_smoothing", problem, f"losses that do: {', '.join(self.smoothed)}")
