"""What people look into besides metrics.jsonl: TensorBoard's events, and a profile of one step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

from textbookgen import TrainerError
from textbookgen_megatron.backend.device import CUDA

Result = TypeVar("Result")


class Board:
    """The figures of metrics.jsonl as TensorBoard reads them, in the checkpoint's folder `tensorboard`.

    A run that was killed goes on in a file of its own: TensorBoard leaves out what an older one tells of the same steps.

    Raises:
        TrainerError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, first: int) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            raise TrainerError(
                "tensorboard is not installed", place="tensorboard", hint="pip install tensorboard, or take the option away"
            ) from None
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=first)  # type: ignore[no-untyped-call,unused-ignore]

    def add(self, line: dict[str, Any]) -> None:
        """Takes a line of metrics."""
        for name, value in line.items():
            if name not in ("step", "steps") and value is not None:
                self._writer.add_scalar(name, value, line["step"])

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


def profiled(work: Callable[[], Result], folder: Path) -> Result:
    """Does the work and writes where its time went: `profile.txt`, a table by operation, and `profile.json`, a trace for
    chrome://tracing or Perfetto."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if CUDA else [])]
    with profile(activities=activities) as seen:
        result = work()
        if CUDA:
            torch.cuda.synchronize()
    by = "self_cuda_time_total" if CUDA else "self_cpu_time_total"
    table = seen.key_averages().table(sort_by=by, row_limit=40, max_name_column_width=80)
    (folder / "profile.txt").write_text(table + "\n", encoding="utf-8")
    seen.export_chrome_trace(str(folder / "profile.json"))
    return result
