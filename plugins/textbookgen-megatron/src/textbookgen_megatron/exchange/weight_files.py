"""Folders of transformers: weights in safetensors files (or old `.bin` files), configuration and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from textbookgen import TrainerError
from textbookgen_megatron.exchange.weight_names import Get

#: Bytes of weights in one file; transformers' own habit.
FILE_BYTES = 5 * 10**9
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
OLD, OLD_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


def read_config(folder: Path) -> dict[str, Any]:
    """config.json.

    Raises:
        TrainerError: there is none.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise TrainerError(
            "there is no config.json", place=str(folder), hint="give a folder as transformers' save_pretrained writes it"
        )
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise TrainerError(f"it cannot be read: {error}", place=str(path), hint="write it anew with save_pretrained") from None


class Weights:
    """The tensors of a folder, read one at a time and as float32."""

    def __init__(self, folder: Path, files: dict[str, Any]) -> None:
        self._folder, self._files = folder, files

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __call__(self, name: str) -> Tensor:
        """The tensor of this name.

        Raises:
            TrainerError: there is none.
        """
        if name not in self._files:
            raise TrainerError(
                f"the weights have no tensor {name}",
                place=str(self._folder),
                hint="weights and config.json must be of one model",
            )
        result = self._files[name]
        tensor: Tensor = result if isinstance(result, Tensor) else result.get_tensor(name)
        return tensor.float()


@contextmanager
def open_weights(folder: Path) -> Iterator[Weights]:
    """The weights of a folder while this lasts.

    Raises:
        TrainerError: there are none.
    """
    with ExitStack() as stack:
        if names := _listed(folder, INDEX, SINGLE):
            opened = [stack.enter_context(_opened(folder / name)) for name in names]
            yield Weights(folder, {key: file for file in opened for key in file.keys()})  # noqa: SIM118
        elif names := _listed(folder, OLD_INDEX, OLD):
            loaded: dict[str, Any] = {}
            for name in names:
                loaded |= torch.load(folder / name, map_location="cpu", weights_only=True, mmap=True)
            yield Weights(folder, loaded)
        else:
            hint = "give a folder as transformers' save_pretrained writes it"
            raise TrainerError(f"there is no {SINGLE}, {INDEX} or {OLD}", place=str(folder), hint=hint)


def _opened(path: Path) -> Any:
    """A file of weights.

    Raises:
        TrainerError: it is missing or torn.
    """
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise TrainerError(f"it cannot be read: {error}", place=str(path), hint="fetch or write it anew") from None


def _listed(folder: Path, index: str, single: str) -> list[str]:
    if (folder / index).is_file():
        placed = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"]
        return sorted(set(placed.values()))
    return [single] if (folder / single).is_file() else []


def write_weights(tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype, folder: Path) -> int:
    """Writes tensors as they come, a file at a time and an index if there are several; gives how many numbers there were."""
    files: list[dict[str, int]] = []
    waiting: dict[str, Tensor] = {}
    numbers = 0
    for name, tensor in tensors:
        kept = tensor.to(dtype).clone(memory_format=torch.contiguous_format)
        if waiting and sum(item.nbytes for item in waiting.values()) + kept.nbytes > FILE_BYTES:
            files.append(_flush(waiting, folder, len(files)))
            waiting = {}
        waiting[name] = kept
        numbers += kept.numel()
    files.append(_flush(waiting, folder, len(files)))
    _name(files, folder)
    return numbers


def _flush(waiting: dict[str, Tensor], folder: Path, number: int) -> dict[str, int]:
    save_file(waiting, folder / f"{number}.part", metadata={"format": "pt"})
    return {name: tensor.nbytes for name, tensor in waiting.items()}


def _name(files: list[dict[str, int]], folder: Path) -> None:
    """Files get the names that transformers looks for, once it is known how many there are."""
    if len(files) == 1:
        (folder / "0.part").replace(folder / SINGLE)
        return
    placed: dict[str, str] = {}
    for number, names in enumerate(files):
        file = f"model-{number + 1:05}-of-{len(files):05}.safetensors"
        (folder / f"{number}.part").replace(folder / file)
        placed |= dict.fromkeys(names, file)
    total = sum(size for names in files for size in names.values())
    index = {"metadata": {"total_size": total}, "weight_map": placed}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def getter(folder: Path, weights: str) -> tuple[Get, ExitStack]:
    """Tensors of one safetensors file by name, and what closes it."""
    stack = ExitStack()
    opened = stack.enter_context(safe_open(folder / weights, "pt"))
    return opened.get_tensor, stack
