"""Makes saves of Megatron-core's distributed optimizer loadable where neither TransformerEngine nor Apex is installed.

Without them, megatron-core 0.16 wraps torch's AdamW and mishandles its step count in three places: it reads the count before
there is one, it copies the count from a tensor that saves do not have, and it shares one count tensor among all parameters,
which then rises once per parameter. With TransformerEngine or Apex, this module does nothing.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from megatron.core.optimizer.distrib_optimizer import HAVE_APEX_OR_TE, DistributedOptimizer
from torch import Tensor

from textbookgen_megatron.backend.optimizer import inner_optimizers
from textbookgen_megatron.backend.train_state import TrainState


def _torch_optimizers(train_state: TrainState) -> Iterator[Any]:
    """Yield the distributed optimizers that wrap torch's AdamW."""
    if not HAVE_APEX_OR_TE:
        optimizers = inner_optimizers(train_state.optimizer)
        yield from (optimizer for optimizer in optimizers if isinstance(optimizer, DistributedOptimizer))


def before_load(train_state: TrainState) -> None:
    """Make AdamW create its state, by a step with learning rate zero, so that there is a step count to read."""
    for wrapper in _torch_optimizers(train_state):
        if wrapper.optimizer.state:
            continue
        rates = [group["lr"] for group in wrapper.optimizer.param_groups]
        for group in wrapper.optimizer.param_groups:
            group["lr"] = 0.0
        wrapper._init_optimizer_states_with_dummy_values()
        for group, rate in zip(wrapper.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def after_load(train_state: TrainState) -> None:
    """Give each parameter its own step count."""
    for wrapper in _torch_optimizers(train_state):
        for state in wrapper.optimizer.state.values():
            state["step"] = state["step"].clone()


def _copy_state_except_step(self: Any, model_param: Tensor, tensors: dict[str, Tensor]) -> None:
    """Replace Megatron-core's `_set_main_param_and_optimizer_states`, which also copies the step count."""
    group, place = self.model_param_group_index_map[model_param]
    main = self.optimizer.param_groups[group]["params"][place]
    main.data.copy_(tensors["param"])
    for name, value in self.optimizer.state[main].items():
        if name != "step":
            value.copy_(tensors[name])


if not HAVE_APEX_OR_TE:
    DistributedOptimizer._set_main_param_and_optimizer_states = _copy_state_except_step
