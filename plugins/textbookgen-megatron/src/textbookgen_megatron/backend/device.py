"""Where a process computes and how processes find each other: the only place that tells CPUs from GPUs."""

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

from textbookgen_megatron.backend.cpu import cpu_where_cuda_is_named

CUDA = torch.cuda.is_available()


def device() -> torch.device:
    """The device of this process."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if CUDA else torch.device("cpu")


@contextlib.contextmanager
def processes(tensor_parallel: int = 1, pipeline_parallel: int = 1) -> Iterator[None]:
    """Joins the processes of a job and splits them into tensor, pipeline and data parallel groups; leaves them at the end.

    Ranks come from the environment, as `textbookgen_megatron.launch` and `torchrun` set it; without, there is one process.
    """
    with cpu_where_cuda_is_named(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Megatron-core calls deprecated names of torch at every step
        _join()
        parallel_state.initialize_model_parallel(
            tensor_model_parallel_size=tensor_parallel, pipeline_model_parallel_size=pipeline_parallel
        )
        try:
            yield
        finally:
            parallel_state.destroy_model_parallel()
            dist.destroy_process_group()


def _join() -> None:
    backend = "nccl" if CUDA else "gloo"
    if CUDA:
        torch.cuda.set_device(device())
    if "RANK" not in os.environ:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
    elif meeting := os.environ.get("TEXTBOOKGEN_MEETING_FILE"):
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        dist.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=size)
    else:
        dist.init_process_group(backend)


def seed(number: int) -> None:
    """Starts every stream of random numbers afresh; those of tensor parallel regions differ between ranks."""
    torch.manual_seed(number)
    model_parallel_cuda_manual_seed(number)


def is_first() -> bool:
    """Whether this is the process that writes."""
    return dist.get_rank() == 0


def data_rank() -> tuple[int, int]:
    """Which share of each batch is this process's, and how many shares there are."""
    return parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()


def pipeline_rank() -> tuple[int, int]:
    """Which share of the layers is this process's, and how many shares there are."""
    return (
        parallel_state.get_pipeline_model_parallel_rank(),
        parallel_state.get_pipeline_model_parallel_world_size(),
    )


def is_last_stage() -> bool:
    """Whether this process has the model's last layers, and so knows the loss."""
    stage, stages = pipeline_rank()
    return stage == stages - 1


def from_last_stage(values: list[float] | None, count: int) -> list[float]:
    """Figures that only the last stage of a pipeline knows, for every stage of it."""
    if pipeline_rank()[1] == 1:
        assert values is not None
        return values
    told = torch.tensor(values or [0.0] * count, dtype=torch.float64 if not CUDA else torch.float32, device=device())
    dist.broadcast(
        told,
        parallel_state.get_pipeline_model_parallel_last_rank(),
        group=parallel_state.get_pipeline_model_parallel_group(),
    )
    return [float(item) for item in told.tolist()]


def add_up(values: list[float]) -> list[float]:
    """The sums over data parallel processes."""
    totals = torch.tensor(values, dtype=torch.float64 if not CUDA else torch.float32, device=device())
    if data_rank()[1] > 1:
        dist.all_reduce(totals, group=parallel_state.get_data_parallel_group())
    return [float(item) for item in totals.tolist()]


def any_process(yes: bool) -> bool:
    """Whether it is so in any process."""
    if dist.get_world_size() == 1:
        return yes
    flag = torch.tensor([int(yes)], device=device())
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag.item())
