"""Devices, process groups and collectives: the only module that distinguishes CPUs from GPUs."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.tensor_parallel import model_parallel_cuda_manual_seed

from textbookgen_megatron.backend.cpu import redirect_cuda_to_cpu

CUDA = torch.cuda.is_available()
#: Sums are float64 where the collective backend allows it at no cost.
_SUM_DTYPE = torch.float32 if CUDA else torch.float64


def device() -> torch.device:
    """Return the device of this process."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if CUDA else torch.device("cpu")


@contextlib.contextmanager
def process_groups(tensor_parallel: int = 1, pipeline_parallel: int = 1) -> Iterator[None]:
    """Join the processes of a job and create the tensor, pipeline and data parallel groups; destroy them on exit.

    Ranks are read from the environment, as set by `textbookgen_megatron.launching.local` and `torchrun`. Without `RANK`
    the world size is 1.

    Args:
        tensor_parallel: Tensor parallel size.
        pipeline_parallel: Pipeline parallel size.
    """
    with redirect_cuda_to_cpu(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Megatron-core calls deprecated torch functions in every step
        _init_process_group()
        parallel_state.initialize_model_parallel(
            tensor_model_parallel_size=tensor_parallel, pipeline_model_parallel_size=pipeline_parallel
        )
        try:
            yield
        finally:
            parallel_state.destroy_model_parallel()
            dist.destroy_process_group()


def _init_process_group() -> None:
    backend = "nccl" if CUDA else "gloo"
    if CUDA:
        torch.cuda.set_device(device())
    if "RANK" not in os.environ:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
    elif rendezvous := os.environ.get("TEXTBOOKGEN_RENDEZVOUS_FILE"):
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        dist.init_process_group(backend, init_method=f"file://{rendezvous}", rank=rank, world_size=size)
    else:
        dist.init_process_group(backend)


def set_seed(seed: int) -> None:
    """Seed all random number generators; those of tensor parallel regions get a different seed on each rank."""
    torch.manual_seed(seed)
    model_parallel_cuda_manual_seed(seed)


def is_rank_zero() -> bool:
    """Return whether this is the process that writes files."""
    return dist.get_rank() == 0


def data_parallel_rank() -> int:
    """Return the rank of this process in its data parallel group."""
    return int(parallel_state.get_data_parallel_rank())


def data_parallel_size() -> int:
    """Return the data parallel size."""
    return int(parallel_state.get_data_parallel_world_size())


def pipeline_rank() -> int:
    """Return the pipeline stage of this process, counted from 0."""
    return int(parallel_state.get_pipeline_model_parallel_rank())


def pipeline_size() -> int:
    """Return the number of pipeline stages."""
    return int(parallel_state.get_pipeline_model_parallel_world_size())


def is_last_stage() -> bool:
    """Return whether this process has the last layers of the model, and so computes the loss."""
    return pipeline_rank() == pipeline_size() - 1


def broadcast_from_last_stage(values: list[float]) -> list[float]:
    """Return the values that the last pipeline stage passes, on every stage.

    Args:
        values: As many values on every stage; only those of the last stage count.
    """
    if pipeline_size() == 1:
        return values
    buffer = torch.tensor(values, dtype=_SUM_DTYPE, device=device())
    dist.broadcast(
        buffer,
        parallel_state.get_pipeline_model_parallel_last_rank(),
        group=parallel_state.get_pipeline_model_parallel_group(),
    )
    return [float(value) for value in buffer.tolist()]


def sum_over_data_parallel(values: list[float]) -> list[float]:
    """Return the element-wise sums over the data parallel group."""
    totals = torch.tensor(values, dtype=_SUM_DTYPE, device=device())
    if data_parallel_size() > 1:
        dist.all_reduce(totals, group=parallel_state.get_data_parallel_group())
    return [float(total) for total in totals.tolist()]


def any_process(flag: bool) -> bool:
    """Return whether the flag is set in any process of the job."""
    if dist.get_world_size() == 1:
        return flag
    flags = torch.tensor([int(flag)], device=device())
    dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return bool(flags.item())
