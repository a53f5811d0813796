"""Lets Megatron-core 0.16 run on CPU tensors, where it names the CUDA device literally.

With CUDA this module does nothing: on GPUs, stock Megatron-core runs. Without CUDA, three kinds of names are redirected to
the CPU: devices passed to torch functions, some functions of `torch.cuda`, and the random number streams that Megatron-core
keeps for tensor parallelism. No arithmetic is changed.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped,misc"

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch._dynamo  # torch.optim imports it anyway; imported later, it would fail on the functions replaced here
from megatron.core.tensor_parallel import random as megatron_random
from torch.overrides import TorchFunctionMode

CPU = torch.device("cpu")


def _is_cuda(device: object) -> bool:
    if isinstance(device, torch.device):
        return device.type == "cuda"
    return isinstance(device, str) and device.startswith("cuda")


class _CudaToCpuMode(TorchFunctionMode):
    """Rewrites device arguments, and prefixes tensor type names as Megatron-core compares them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if options and _is_cuda(options.get("device")):
            options["device"] = CPU
        if func is torch.Tensor.cuda:
            return args[0]
        if func is torch.Tensor.type and len(args) == 1 and not options:
            return func(*args).replace("torch.", "torch.cuda.", 1)
        if func is torch.Tensor.to and len(args) > 1 and _is_cuda(args[1]):
            args = (args[0], CPU, *args[2:])
        return func(*args, **options)


class _IdleStream:
    """A stand-in for a CUDA stream or event whose work is always complete: CPU calls are synchronous."""

    cuda_stream = 0

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> _IdleStream:
        return self

    def __exit__(self, *_: object) -> None: ...

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: object) -> float:
        return 0.0

    def record_event(self, event: object = None) -> object:
        return event or _IdleStream()

    def _no_op(self, *_: Any, **__: Any) -> None: ...

    record = wait = synchronize = wait_stream = wait_event = _no_op


class _CpuRngStatesTracker(megatron_random.CudaRNGStatesTracker):
    """Named random number streams that share the CPU generator."""

    def add(self, name: str, seed: int) -> None:
        self._is_initialized = True
        if seed in self.seeds_ or name in self.states_:
            raise ValueError(f"random stream {name} with seed {seed} already exists")
        self.seeds_.add(seed)
        self.states_[name] = torch.Generator("cpu").manual_seed(seed).get_state()

    _current_state_name: str

    @contextlib.contextmanager
    def fork(self, name: str = "model-parallel-rng") -> Iterator[None]:
        outer_name, outer = self._current_state_name, torch.get_rng_state()
        if outer_name != "default-rng":
            self.states_[outer_name] = outer
        torch.set_rng_state(self.states_[name])
        self._current_state_name = name
        try:
            yield
        finally:
            self.states_[name] = torch.get_rng_state()
            torch.set_rng_state(outer if outer_name == "default-rng" else self.states_[outer_name])
            self._current_state_name = outer_name


def _no_op(*_: Any, **__: Any) -> None: ...


def _replace_functions() -> None:
    """Replace the functions of `torch.cuda` that Megatron-core calls by CPU versions; safe to call twice."""
    idle = _IdleStream()
    replacements: dict[str, Any] = {
        "current_device": lambda: CPU,
        "device_count": lambda: 0,
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: torch.set_rng_state(state),
        "manual_seed": torch.default_generator.manual_seed,  # not manual_seed_all: torch.manual_seed itself calls that
        "current_stream": lambda *_: idle,
        "default_stream": lambda *_: idle,
        "stream": lambda stream=None: contextlib.nullcontext(),
        "Stream": _IdleStream,
        "Event": _IdleStream,
        **dict.fromkeys(("set_device", "synchronize", "empty_cache"), _no_op),
        **dict.fromkeys(("memory_allocated", "max_memory_allocated", "memory_reserved"), lambda *_: 0),
    }
    for name, replacement in replacements.items():
        setattr(torch.cuda, name, replacement)
    for name in ("range_push", "range_pop"):
        setattr(torch.cuda.nvtx, name, _no_op)
    megatron_random._get_cuda_rng_state = lambda device="cuda", clone=False, graph_safe=False: torch.get_rng_state()
    megatron_random._set_cuda_rng_state = lambda state, device=-1, graph_safe=False: torch.set_rng_state(state)
    megatron_random.CudaRNGStatesTracker = _CpuRngStatesTracker


@contextlib.contextmanager
def redirect_cuda_to_cpu() -> Iterator[None]:
    """Run Megatron-core on the CPU within this context, in this thread; does nothing if CUDA is available."""
    if torch.cuda.is_available():
        yield
        return
    _replace_functions()
    with _CudaToCpuMode():
        yield
