"""Monitoring beyond metrics.jsonl: TensorBoard event files, and a profile of one step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

from textbookgen import TrainerError
from textbookgen_megatron.backend.device import CUDA

Result = TypeVar("Result")


class TensorBoardWriter:
    """Writes the metrics for TensorBoard, to `tensorboard/` in the checkpoint folder.

    A resumed run writes a new event file; TensorBoard drops the events of later steps from older files (`purge_step`).

    Raises:
        TrainerError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            raise TrainerError(
                "tensorboard is not installed",
                place="tensorboard",
                hint="pip install 'textbookgen-megatron[tensorboard]', or remove the option",
            ) from None
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)  # type: ignore[no-untyped-call,unused-ignore]

    def add(self, line: dict[str, Any]) -> None:
        """Write a line of metrics.jsonl."""
        for name, value in line.items():
            if name not in ("step", "steps") and value is not None:
                self._writer.add_scalar(name, value, line["step"])

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


def profile_call(function: Callable[[], Result], folder: Path) -> Result:
    """Call a function under torch's profiler and return its result.

    Writes `profile.txt`, a table of the time by operation, and `profile.json`, a trace for chrome://tracing or Perfetto.
    """
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if CUDA else [])]
    with profile(activities=activities) as profiler:
        result = function()
        if CUDA:
            torch.cuda.synchronize()
    sort_key = "self_cuda_time_total" if CUDA else "self_cpu_time_total"
    table = profiler.key_averages().table(sort_by=sort_key, row_limit=40, max_name_column_width=80)
    (folder / "profile.txt").write_text(table + "\n", encoding="utf-8")
    profiler.export_chrome_trace(str(folder / "profile.json"))
    return result
