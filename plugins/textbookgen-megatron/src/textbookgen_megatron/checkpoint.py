"""What this plugin's trainers give and start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textbookgen import Checkpoint


@dataclass(frozen=True)
class MegatronCheckpoint(Checkpoint):
    """Weights by Megatron-core's names in one file, whatever the layout they were trained with, and the tokenizer."""

    name: ClassVar[str] = "MegatronCheckpoint"
