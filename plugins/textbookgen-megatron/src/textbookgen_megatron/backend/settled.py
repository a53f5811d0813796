"""What a job leaves open, settled before training: the shape of the model, its layout, and how weights are learned."""

from __future__ import annotations

from typing import Any

from textbookgen.errors import TrainerError
from textbookgen_megatron.backend import growth
from textbookgen_megatron.backend.device import CUDA, data_rank
from textbookgen_megatron.backend.model import Precision
from textbookgen_megatron.backend.step import Recipe
from textbookgen_megatron.job import TrainingJob
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.training import Grow, Pretrain, Training

#: Tokens a process works at once unless told: what keeps a CPU's caches, or a GPU, busy.
TOKENS_AT_ONCE = 16_384 if CUDA else 4_096


def shape_of(job: TrainingJob) -> Shape:
    """The shape of the model that the job trains."""
    options, length = job.options, job.shards.sequence_length
    if isinstance(options, Pretrain):
        return Shape(
            architecture=options.architecture,
            layers=options.layers,
            hidden=options.hidden,
            heads=options.heads,
            kv_heads=options.kv_heads or options.heads,
            ffn=options.ffn or 4 * options.hidden,
            vocabulary=job.shards.vocabulary,
            sequence_length=length,
        )
    assert job.parent is not None
    old = job.parent.shape
    if not isinstance(options, Grow):
        return _with(old, sequence_length=length)
    hidden = options.hidden or old.hidden
    new = _with(
        old,
        sequence_length=length,
        layers=options.layers or old.layers,
        hidden=hidden,
        heads=max(1, hidden // old.head_dim),
        kv_heads=max(1, hidden // old.head_dim * old.kv_heads // old.heads),
        ffn=options.ffn or hidden * old.ffn // old.hidden,
    )
    growth.check_growth(old, new)
    return new


def _with(shape: Shape, **changes: Any) -> Shape:
    return Shape(**{**shape.card(), **changes})


def check_layout(shape: Shape, options: Training) -> None:
    """Raises TrainerError unless every process gets an even share."""
    ranks = options.tensor_parallel
    for name in ("heads", "kv_heads", "ffn"):
        if getattr(shape, name) % ranks:
            raise TrainerError(
                f"{name} {getattr(shape, name)} does not split over {ranks} processes",
                place="tensor_parallel",
                hint="choose a tensor_parallel that divides heads, kv_heads and ffn",
            )
    if options.batch % data_rank()[1]:
        raise TrainerError(f"a batch of {options.batch} does not split over {data_rank()[1]} processes", place="batch")


def micro_batch(options: Training, sequence_length: int) -> int:
    """Sequences a process works at once: what was asked, or the most that divides its share and is not too much."""
    mine = options.batch // data_rank()[1]
    if options.micro_batch:
        if mine % options.micro_batch:
            raise TrainerError(f"{mine} sequences a process are not a multiple of {options.micro_batch}", place="micro_batch")
        return options.micro_batch
    most = max(1, TOKENS_AT_ONCE // sequence_length)
    return max(size for size in range(1, mine + 1) if mine % size == 0 and size <= most)


def recipe_of(options: Training, steps: int, micro_batch: int, seed: int) -> Recipe:
    """How weights are learned, with every default settled."""
    warmup = options.warmup_steps if options.warmup_steps is not None else round(options.warmup_share * steps)
    precision: Precision = "bf16" if options.precision == "bf16" or (options.precision == "auto" and CUDA) else "fp32"
    return Recipe(
        steps=steps,
        batch=options.batch,
        micro_batch=micro_batch,
        learning_rate=options.learning_rate,
        final_learning_rate=options.final_learning_rate,
        schedule=options.schedule,
        warmup_steps=min(warmup, steps),
        weight_decay=options.weight_decay,
        betas=options.betas,
        eps=options.eps,
        clip=options.clip,
        seed=seed,
        precision=precision,
    )
