"""A trained model as the host sees it: the far end of a serving process."""

from __future__ import annotations

import sys
from pathlib import Path

from textbookgen.training.model_client import ServedTokenModel

#: No looking for models on the internet.
_QUIET = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class TransformersModel(ServedTokenModel):
    """The model of a checkpoint of this plugin, or of one exported for transformers."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__([sys.executable, "-m", "textbookgen_transformers.serving.serve", str(checkpoint)], checkpoint, _QUIET)
