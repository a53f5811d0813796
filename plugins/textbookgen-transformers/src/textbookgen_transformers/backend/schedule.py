"""The learning rate of each step, the same as Megatron-core's `OptimizerParamScheduler` gives."""

from __future__ import annotations

import math

from textbookgen.training.options import TrainOptions


def learning_rate(step: int, steps: int, options: TrainOptions) -> float:
    """Return the learning rate of a step.

    The schedule ends one step after the last, so that the last step is not wasted on the final rate, which is often zero.

    Args:
        step: the step, counted from 1.
        steps: steps of the run.
        options: peak and minimum rate, warm-up and schedule.
    """
    peak, warmup, end = options.learning_rate, options.resolve_warmup_steps(steps), steps + 1
    if step <= warmup:
        return peak * step / warmup
    lowest = min(options.min_learning_rate, peak)
    return lowest + _remaining(step, warmup, end, steps, options) * (peak - lowest)


def _remaining(step: int, warmup: int, end: int, steps: int, options: TrainOptions) -> float:
    """Return the share of the range between lowest and peak rate that is left, 1 after warm-up and 0 at the end."""
    done = (step - warmup) / (end - warmup)
    if options.schedule == "constant":
        return 1.0 if step <= end else 0.0
    if options.schedule == "cosine":
        return 0.5 * (math.cos(math.pi * done) + 1.0)
    if options.schedule == "wsd":
        decay_steps = max(1, round(options.decay_fraction * steps))
        return min(1.0, 1.0 - (step - (end - decay_steps)) / decay_steps)
    return 1.0 - done
