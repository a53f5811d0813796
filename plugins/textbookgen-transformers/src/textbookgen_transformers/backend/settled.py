"""What a job leaves open, settled before training: what is shown, in how many steps, and whether there is enough of it."""

from __future__ import annotations

import math

from textbookgen import TrainerError
from textbookgen_transformers.backend.learners import Work, micro_batch_of
from textbookgen_transformers.job import TrainingJob
from textbookgen_transformers.preference import Dpo
from textbookgen_transformers.samples import Blend, ReplyPairs, Source, Stream, WholeDocuments
from textbookgen_transformers.training import Pretrain, Sft


def work_of(job: TrainingJob) -> Work:
    """What is shown, in how many steps, and how much of it at once.

    Raises:
        TrainerError: the shards are of another kind, or have too little for what was asked.
    """
    _check_held_out(job)
    options, length = job.options, job.shards.sequence_length
    if isinstance(options, Pretrain):
        steps = math.ceil(options.tokens / (options.batch_size * length))
        return Work(job, _stream(job, options), steps, micro_batch_of(options, length))
    assert isinstance(options, Sft | Dpo)
    pairs = isinstance(options, Dpo)
    shown = ReplyPairs(job.shards, "train", job.seed) if pairs else WholeDocuments(job.shards, "train", job.seed)
    if options.batch_size > max(1.0, options.epochs) * len(shown):
        problem = f"a batch of {options.batch_size} is more than there is: {len(shown)} in the shards"
        raise TrainerError(problem, place="batch_size", hint="lower batch_size")
    steps = math.ceil(options.epochs * len(shown) / options.batch_size)
    return Work(job, shown, steps, micro_batch_of(options, length, 2 if pairs else 1))


def _stream(job: TrainingJob, options: Pretrain) -> Source:
    """The windows of all shards, blended if there are several."""
    for label, packed in job.blend.items():
        if packed.content == "Pairs":
            problem = f"the shards {label!r} hold pairs"
            raise TrainerError(problem, place="shards", hint="learn from pairs with transformers/dpo")
    streams = {label: Stream(packed, job.seed + place) for place, (label, packed) in enumerate(job.blend.items())}
    if len(streams) == 1:
        return next(iter(streams.values()))
    weights = options.weights or {label: float(packed.counts("train").tokens) for label, packed in job.blend.items()}
    return Blend(list(streams.values()), [weights.get(label, 0.0) for label in streams], job.seed)


def _check_held_out(job: TrainingJob) -> None:
    """Raises TrainerError if measurements on the way are wanted, and there is nothing to measure on."""
    if job.options.validate_every and not any(packed.counts("valid").loss_tokens for packed in job.blend.values()):
        raise TrainerError(
            "the shards hold nothing out, so there is nothing to measure on the way",
            place="validate_every",
            hint="pack with a validation_share above 0 (and documents enough for one to fall to it)",
        )
