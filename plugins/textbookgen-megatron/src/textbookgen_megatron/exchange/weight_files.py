"""Weight files in the format of transformers: safetensors, or older pickled `.bin` files for reading."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from textbookgen import TrainerError
from textbookgen.api.files import write_json
from textbookgen_megatron.exchange.weight_names import GetTensor

#: Maximum size of a file in bytes, as in transformers.
MAX_FILE_BYTES = 5 * 10**9
SAFETENSORS, SAFETENSORS_INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


_HINT = "use a folder written by transformers' save_pretrained, or download it again"


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        TrainerError: The file is missing or does not contain a JSON object.
    """
    if not path.is_file():
        raise TrainerError(f"there is no {path.name}", place=str(path.parent), hint=_HINT)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainerError(f"the file is not valid JSON: {error}", place=str(path), hint=_HINT) from None
    if not isinstance(value, dict):
        raise TrainerError("the file does not contain a JSON object", place=str(path), hint=_HINT)
    return value


class WeightReader:
    """The weights of a folder, read one at a time."""

    def __init__(self, folder: Path, sources: dict[str, Any]) -> None:
        self._folder, self._sources = folder, sources

    def __contains__(self, name: str) -> bool:
        return name in self._sources

    def __call__(self, name: str) -> Tensor:
        """Return a tensor as float32 on the CPU.

        Raises:
            TrainerError: There is no tensor with this name.
        """
        if name not in self._sources:
            raise TrainerError(
                f"the weights have no tensor {name}",
                place=str(self._folder),
                hint="weights and config.json must belong to the same model",
            )
        source = self._sources[name]
        tensor: Tensor = source if isinstance(source, Tensor) else source.get_tensor(name)
        return tensor.float()


@contextmanager
def open_weights(folder: Path) -> Iterator[WeightReader]:
    """Open the weight files of a folder within a context.

    Raises:
        TrainerError: There are none, or one cannot be read.
    """
    with ExitStack() as stack:
        if names := _file_names(folder, SAFETENSORS_INDEX, SAFETENSORS):
            files = [stack.enter_context(_open_safetensors(folder / name)) for name in names]
            yield WeightReader(folder, {key: file for file in files for key in file.keys()})  # noqa: SIM118
        elif names := _file_names(folder, PICKLED_INDEX, PICKLED):
            tensors: dict[str, Any] = {}
            for name in names:
                tensors |= _load_pickled(folder / name)
            yield WeightReader(folder, tensors)
        else:
            problem = f"there is no {SAFETENSORS}, {SAFETENSORS_INDEX} or {PICKLED}"
            raise TrainerError(problem, place=str(folder), hint=_HINT)


def _open_safetensors(path: Path) -> Any:
    """Open a safetensors file.

    Raises:
        TrainerError: It is missing or truncated.
    """
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise TrainerError(f"the weights cannot be read: {error}", place=str(path), hint=_HINT) from None


def _load_pickled(path: Path) -> dict[str, Tensor]:
    """Load a pickled state dict, with tensors mapped into memory; only tensors are unpickled.

    Raises:
        TrainerError: It is missing, truncated or contains other objects.
    """
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise TrainerError(f"the weights cannot be read: {error}", place=str(path), hint=_HINT) from None


def _file_names(folder: Path, index: str, single: str) -> list[str]:
    """Return the files that an index lists, or the single file; an empty list if there is neither.

    Raises:
        TrainerError: The index is invalid.
    """
    if (folder / index).is_file():
        weight_map = read_json(folder / index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise TrainerError("the index has no weight_map", place=str(folder / index), hint=_HINT)
        return sorted(set(weight_map.values()))
    return [single] if (folder / single).is_file() else []


def write_weights(tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype, folder: Path) -> None:
    """Write named tensors to safetensors files of at most 5 GB, with an index if there are several.

    Args:
        tensors: Names and tensors, consumed one at a time.
        dtype: dtype to write.
        folder: Folder to write to.
    """
    written: list[dict[str, int]] = []
    pending: dict[str, Tensor] = {}
    for name, tensor in tensors:
        converted = tensor.to(dtype).clone(memory_format=torch.contiguous_format)
        if pending and sum(item.nbytes for item in pending.values()) + converted.nbytes > MAX_FILE_BYTES:
            written.append(_write_part(pending, folder, len(written)))
            pending = {}
        pending[name] = converted
    written.append(_write_part(pending, folder, len(written)))
    _rename_parts(written, folder)


def _write_part(tensors: dict[str, Tensor], folder: Path, number: int) -> dict[str, int]:
    """Write a file under a temporary name, and return the size of each of its tensors in bytes."""
    save_file(tensors, folder / f"{number}.part", metadata={"format": "pt"})
    return {name: tensor.nbytes for name, tensor in tensors.items()}


def _rename_parts(parts: list[dict[str, int]], folder: Path) -> None:
    """Give the files the names that transformers expects, which contain the number of files."""
    if len(parts) == 1:
        (folder / "0.part").replace(folder / SAFETENSORS)
        return
    weight_map: dict[str, str] = {}
    for number, names in enumerate(parts):
        file = f"model-{number + 1:05}-of-{len(parts):05}.safetensors"
        (folder / f"{number}.part").replace(folder / file)
        weight_map |= dict.fromkeys(names, file)
    total = sum(size for names in parts for size in names.values())
    write_json(folder / SAFETENSORS_INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


@contextmanager
def open_safetensors(path: Path) -> Iterator[GetTensor]:
    """Yield a function that reads the tensors of one safetensors file by name."""
    with safe_open(path, "pt") as file:
        yield file.get_tensor
