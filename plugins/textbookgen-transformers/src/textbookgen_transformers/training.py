"""The stages `transformers/pretrain` and `transformers/sft`: their options, and the command that works them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from textbookgen.artifacts import Checkpoint, Shards
from textbookgen.errors import Complaint
from textbookgen.marks import Labels, Pipe, Placement
from textbookgen.stage import Job, Train, Volume
from textbookgen_transformers.shape import GROUPED, NAMED, NEEDED, Architecture, Parts, parameters_of_blocks, parts, problem_of

#: What GPU hours are foreseen with: an A100's bf16 peak, and the share of it that training without fused kernels reaches.
PEAK_FLOPS = 312e12
UTILISATION = 0.35


#: How much of a running mean is kept at each step.
Beta = Annotated[float, Field(ge=0, lt=1)]


class Training(Train):
    """What every kind of training has: how weights are learned, where, and how that is watched.

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
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="`sgd` needs half of AdamW's memory or less")
    momentum: float = Field(0.9, ge=0, lt=1, description="with `sgd`: how much of the last step is kept; 0 keeps no state")
    weight_decay: float = Field(0.1, ge=0, description="weight decay (phi-1: 0.1); biases and norms are spared")
    betas: tuple[Beta, Beta] = Field((0.9, 0.98), description="AdamW's betas (phi-1.5: 0.9 and 0.98)")
    eps: float = Field(1e-7, gt=0, description="AdamW's epsilon (phi-1.5: 1e-7)")
    clip: float = Field(1.0, ge=0, description="the longest gradient that is not shortened; 0 shortens none")
    dropout: float = Field(
        0.1, ge=0, lt=1, description="share of attention and residuals dropped (phi-1: 0.1); of `llama` attention only"
    )
    freeze_embeddings: bool = Field(False, description="leave the tables of tokens and positions as they are")
    freeze_layers: int = Field(0, ge=0, description="leave so many of the first layers as they are")
    seed: int = Field(0, description="another seed draws other weights, orders and dropout")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of sums; weights are kept in fp32; auto is bf16 on GPUs that have it and fp32 elsewhere"
    )
    validate_every: int | None = Field(None, gt=0, description="steps between measurements; only at the end unless given")

    gpus: Annotated[int | None, Placement] = Field(
        None, gt=0, description="processes that share the batch, one a GPU (or so many CPU processes); one unless given"
    )
    recompute: Annotated[bool, Placement] = Field(
        False, description="forget what happens inside layers and work it out again for the gradient: a third more work"
    )
    micro_batch: Annotated[int | None, Placement] = Field(
        None, gt=0, description="sequences a process works at once, the rest by accumulation; chosen by size unless given"
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
    validation_tokens: Annotated[int, Placement] = Field(
        1_000_000, gt=0, description="most held-out tokens read to measure bits per byte"
    )

    #: How many of phi-1's steps were warm-up.
    warmup_share: ClassVar[float] = 750 / 36_000

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.gpus or 1

    def check(self) -> Iterable[Complaint]:
        """Batches that cannot be shared out."""
        if self.batch % (self.processes * (self.micro_batch or 1)):
            shares = f"{self.processes} processes of {self.micro_batch or 1} at once"
            yield Complaint("batch", f"a batch of {self.batch} does not split over {shares}", "give a multiple")

    def command(self, job: Job) -> list[str]:
        """One process alone, or several that `accelerate launch` starts."""
        start = ["train"] if self.processes == 1 else ["launch", str(self.processes)]
        return [sys.executable, "-m", f"textbookgen_transformers.{start[0]}", *start[1:], str(job.path)]

    def environment(self) -> Mapping[str, str]:
        """Threads for each process, no looking for models on the internet, and one GPU for one process.

        Threads sleep while they wait: where cores are shared, spinning ones hold up all work, by a factor of ten and more.
        """
        threads = self.threads or max(1, _cores() // self.processes)
        told = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        told |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        if self.processes == 1:  # transformers would spread each batch over all it sees
            told["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        return told


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _foreseen(parameters: float, tokens: float) -> Volume:
    """6 flops a parameter and token (arXiv 2001.08361), and 28 bytes a parameter: the weights, and two saves with AdamW's."""
    hours = 6 * parameters * tokens / (PEAK_FLOPS * UTILISATION) / 3600
    return Volume(tokens=tokens, disk_bytes=28 * parameters, gpu_hours=hours, parameters=parameters)


class Pretrain(Training):
    """Pretrains a model of transformers from nothing, on windows of a token stream."""

    name: ClassVar[str] = "pretrain"

    shards: Annotated[Labels, Pipe(Shards)] = Field(
        description="stages above that packed the data, in Megatron's indexed format; several are blended"
    )
    weights: dict[str, float] | None = Field(
        None, description="with several `shards`: how much of each is shown, by label; in proportion to size unless given"
    )
    shape: str | None = Field(
        None, description="name of a known model, such as phi-1 or tinystories-33m, whose parts others here replace"
    )
    architecture: Architecture | None = Field(
        None,
        description="`phi` is PhiForCausalLM, `phi3` Phi3ForCausalLM, `llama` LlamaForCausalLM, `neox` and `pythia` "
        "GPTNeoXForCausalLM (one after the other, or side by side), `neo` GPTNeoForCausalLM; `phi` unless given",
    )
    layers: int | None = Field(None, gt=0, description="how many layers")
    hidden: int | None = Field(None, gt=0, description="width of the residual stream")
    heads: int | None = Field(None, gt=0, description="attention heads")
    kv_heads: int | None = Field(None, gt=0, description="heads of keys and values; as many as `heads` unless given")
    ffn: int | None = Field(None, gt=0, description="width of the MLP; 4 times `hidden` unless given")
    vocabulary: int | None = Field(None, gt=0, description="rows of the embedding table; the tokenizer's ids unless given")
    rotary: float | None = Field(None, gt=0, le=1, description="share of each head that rotates (phi: 0.5, phi-2: 0.4)")
    rotary_base: float | None = Field(None, gt=0, description="base of the rotation; 10000 unless given")
    window: int | None = Field(
        None, gt=0, description="tokens back that a layer sees, itself included (phi3, neo); all unless given"
    )
    tied: bool | None = Field(None, description="whether the head is the embedding table")
    tokens: int = Field(gt=0, description="tokens to be seen; the data is gone through again as often as that takes")

    def parts(self) -> Parts:
        """The shape's parts as far as the options say; the vocabulary is that of the shards unless one was given here."""
        names = ("architecture", "layers", "hidden", "heads", "kv_heads", "ffn", "rotary", "rotary_base", "window", "tied")
        return parts(self.shape, {name: getattr(self, name) for name in names})

    def check(self) -> Iterable[Complaint]:
        """Shapes that cannot be, and blends of what is not there."""
        yield from super().check()
        yield from self._check_blend()
        if self.shape is not None and self.shape not in NAMED:
            yield Complaint("shape", f"no shape is called '{self.shape}'", f"there are {', '.join(NAMED)}")
            return
        whole = self.parts()
        if missing := [name for name in NEEDED if name not in whole]:
            yield Complaint(missing[0], "is missing", 'give it, or name a shape: shape = "phi-1-small"')
        elif problem := problem_of(whole):
            hint = f"architectures with other kv_heads than heads: {', '.join(GROUPED)}" if problem[0] == "kv_heads" else ""
            yield Complaint(*problem, hint)

    def _check_blend(self) -> Iterable[Complaint]:
        for label, weight in (self.weights or {}).items():
            if label not in self.shards:
                yield Complaint("weights", f"no shards are called '{label}'", f"there are {', '.join(self.shards)}")
            if weight < 0:
                yield Complaint("weights", f"{label} has a negative weight")
        if self.weights is not None and not any(self.weights.values()):
            yield Complaint("weights", "nothing has a weight above 0")

    def foresee(self, flows: Mapping[str, Volume]) -> Volume | None:
        """Counts parameters outside the embeddings, which the vocabulary is needed for."""
        whole = self.parts() if self.shape is None or self.shape in NAMED else {}
        if any(name not in whole for name in NEEDED):
            return Volume(tokens=self.tokens)
        return _foreseen(parameters_of_blocks(whole), self.tokens)


class Finetuning(Training):
    """Training on from a checkpoint, so many times over the data."""

    shards: Annotated[str, Pipe(Shards)]
    checkpoint: Annotated[str, Pipe(Checkpoint)]
    epochs: float

    def foresee(self, flows: Mapping[str, Volume]) -> Volume | None:
        """The shards' tokens, as often as they are gone through."""
        tokens, parameters = flows.get("shards", Volume()).tokens, flows.get("checkpoint", Volume()).parameters
        if tokens is None or parameters is None:
            return Volume(tokens=None if tokens is None else tokens * self.epochs, parameters=parameters)
        return _foreseen(parameters, tokens * self.epochs)


class Sft(Finetuning):
    """Finetunes a model on whole documents, which do not see each other; honours the loss mask of shards that have one."""

    name: ClassVar[str] = "sft"
    warmup_share: ClassVar[float] = 50 / 6_000

    shards: Annotated[str, Pipe(Shards)] = Field(
        description="stage above that packed documents or chats; of chats, and after a `prompt`, only answers are learned"
    )
    checkpoint: Annotated[str, Pipe(Checkpoint)] = Field(
        description="stage above that trained the model with this plugin, or exported one for transformers"
    )
    epochs: float = Field(1.0, gt=0, description="how often the data is gone through (phi-1: 17.5)")
    batch: int = Field(256, gt=0, description="windows of documents a step (phi-1: 256); choose far less for small data")
    learning_rate: float = Field(1e-4, gt=0, description="the highest learning rate (phi-1: 1e-4)")
    warmup_steps: int | None = Field(
        None, ge=0, description="steps over which the learning rate rises; phi-1's share, 50 of 6,000, unless given"
    )
    weight_decay: float = Field(0.01, ge=0, description="weight decay (phi-1: 0.01); biases and norms are spared")
