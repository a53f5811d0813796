"""Makes saves of Megatron-core's distributed optimizer loadable where neither TransformerEngine nor Apex is installed.

Without them it wraps torch's AdamW, and megatron-core 0.16 mistakes its state in three places: it asks for the step count
before there is one, it copies that count from where no save has it, and it gives all parameters one and the same count,
which then rises once for each of them. With TransformerEngine or Apex nothing here does anything.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from megatron.core.optimizer.distrib_optimizer import HAVE_APEX_OR_TE, DistributedOptimizer
from torch import Tensor

from textbookgen_megatron.backend.step import Learner, inner_optimizers


def _ours(learner: Learner) -> Iterator[Any]:
    """The optimizers that need this."""
    if not HAVE_APEX_OR_TE:
        yield from (item for item in inner_optimizers(learner.optimizer) if isinstance(item, DistributedOptimizer))


def before_load(learner: Learner) -> None:
    """Lets AdamW make its state with a step at rate zero, so that there is a count to ask for."""
    for item in _ours(learner):
        if item.optimizer.state:
            continue
        rates = [group["lr"] for group in item.optimizer.param_groups]
        for group in item.optimizer.param_groups:
            group["lr"] = 0.0
        item._init_optimizer_states_with_dummy_values()
        for group, rate in zip(item.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def after_load(learner: Learner) -> None:
    """Gives each parameter a step count of its own."""
    for item in _ours(learner):
        for state in item.optimizer.state.values():
            state["step"] = state["step"].clone()


def _copy_all_but_the_count(self: Any, model_param: Tensor, tensors: dict[str, Tensor]) -> None:
    """In place of Megatron-core's own, which copies the count as well."""
    group, place = self.model_param_group_index_map[model_param]
    main = self.optimizer.param_groups[group]["params"][place]
    main.data.copy_(tensors["param"])
    for name, value in self.optimizer.state[main].items():
        if name != "step":
            value.copy_(tensors[name])


if not HAVE_APEX_OR_TE:
    DistributedOptimizer._set_main_param_and_optimizer_states = _copy_all_but_the_count
