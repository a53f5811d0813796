"""Base class of the stages that convert checkpoints."""

from __future__ import annotations

import sys

from textbookgen import Job, Trainer


class Conversion(Trainer):
    """A conversion of a checkpoint, which runs in a separate process with torch."""

    def command(self, job: Job) -> list[str]:
        """Return the command that converts."""
        return [sys.executable, "-m", "textbookgen_megatron.exchange.convert", str(job.path)]
