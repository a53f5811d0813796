"""The learning rate of each step, as Megatron-core reckons it."""

from __future__ import annotations

import math

from textbookgen_transformers.training import Training


def rate_of(step: int, steps: int, options: Training) -> float:
    """The learning rate of a step, counted from 1; the last step is not wasted on the final rate, which is often zero."""
    highest, warmup, end = options.learning_rate, options.warmup_of(steps), steps + 1
    if step <= warmup:
        return highest * step / warmup
    lowest = min(options.min_learning_rate, highest)
    return lowest + _share(step, warmup, end, steps, options) * (highest - lowest)


def _share(step: int, warmup: int, end: int, steps: int, options: Training) -> float:
    """How much of the way between the lowest and the highest rate is left."""
    done = (step - warmup) / (end - warmup)
    if options.schedule == "constant":
        return 1.0 if step <= end else 0.0
    if options.schedule == "cosine":
        return 0.5 * (math.cos(math.pi * done) + 1.0)
    if options.schedule == "wsd":
        fall = max(1, round(options.decay_fraction * steps))
        return min(1.0, 1.0 - (step - (end - fall)) / fall)
    return 1.0 - done
