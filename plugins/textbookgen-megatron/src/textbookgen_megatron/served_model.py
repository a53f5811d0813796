"""A trained model as the host sees it: the far end of a serving process."""

from __future__ import annotations

import sys
from pathlib import Path

from textbookgen.training.model_client import ServedTokenModel


class MegatronModel(ServedTokenModel):
    """The model of a checkpoint of this plugin, or of a folder of transformers."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__([sys.executable, "-m", "textbookgen_megatron.serving.server", str(checkpoint)], checkpoint)
