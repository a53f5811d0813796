"""Training with torch and Megatron-core; importing this package prepares Megatron-core for the machine it runs on.

Only the training process imports it.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def _no_compile(function: Any = None, **_: Any) -> Any:
    """Replace `torch.compile`, with or without arguments, by a decorator that returns its function unchanged."""
    return function if function is not None else _no_compile


@contextmanager
def _eager_fusions() -> Iterator[None]:
    """Prevent Megatron-core from compiling functions while it is imported.

    On CPUs its fused kernels are disabled, yet decorating them alone loads the compiler: 1.7 of 3.5 seconds of start-up.
    """
    compile_ = torch.compile
    if not torch.cuda.is_available():
        setattr(torch, "compile", _no_compile)  # noqa: B010
    try:
        yield
    finally:
        setattr(torch, "compile", compile_)  # noqa: B010


with warnings.catch_warnings(), _eager_fusions():
    warnings.simplefilter("ignore")  # deprecations in Megatron-core, and notes that TransformerEngine and Apex are missing
    import megatron.core.dist_checkpointing
    import megatron.core.distributed
    import megatron.core.models.gpt.gpt_layer_specs
    import megatron.core.optimizer
    import megatron.core.optimizer_param_scheduler
    import megatron.core.pipeline_parallel  # noqa: F401
