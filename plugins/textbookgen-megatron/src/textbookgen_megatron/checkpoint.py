"""The artifact that the trainers of this plugin output and start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textbookgen import Checkpoint

#: The format in the card of a checkpoint of this plugin.
FORMAT = "megatron"


@dataclass(frozen=True)
class MegatronCheckpoint(Checkpoint):
    """Weights under Megatron-core's names in one safetensors file, independent of the parallel layout, and the tokenizer."""

    name: ClassVar[str] = "MegatronCheckpoint"
