"""Opens what save_pretrained wrote, and says in words what is wrong with it."""

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

_ANEW = "write the folder anew: train or export again, or call save_pretrained"


def config_at(folder: Path) -> PretrainedConfig:
    """The configuration of a folder.

    Raises:
        TrainerError: it is missing or torn.
    """
    with _in_words(folder / "config.json"):
        config: PretrainedConfig = AutoConfig.from_pretrained(folder)
        return config


def model_at(folder: Path, config: PretrainedConfig | None = None) -> PreTrainedModel:
    """The model of a folder, in float32, as its own configuration tells or another one.

    Raises:
        TrainerError: its files are missing or torn, or not of one model.
    """
    config = config or config_at(folder)
    with _in_words(folder):
        result: Any = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32, output_loading_info=True)
    model: PreTrainedModel = result[0]
    if missing := sorted(result[1]["missing_keys"]):  # transformers would draw them, and say so in a warning only
        raise TrainerError(f"the weights have no {', '.join(missing[:3])}", place=str(folder), hint=_ANEW)
    return model


@contextmanager
def _in_words(place: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # what is torn may fail in any part of transformers, which wraps nothing
        told = next(iter(str(error).strip().splitlines()), "")
        raise TrainerError(f"it cannot be opened: {type(error).__name__}: {told}", place=str(place), hint=_ANEW) from None
