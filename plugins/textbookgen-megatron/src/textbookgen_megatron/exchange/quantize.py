"""Rounds the matrices of layers to few bits, and measures what that costs.

Symmetric and by groups: so many numbers of a row share a scale, the largest of them at the end of the range, and are rounded
to the nearest step. That is how weights alone are usually rounded where nothing is calibrated (as in GPTQ's baseline, arXiv
2210.17323); embeddings, head, norms and biases stay as they are.
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

from textbookgen.training.shards import PackedShards
from textbookgen_megatron.torch_model import Network

FILE = "weights.quantised.safetensors"
#: Bits, and the largest number that they hold on either side of zero.
LARGEST = {8: 127, 4: 7}


def rounded(weight: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor]:
    """A matrix as whole numbers, and a scale in float16 for each group of a row.

    Eight bits are int8 of the same shape; four are uint8, two numbers a byte, the first one low, each with 8 added.
    """
    rows, columns = weight.shape
    grouped = functional.pad(weight.float(), (0, -columns % group)).view(rows, -1, group)
    scales = (grouped.abs().amax(-1) / LARGEST[bits]).clamp_min(torch.finfo(torch.float16).tiny).half()
    numbers = (grouped / scales.float()[..., None]).round().clamp(-LARGEST[bits], LARGEST[bits])
    whole = numbers.view(rows, -1)[:, :columns].to(torch.int8)
    return (whole if bits == 8 else _in_pairs(whole)), scales


def restored(numbers: Tensor, scales: Tensor, bits: int, group: int, columns: int) -> Tensor:
    """The matrix that whole numbers and scales stand for, in float32."""
    whole = numbers if bits == 8 else _apart(numbers)[:, :columns]
    return whole.float() * scales.float().repeat_interleave(group, 1)[:, :columns]


def _in_pairs(whole: Tensor) -> Tensor:
    raised = functional.pad(whole, (0, whole.size(1) % 2)).to(torch.int16) + 8
    return (raised[:, ::2] | (raised[:, 1::2] << 4)).to(torch.uint8)


def _apart(pairs: Tensor) -> Tensor:
    raised = torch.stack([pairs & 15, pairs >> 4], -1).flatten(1)
    return raised.to(torch.int8) - 8


def is_rounded(name: str, weight: Tensor) -> bool:
    """Whether a tensor is a matrix of a layer."""
    return weight.dim() == 2 and (".layers." in name or ".h." in name)


def write(named: Iterable[tuple[str, Tensor]], bits: int, group: int, out: Path) -> int:
    """Writes the tensors, each matrix of a layer as `NAME.numbers` and `NAME.scales`; gives the file's size in bytes."""
    tensors: dict[str, Tensor] = {}
    for name, weight in named:
        if is_rounded(name, weight):
            numbers, scales = rounded(weight, bits, group)
            tensors |= {f"{name}.numbers": numbers.contiguous(), f"{name}.scales": scales.contiguous()}
        else:
            tensors[name] = weight.half().contiguous()
    beside = out / f"{FILE}.tmp"
    save_file(tensors, beside, {"bits": str(bits), "group": str(group)})
    beside.replace(out / FILE)
    return (out / FILE).stat().st_size


def read(folder: Path, columns: dict[str, int]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of such a file in float32; `columns` has the width of each matrix that was rounded."""
    with safe_open(folder / FILE, "pt") as file:
        facts = file.metadata()
        names = list(file.keys())
        for name in names:
            if name.endswith(".numbers"):
                whole = name.removesuffix(".numbers")
                scales = file.get_tensor(f"{whole}.scales")
                numbers = file.get_tensor(name)
                yield whole, restored(numbers, scales, int(facts["bits"]), int(facts["group"]), columns[whole])
            elif not name.endswith(".scales"):
                yield name, file.get_tensor(name).float()


def approximate(network: Network, bits: int, group: int) -> Network:
    """The network with its matrices rounded and restored."""
    weights: dict[str, Tensor] = {}
    for name, weight in network.weights.items():
        if is_rounded(name, weight):
            weights[name] = restored(*rounded(weight, bits, group), bits, group, weight.size(1))
        else:
            weights[name] = weight
    return Network(network.shape, weights, network.device)


@torch.inference_mode()
def measured(network: Network, shards: PackedShards, limit: int) -> tuple[float, int]:
    """Nats and learned tokens of held-out documents, each read alone and from its start, in windows; the first ones, up to
    `limit` tokens."""
    nats, tokens, length = 0.0, 0, network.shape.sequence_length
    file, mask = shards.file("valid"), shards.mask("valid")
    for number in range(len(file)):
        ids = torch.tensor([shards.eod, *file.read(number).tolist()], device=network.device)
        learned = torch.tensor([0, *([1] * (len(ids) - 1) if mask is None else mask.read(number).tolist())], device=ids.device)
        for start in range(0, len(ids) - 1, length):
            shown, counted = ids[start : start + length + 1], learned[start + 1 : start + length + 1]
            logits = network.logits(network.hidden(shown[None, :-1])[0])[0]
            losses = functional.cross_entropy(logits.float(), shown[1:], reduction="none")
            nats += float((losses * counted).sum())
            tokens += int(counted.sum())
        if tokens >= limit:
            break
    return nats, tokens


def figures(nats: float, tokens: int, bytes_per_token: float) -> dict[str, float]:
    """Bits a byte, and perplexity: e to the nats a token."""
    mean = nats / max(tokens, 1)
    return {"bits_per_byte": mean / math.log(2) / bytes_per_token, "perplexity": math.exp(mean)}
