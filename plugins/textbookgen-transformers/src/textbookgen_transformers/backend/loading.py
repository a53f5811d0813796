"""Opens folders that `save_pretrained` wrote, and reports what is wrong with them."""

# transformers' types are partial
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from textbookgen import TrainerError

_HINT = "write the folder again: train or export again, or call save_pretrained"


def load_config(folder: Path) -> PretrainedConfig:
    """Load the configuration in a folder.

    Raises:
        TrainerError: it is missing or corrupt.
    """
    with _errors_at(folder / "config.json"):
        config: PretrainedConfig = AutoConfig.from_pretrained(folder)
        return config


def load_model(folder: Path, config: PretrainedConfig | None = None) -> PreTrainedModel:
    """Load the model in a folder, in float32, with its own configuration or another one.

    Raises:
        TrainerError: a file is missing or corrupt, or the files are not of one model.
    """
    config = config or load_config(folder)
    with _errors_at(folder):
        loaded: Any = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32, output_loading_info=True)
    model: PreTrainedModel = loaded[0]
    if missing := sorted(loaded[1]["missing_keys"]):  # transformers only warns, and initializes them randomly
        raise TrainerError(f"the weights lack {', '.join(missing[:3])}", place=str(folder), hint=_HINT)
    return model


@contextmanager
def _errors_at(place: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # corrupt files may fail anywhere in transformers, which has no error class for it
        first_line = next(iter(str(error).strip().splitlines()), "")
        problem = f"it cannot be opened: {type(error).__name__}: {first_line}"
        raise TrainerError(problem, place=str(place), hint=_HINT) from None
