"""Everything that needs torch and Megatron-core; importing this package makes Megatron-core fit for the machine at hand.

Nothing outside imports it but the processes of this plugin: the trainer and the writer of token files.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def _as_it_is(function: Any = None, **_: Any) -> Any:
    """Stands in for `torch.compile` as a decorator."""
    return function if function is not None else _as_it_is


@contextmanager
def _eager_fusions() -> Iterator[None]:
    """Keeps Megatron-core from compiling while it is imported.

    On CPU its fused kernels are off, yet decorating them alone loads the compiler: 1.7 of 3.5 seconds of start-up.
    """
    compile_ = torch.compile
    if not torch.cuda.is_available():
        setattr(torch, "compile", _as_it_is)  # noqa: B010
    try:
        yield
    finally:
        setattr(torch, "compile", compile_)  # noqa: B010


with warnings.catch_warnings(), _eager_fusions():
    warnings.simplefilter("ignore")  # deprecations inside Megatron-core, and that TransformerEngine and Apex are not there
    import megatron.core.dist_checkpointing
    import megatron.core.distributed
    import megatron.core.models.gpt.gpt_layer_specs
    import megatron.core.optimizer
    import megatron.core.optimizer_param_scheduler
    import megatron.core.pipeline_parallel  # noqa: F401
