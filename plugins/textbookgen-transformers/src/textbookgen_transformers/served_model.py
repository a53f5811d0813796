"""A trained model as the host process sees it: the client of a serving process."""

from __future__ import annotations

import sys
from pathlib import Path

from textbookgen.training.model_client import TokenModelClient

#: Never look for models on the internet.
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class TransformersModel(TokenModelClient):
    """The model of a checkpoint of this plugin, or of one exported for transformers."""

    def __init__(self, checkpoint: Path) -> None:
        command = [sys.executable, "-m", "textbookgen_transformers.serving.server", str(checkpoint)]
        super().__init__(command, checkpoint, _ENVIRONMENT)
