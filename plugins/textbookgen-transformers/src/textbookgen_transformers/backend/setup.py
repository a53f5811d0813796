"""What a job leaves to defaults, resolved before training: the data of each step, the number of steps and micro-batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from textbookgen import TrainerError
from textbookgen.training.packing import BlendedStream, TokenStream
from textbookgen_transformers.backend.samples import DocumentSamples, PairSamples, Source, StreamSamples
from textbookgen_transformers.job import TransformersJob
from textbookgen_transformers.stages.dpo import Dpo
from textbookgen_transformers.stages.options import TransformersTrainOptions
from textbookgen_transformers.stages.pretrain import Pretrain

CUDA = torch.cuda.is_available()
#: Default number of tokens in a forward pass of a process: enough to keep a CPU's caches, or a GPU, busy.
FORWARD_TOKENS = 16_384 if CUDA else 4_096


@dataclass(frozen=True)
class TrainPlan:
    """What a job trains on: the samples, the number of steps, and the samples in a forward pass of a process."""

    job: TransformersJob
    source: Source
    steps: int
    micro_batch_size: int

    @property
    def options(self) -> TransformersTrainOptions:
        """The job's options."""
        return self.job.options


def plan_training(job: TransformersJob) -> TrainPlan:
    """Plan the training of a job.

    Raises:
        TrainerError: the shards do not fit the stage, or hold too little data.
    """
    job.check_held_out()
    options, length = job.options, job.shards.sequence_length
    if isinstance(options, Pretrain):
        job.check_no_pairs()
        steps = math.ceil(options.tokens / (options.batch_size * length))
        return TrainPlan(job, StreamSamples(_stream(job, options)), steps, choose_micro_batch_size(options, length))
    if isinstance(options, Dpo):
        source: PairSamples | DocumentSamples = PairSamples(job.shards, "train", job.seed)
        rows = 2
    else:
        job.check_no_pairs()
        source, rows = DocumentSamples(job.shards, "train", job.seed), 1
    if options.batch_size > max(1.0, options.epochs) * len(source):
        problem = f"a batch size of {options.batch_size} exceeds the {len(source)} samples in the shards"
        raise TrainerError(problem, place="batch_size", hint="lower batch_size")
    steps = math.ceil(options.epochs * len(source) / options.batch_size)
    return TrainPlan(job, source, steps, choose_micro_batch_size(options, length, rows))


def _stream(job: TransformersJob, options: Pretrain) -> TokenStream | BlendedStream:
    """Return the token stream of the shards, blended if there are several."""
    streams = {label: TokenStream(shards, job.seed + place) for place, (label, shards) in enumerate(job.blend.items())}
    if len(streams) == 1:
        return next(iter(streams.values()))
    weights = options.weights or {label: float(shards.counts("train").tokens) for label, shards in job.blend.items()}
    return BlendedStream(list(streams.values()), [weights.get(label, 0.0) for label in streams], job.seed)


def choose_micro_batch_size(options: TransformersTrainOptions, length: int, rows: int = 1) -> int:
    """Return the samples in a forward pass of a process: as asked, or the largest divisor of its share that is not too large.

    Args:
        options: options of the job.
        length: tokens in a row.
        rows: rows of a sample.
    """
    if options.micro_batch_size:
        return options.micro_batch_size
    per_process, limit = options.batch_size // options.processes, max(1, FORWARD_TOKENS // (length * rows))
    return max(size for size in range(1, per_process + 1) if per_process % size == 0 and size <= limit)


def resolve_precision(options: TransformersTrainOptions) -> str:
    """Return `bf16` or `fp32`."""
    if options.precision != "auto":
        return options.precision
    return "bf16" if CUDA and torch.cuda.is_bf16_supported() else "fp32"
