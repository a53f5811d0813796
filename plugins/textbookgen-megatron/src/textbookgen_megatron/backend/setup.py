"""What a job leaves to defaults, resolved before training: model shape, data of each step, batch sizes, optimizer settings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from textbookgen import TrainerError
from textbookgen_megatron.backend import growth
from textbookgen_megatron.backend.data import DocumentSamples, PairSamples, TokenStreamSamples
from textbookgen_megatron.backend.device import CUDA, data_parallel_size
from textbookgen_megatron.backend.gpt_model import Precision
from textbookgen_megatron.backend.optimizer import OptimizerSettings
from textbookgen_megatron.backend.train_state import Segment
from textbookgen_megatron.job import MegatronJob
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.dpo import Dpo
from textbookgen_megatron.stages.grow import Grow
from textbookgen_megatron.stages.options import MegatronTrainOptions, Phase
from textbookgen_megatron.stages.pretrain import Pretrain
from textbookgen_megatron.stages.sft import Sft

#: Default number of tokens in a forward pass of a process: enough to keep a CPU's caches, or a GPU, busy.
FORWARD_TOKENS = 16_384 if CUDA else 4_096


def resolve_shape(job: MegatronJob) -> Shape:
    """Return the shape of the model that the job trains.

    Raises:
        TrainerError: the shape is not possible, or the parent cannot be grown to it.
    """
    options, length = job.options, job.shards.sequence_length
    if isinstance(options, Pretrain):
        return _new_shape(options, job.shards.vocabulary, length)
    old = Shape.from_card(job.required_parent.card)
    if not isinstance(options, Grow):
        return _with_length(old, length)
    hidden = options.hidden or old.hidden
    if options.heads is None:
        growth.check_width(old, hidden)
    elif hidden % options.heads:
        hint = f"heads of one size need a divisor of {hidden}, such as {old.heads if hidden % old.heads == 0 else 1}"
        raise TrainerError(f"hidden = {hidden} is not a multiple of {options.heads} heads", place="heads", hint=hint)
    heads = options.heads or max(1, hidden // old.head_dim)
    new = _with_length(
        old,
        length,
        layers=options.layers or old.layers,
        hidden=hidden,
        heads=heads,
        kv_heads=max(1, heads * old.kv_heads // old.heads),
        rotary=old.rotary if hidden // heads == old.head_dim else old.rotary_dim * heads / hidden,
        ffn=options.ffn or hidden * old.ffn // old.hidden,
    )
    growth.check_growth(old, new)
    return new


def _new_shape(options: Pretrain, vocabulary: int, length: int) -> Shape:
    """Return the shape of a new model, whose vocabulary is the tokenizer's unless the options ask for more rows."""
    rows = options.vocabulary or vocabulary
    if rows < vocabulary:
        raise TrainerError(
            f"a vocabulary of {rows} is too small for the tokenizer's {vocabulary} ids",
            place="vocabulary",
            hint="remove the option to use the tokenizer's size",
        )
    shape = options.shape_values() | {"vocabulary": rows, "sequence_length": length}
    if "positions" in shape:
        shape["positions"] = max(length, shape["positions"])
    return Shape(**shape)


def _with_length(shape: Shape, length: int, **changes: Any) -> Shape:
    """Return the shape for another sequence length; a table of learned positions keeps its size."""
    positions = shape.max_positions if shape.learned_positions else None
    return Shape(**{**shape.card(), "sequence_length": length, "positions": positions, **changes})


def check_layout(shape: Shape, options: MegatronTrainOptions) -> None:
    """Check that layers, heads, tokens and sequences can be divided over the processes.

    Raises:
        TrainerError: they cannot.
    """
    ranks = options.tensor_parallel
    if shape.layers % options.pipeline_parallel:
        raise TrainerError(
            f"{shape.layers} layers are not divisible by {options.pipeline_parallel} pipeline stages",
            place="pipeline_parallel",
            hint="choose a divisor of layers",
        )
    for name in ("heads", "kv_heads", "ffn"):
        if getattr(shape, name) % ranks:
            raise TrainerError(
                f"{name} {getattr(shape, name)} is not divisible by {ranks} tensor parallel processes",
                place="tensor_parallel",
                hint="choose a common divisor of heads, kv_heads and ffn",
            )
    if options.sequence_parallel and shape.sequence_length % ranks:
        raise TrainerError(
            f"sequences of {shape.sequence_length} tokens are not divisible by {ranks} tensor parallel processes",
            place="sequence_parallel",
            hint="remove the option, or pack with another sequence_length",
        )
    if options.freeze_layers >= shape.layers:
        raise TrainerError(f"all {shape.layers} layers would be frozen", place="freeze_layers", hint="freeze fewer layers")
    _check_batch_size(options.batch_size, "batch_size")


def _check_batch_size(batch_size: int, place: str) -> None:
    processes = data_parallel_size()
    if batch_size % processes:
        problem = f"a batch size of {batch_size} is not divisible by {processes} data parallel processes"
        raise TrainerError(problem, place=place, hint=f"choose a multiple of {processes}")


def choose_micro_batch_size(options: MegatronTrainOptions, batch_size: int, sequence_length: int, rows: int = 1) -> int:
    """Return the samples in a forward pass of a process: as asked, or the largest divisor of its share that is not too large.

    Args:
        options: options of the job.
        batch_size: samples in a step, over all processes.
        sequence_length: tokens in a row.
        rows: rows of a sample.

    Raises:
        TrainerError: the option `micro_batch_size` does not divide the share of a process.
    """
    per_process = batch_size // data_parallel_size()
    if options.micro_batch_size:
        if per_process % options.micro_batch_size:
            raise TrainerError(
                f"{per_process} sequences per process are not divisible by micro-batches of {options.micro_batch_size}",
                place="micro_batch_size",
                hint=f"choose a divisor of {per_process}, or remove the option",
            )
        return options.micro_batch_size
    limit = max(1, FORWARD_TOKENS // (sequence_length * rows))
    if options.pipeline_parallel > 1:
        limit = max(1, min(limit, per_process // (2 * options.pipeline_parallel)))  # enough to keep every stage busy
    return max(size for size in range(1, per_process + 1) if per_process % size == 0 and size <= limit)


def plan_segments(job: MegatronJob, shape: Shape, cache: Path) -> tuple[list[Segment], Shape]:
    """Plan the data of each step.

    Args:
        job: the job.
        shape: the shape of the model at the start.
        cache: folder for index files.

    Returns:
        Segments of consecutive steps, and the shape after the last one, which phases of longer sequences change.

    Raises:
        TrainerError: the shards do not fit the stage, or hold too little data.
    """
    options = job.options
    if isinstance(options, Dpo):
        return [_epochs_segment(job, options, PairSamples(job.shards, "train", job.seed), rows=2)], shape
    job.check_no_pairs()
    if isinstance(options, Sft):
        return [_epochs_segment(job, options, DocumentSamples(job.shards, "train", job.seed), rows=1)], shape
    segments: list[Segment] = []
    for number, phase in enumerate(options.phases or (Phase(share=1.0),)):
        length = phase.sequence_length or job.shards.sequence_length
        shape = _with_length(shape, length, rotary_base=phase.rotary_base or shape.rotary_base)
        first_step = sum(segment.steps for segment in segments)
        if segment := _phase_segment(job, options, phase, first_step, cache / str(number), shape):
            segments.append(segment)
    return segments, shape


def _epochs_segment(job: MegatronJob, options: Sft | Dpo, source: DocumentSamples | PairSamples, rows: int) -> Segment:
    """Return the only segment of a job that makes a number of passes over its data."""
    if options.batch_size > max(1.0, options.epochs) * len(source):
        raise TrainerError(
            f"a batch size of {options.batch_size} exceeds the {len(source)} samples in the shards",
            place="batch_size",
            hint="lower batch_size",
        )
    steps = math.ceil(options.epochs * len(source) / options.batch_size)
    length = job.shards.sequence_length
    micro_batch_size = choose_micro_batch_size(options, options.batch_size, length, rows)
    return Segment(0, steps, source, options.batch_size, micro_batch_size, length, 0.0)


def _phase_segment(
    job: MegatronJob, options: Pretrain | Grow, phase: Phase, first_step: int, cache: Path, shape: Shape
) -> Segment | None:
    """Return the segment of a phase of pretraining; None if it has no steps."""
    length, batch_size = shape.sequence_length, phase.batch_size or options.batch_size
    steps = math.ceil(round(options.tokens * phase.share) / (batch_size * length))
    if not steps:
        return None
    _check_batch_size(batch_size, "phases.batch_size")
    by_label = phase.weights or options.weights
    weights = None if by_label is None else [by_label.get(label, 0.0) for label in job.blend]
    shards, seed = list(job.blend.values()), job.seed + first_step
    source = TokenStreamSamples(shards, steps * batch_size, seed, cache, length=length, weights=weights)
    micro_batch_size = choose_micro_batch_size(options, batch_size, length)
    factor = phase.learning_rate_factor
    return Segment(first_step, steps, source, batch_size, micro_batch_size, length, shape.rotary_base, factor)


def resolve_optimizer_settings(options: MegatronTrainOptions, steps: int, seed: int) -> OptimizerSettings:
    """Return the optimizer settings with all defaults resolved."""
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
        overlap=CUDA if options.overlap_communication is None else options.overlap_communication,
        freeze_embeddings=options.freeze_embeddings,
        freeze_layers=options.freeze_layers,
    )
