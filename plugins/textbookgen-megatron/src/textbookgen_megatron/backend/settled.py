"""What a job leaves open, settled before training: the shape of the model, its layout, what it is shown, how it learns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from textbookgen import TrainerError
from textbookgen_megatron.backend import growth
from textbookgen_megatron.backend.data import ReplyPairs, Stream, WholeDocuments
from textbookgen_megatron.backend.device import CUDA, data_parallel_size
from textbookgen_megatron.backend.gpt_model import Precision
from textbookgen_megatron.backend.optimizer import OptimizerSettings
from textbookgen_megatron.backend.train_state import Segment
from textbookgen_megatron.job import TrainingJob
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.dpo import Dpo
from textbookgen_megatron.stages.grow import Grow
from textbookgen_megatron.stages.options import MegatronTrainOptions, Phase
from textbookgen_megatron.stages.pretrain import Pretrain
from textbookgen_megatron.stages.sft import Sft

#: Tokens a process works at once unless told: what keeps a CPU's caches, or a GPU, busy.
TOKENS_AT_ONCE = 16_384 if CUDA else 4_096


def shape_of(job: TrainingJob) -> Shape:
    """The shape of the model that the job trains."""
    options, length = job.options, job.shards.sequence_length
    if isinstance(options, Pretrain):
        return _new_shape(options, job.shards.vocabulary, length)
    assert job.parent is not None
    old = job.parent.shape
    if not isinstance(options, Grow):
        return _longer(old, length)
    hidden = options.hidden or old.hidden
    growth.check_width(old, hidden)
    new = _longer(
        old,
        length,
        layers=options.layers or old.layers,
        hidden=hidden,
        heads=max(1, hidden // old.head_dim),
        kv_heads=max(1, hidden // old.head_dim * old.kv_heads // old.heads),
        ffn=options.ffn or hidden * old.ffn // old.hidden,
    )
    growth.check_growth(old, new)
    return new


def _new_shape(options: Pretrain, vocabulary: int, length: int) -> Shape:
    """The named shape, or the parts given; its vocabulary is the tokenizer's unless it was asked to have more rows."""
    rows = options.vocabulary or vocabulary
    if rows < vocabulary:
        raise TrainerError(
            f"a vocabulary of {rows} has no room for the tokenizer's {vocabulary} ids",
            place="vocabulary",
            hint="leave it out: the tokenizer's own size is taken",
        )
    whole = options.shape_values() | {"vocabulary": rows, "sequence_length": length}
    if "positions" in whole:
        whole["positions"] = max(length, whole["positions"])
    return Shape(**whole)


def _longer(shape: Shape, length: int, **changes: Any) -> Shape:
    """The shape for windows of another length; a table of learned positions stays as it is."""
    positions = shape.max_positions if shape.learned_positions else None
    return _with(shape, sequence_length=length, positions=positions, **changes)


def _with(shape: Shape, **changes: Any) -> Shape:
    return Shape(**{**shape.card(), **changes})


def check_layout(shape: Shape, options: MegatronTrainOptions) -> None:
    """Raises TrainerError unless every process gets an even share."""
    ranks = options.tensor_parallel
    if shape.layers % options.pipeline_parallel:
        raise TrainerError(
            f"{shape.layers} layers do not split over {options.pipeline_parallel} stages",
            place="pipeline_parallel",
            hint="choose a pipeline_parallel that divides layers",
        )
    for name in ("heads", "kv_heads", "ffn"):
        if getattr(shape, name) % ranks:
            raise TrainerError(
                f"{name} {getattr(shape, name)} does not split over {ranks} processes",
                place="tensor_parallel",
                hint="choose a tensor_parallel that divides heads, kv_heads and ffn",
            )
    if options.sequence_parallel and shape.sequence_length % ranks:
        raise TrainerError(
            f"windows of {shape.sequence_length} tokens do not split over {ranks} processes", place="sequence_parallel"
        )
    if options.freeze_layers >= shape.layers:
        raise TrainerError(f"all {shape.layers} layers would be frozen", place="freeze_layers", hint="freeze fewer")
    if options.batch_size % data_parallel_size():
        raise TrainerError(
            f"a batch of {options.batch_size} does not split over {data_parallel_size()} processes", place="batch_size"
        )


def check_held_out(job: TrainingJob) -> None:
    """Raises TrainerError if measurements on the way are wanted, and there is nothing to measure on."""
    if job.options.validate_every and not any(packed.counts("valid").loss_tokens for packed in job.blend.values()):
        raise TrainerError(
            "the shards hold nothing out, so there is nothing to measure on the way",
            place="validate_every",
            hint="pack with a validation_share above 0 (and documents enough for one to fall to it)",
        )


def micro_batch_size(options: MegatronTrainOptions, batch: int, sequence_length: int, rows: int = 1) -> int:
    """Samples a process works at once: what was asked, or the most that divides its share and is not too much."""
    mine = batch // data_parallel_size()
    if options.micro_batch_size:
        if mine % options.micro_batch_size:
            raise TrainerError(
                f"{mine} sequences a process are not a multiple of {options.micro_batch_size}", place="micro_batch_size"
            )
        return options.micro_batch_size
    most = max(1, TOKENS_AT_ONCE // (sequence_length * rows))
    if options.pipeline_parallel > 1:
        most = max(1, min(most, mine // (2 * options.pipeline_parallel)))  # parts enough to keep every stage at work
    return max(size for size in range(1, mine + 1) if mine % size == 0 and size <= most)


def segments_of(job: TrainingJob, shape: Shape, index: Path) -> tuple[list[Segment], Shape]:
    """What is shown step by step, and the shape as the last segment leaves it."""
    options = job.options
    if isinstance(options, Dpo):
        return _once_and_again(job, ReplyPairs(job.shards, "train", job.seed), 2), shape
    if isinstance(options, Sft):
        if job.shards.content == "Pairs":
            raise TrainerError("the shards hold pairs", place="shards", hint="learn from pairs with megatron/dpo")
        return _once_and_again(job, WholeDocuments(job.shards, "train", job.seed), 1), shape
    assert isinstance(options, Pretrain | Grow)
    for label, packed in job.blend.items():
        if packed.content == "Pairs":
            raise TrainerError(f"the shards {label!r} hold pairs", place="shards", hint="learn from pairs with megatron/dpo")
    segments: list[Segment] = []
    for number, phase in enumerate(options.phases or (Phase(share=1.0),)):
        length = phase.sequence_length or job.shards.sequence_length
        shape = _longer(shape, length, rotary_base=phase.rotary_base or shape.rotary_base)
        if segment := _segment(job, options, phase, sum(item.steps for item in segments), index / str(number), shape):
            segments.append(segment)
    return segments, shape


def _once_and_again(job: TrainingJob, source: WholeDocuments | ReplyPairs, rows: int) -> list[Segment]:
    options = job.options
    assert isinstance(options, Sft | Dpo)
    if options.batch_size > max(1.0, options.epochs) * len(source):
        raise TrainerError(
            f"a batch of {options.batch_size} is more than there is: {len(source)} in the shards",
            place="batch_size",
            hint="lower batch_size",
        )
    steps = math.ceil(options.epochs * len(source) / options.batch_size)
    length = job.shards.sequence_length
    at_once = micro_batch_size(options, options.batch_size, length, rows)
    return [Segment(0, steps, source, options.batch_size, at_once, length, 0.0)]


def _segment(job: TrainingJob, options: Pretrain | Grow, phase: Phase, first: int, index: Path, shape: Shape) -> Segment | None:
    length, batch = shape.sequence_length, phase.batch_size or options.batch_size
    steps = math.ceil(round(options.tokens * phase.share) / (batch * length))
    if not steps:
        return None
    if batch % data_parallel_size():
        raise TrainerError(
            f"a batch of {batch} does not split over {data_parallel_size()} processes", place="phases.batch_size"
        )
    chosen = phase.weights or options.weights
    weights = None if chosen is None else [chosen.get(label, 0.0) for label in job.blend]
    source = Stream(list(job.blend.values()), steps * batch, job.seed + first, index, length=length, weights=weights)
    at_once = micro_batch_size(options, batch, length)
    return Segment(first, steps, source, batch, at_once, length, shape.rotary_base, phase.learning_rate_factor)


def optimizer_settings(options: MegatronTrainOptions, steps: int, seed: int) -> OptimizerSettings:
    """How weights are learned, with every default settled."""
    precision: Precision = "bf16" if options.precision == "bf16" or (options.precision == "auto" and CUDA) else "fp32"
    return OptimizerSettings(
        steps=steps,
        learning_rate=options.learning_rate,
        min_learning_rate=options.min_learning_rate,
        schedule=options.schedule,
        decay_fraction=options.decay_fraction,
        warmup_steps=options.resolve_warmup_steps(steps),
        optimizer=options.optimizer,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        betas=options.betas,
        eps=options.eps,
        max_grad_norm=options.max_grad_norm,
        seed=seed,
        precision=precision,
        distributed_optimizer=options.distributed_optimizer,
        freeze_embeddings=options.freeze_embeddings,
        freeze_layers=options.freeze_layers,
    )
