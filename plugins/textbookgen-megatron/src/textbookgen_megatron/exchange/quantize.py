"""Weight-only quantization of the matrices of layers, and its effect on the loss.

Symmetric, round to nearest, group-wise: a number of consecutive weights of a row share a scale, which maps the largest of them
to the largest integer. This is the usual baseline without calibration data (RTN in GPTQ, arXiv 2210.17323). Embeddings, output
layer, norms and biases are not quantized.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from textbookgen.api.files import atomic_path
from textbookgen.training.shards import PackedShards
from textbookgen_megatron.torch_model import TorchModel

FILE = "weights.quantized.safetensors"
#: Largest integer by number of bits; the range is symmetric.
MAX_LEVEL = {8: 127, 4: 7}


def quantize(weight: Tensor, bits: int, group_size: int) -> tuple[Tensor, Tensor]:
    """Quantize a matrix.

    Args:
        weight: The matrix, float `[rows, columns]`.
        bits: 8 or 4.
        group_size: Consecutive weights of a row that share a scale.

    Returns:
        The integers, int8 `[rows, columns]` for 8 bits, uint8 `[rows, ceil(columns / 2)]` for 4 bits (two per byte, each
        plus 8, the first in the low bits), and the scales, float16 `[rows, ceil(columns / group_size)]`.
    """
    rows, columns = weight.shape
    groups = functional.pad(weight.float(), (0, -columns % group_size)).view(rows, -1, group_size)
    scales = (groups.abs().amax(-1) / MAX_LEVEL[bits]).clamp_min(torch.finfo(torch.float16).tiny).half()
    levels = (groups / scales.float()[..., None]).round().clamp(-MAX_LEVEL[bits], MAX_LEVEL[bits])
    integers = levels.view(rows, -1)[:, :columns].to(torch.int8)
    return (integers if bits == 8 else _pack_nibbles(integers)), scales


def dequantize(integers: Tensor, scales: Tensor, bits: int, group_size: int, columns: int) -> Tensor:
    """Return the float32 matrix `[rows, columns]` of integers and scales as returned by `quantize`."""
    levels = integers if bits == 8 else _unpack_nibbles(integers)[:, :columns]
    return levels.float() * scales.float().repeat_interleave(group_size, 1)[:, :columns]


def _pack_nibbles(integers: Tensor) -> Tensor:
    """Pack int8 `[rows, columns]` in -8..7 into uint8 `[rows, ceil(columns / 2)]`."""
    shifted = functional.pad(integers, (0, integers.size(1) % 2)).to(torch.int16) + 8
    return (shifted[:, ::2] | (shifted[:, 1::2] << 4)).to(torch.uint8)


def _unpack_nibbles(pairs: Tensor) -> Tensor:
    """Unpack uint8 `[rows, pairs]` into int8 `[rows, 2 * pairs]`."""
    shifted = torch.stack([pairs & 15, pairs >> 4], -1).flatten(1)
    return shifted.to(torch.int8) - 8


def is_quantized(name: str, weight: Tensor) -> bool:
    """Return whether a tensor, by its name in either format, is a matrix of a layer."""
    return weight.dim() == 2 and (".layers." in name or ".h." in name)


def write(weights: Iterable[tuple[str, Tensor]], bits: int, group_size: int, folder: Path) -> int:
    """Write weights to `FILE`: quantized matrices as NAME.numbers and NAME.scales, other tensors in float16.

    Returns:
        The size of the file in bytes.
    """
    tensors: dict[str, Tensor] = {}
    for name, weight in weights:
        if is_quantized(name, weight):
            integers, scales = quantize(weight, bits, group_size)
            tensors |= {f"{name}.numbers": integers.contiguous(), f"{name}.scales": scales.contiguous()}
        else:
            tensors[name] = weight.half().contiguous()
    with atomic_path(folder / FILE) as path:
        save_file(tensors, path, {"bits": str(bits), "group_size": str(group_size)})
    return (folder / FILE).stat().st_size


def read(folder: Path, columns: dict[str, int]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of `FILE` by name, dequantized to float32.

    Args:
        folder: Folder of the file.
        columns: Number of columns of each quantized matrix by name, which packed integers do not determine.
    """
    with safe_open(folder / FILE, "pt") as file:
        metadata = file.metadata()
        bits, group_size = int(metadata["bits"]), int(metadata["group_size"])
        names = list(file.keys())
        for name in names:
            if name.endswith(".numbers"):
                matrix = name.removesuffix(".numbers")
                scales = file.get_tensor(f"{matrix}.scales")
                yield matrix, dequantize(file.get_tensor(name), scales, bits, group_size, columns[matrix])
            elif not name.endswith(".scales"):
                yield name, file.get_tensor(name).float()


def round_trip(model: TorchModel, bits: int, group_size: int) -> TorchModel:
    """Return a copy of the model with its matrices quantized and dequantized."""
    weights: dict[str, Tensor] = {}
    for name, weight in model.weights.items():
        if is_quantized(name, weight):
            weights[name] = dequantize(*quantize(weight, bits, group_size), bits, group_size, weight.size(1))
        else:
            weights[name] = weight
    return TorchModel(model.shape, weights, model.device)


@torch.inference_mode()
def evaluate(model: TorchModel, shards: PackedShards, max_tokens: int) -> dict[str, float]:
    """Evaluate a model on the first held-out documents, each read separately from its start.

    Args:
        model: The model.
        shards: Shards with a validation split.
        max_tokens: Number of tokens of the loss mask after which evaluation stops.

    Returns:
        `bits_per_byte` and `perplexity` (per token).
    """
    nats, tokens, length = 0.0, 0, model.shape.sequence_length
    file, mask = shards.file("valid"), shards.mask("valid")
    for number in range(len(file)):
        ids = torch.tensor([shards.eod, *file.read(number).tolist()], device=model.device)
        in_loss = torch.tensor([0, *([1] * (len(ids) - 1) if mask is None else mask.read(number).tolist())], device=ids.device)
        for start in range(0, len(ids) - 1, length):
            window, window_mask = ids[start : start + length + 1], in_loss[start + 1 : start + length + 1]
            logits = model.logits(model.hidden(window[None, :-1])[0])[0]
            losses = functional.cross_entropy(logits.float(), window[1:], reduction="none")
            nats += float((losses * window_mask).sum())
            tokens += int(window_mask.sum())
        if tokens >= max_tokens:
            break
    mean = nats / max(tokens, 1)
    return {
        "bits_per_byte": mean / math.log(2) / shards.counts("valid").bytes_per_token,
        "perplexity": math.exp(mean),
    }
