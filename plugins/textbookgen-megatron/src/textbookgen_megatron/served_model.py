"""A trained model as the host process sees it: the client of a serving process."""

from __future__ import annotations

import sys
from pathlib import Path

from textbookgen.training.model_client import TokenModelClient


class MegatronModel(TokenModelClient):
    """The model of a checkpoint written by this plugin, or of a folder in the format of transformers."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__([sys.executable, "-m", "textbookgen_megatron.serving.server", str(checkpoint)], checkpoint)
