"""The model that a job starts with: new, grown from its parent, or the parent itself."""

from __future__ import annotations

from collections.abc import Callable

from megatron.core.models.gpt import GPTModel  # type: ignore[import-untyped]
from torch import Tensor

from textbookgen_megatron.backend import growth, weights
from textbookgen_megatron.backend.gpt_model import Precision, build_model
from textbookgen_megatron.job import MegatronJob, StageOptions
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.grow import Grow


def build_initial_model(job: MegatronJob, shape: Shape, precision: Precision) -> GPTModel:
    """Build the model of a job; without a parent its weights are random, by the job's seed."""
    options = job.options
    model = build_model(
        shape,
        precision=precision,
        dropout=options.dropout,
        seed=job.seed,
        sequence_parallel=options.sequence_parallel,
        activation_checkpointing=options.activation_checkpointing,
    )
    if job.parent is not None:
        old = Shape.from_card(job.parent.card)
        parent = weights.read(job.parent.folder)
        initial = initial_weights(options, parent, old, shape, lambda: weights.gather(model, shape), job.seed)
        if initial is not None:
            weights.load(model, initial, shape)
    return model


def initial_weights(
    options: StageOptions,
    parent: dict[str, Tensor],
    old: Shape,
    new: Shape,
    random_weights: Callable[[], dict[str, Tensor]],
    seed: int,
) -> dict[str, Tensor] | None:
    """Return the weights that training starts from; None for the random ones that the model was built with.

    Args:
        options: options of the stage, which say how to grow.
        parent: weights of the parent.
        old: shape of the parent.
        new: shape of the model.
        random_weights: returns the random weights of the model.
        seed: seed of the noise that sets copies apart.
    """
    if not isinstance(options, Grow):
        return parent
    if options.method == "scratch":
        return None
    if options.method == "reuse":
        return growth.reuse(parent, random_weights(), old, new, rounding=options.layer_rounding)
    return growth.tile(parent, old, new, noise=options.noise, seed=seed, rounding=options.layer_rounding)
