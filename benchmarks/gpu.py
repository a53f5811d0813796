"""Measures training of phi-1-small and phi-1 on one GPU: tokens per second, and utilization.

    python benchmarks/gpu.py                              # both shapes, 30 steps each
    python benchmarks/gpu.py --shapes phi-1 --micro-batch 8 --activation-checkpointing

First, the achievable FLOP/s are measured with bfloat16 matrix products: a large square one, and those of each model's layers.
Then a job of `megatron/pretrain` runs as the engine starts it, on random tokens; the result is the median over steps after the
first ten, without the profiled step. Utilization is model FLOPs (without those of activation checkpointing) relative to the
vendor's peak and to the square product. Finally, the time of a step is broken down by kind of kernel. The last line of output
is JSON. Without a GPU, the exit code is 2.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.pretrain import Pretrain

from textbookgen.api.cards import CheckpointCard
from textbookgen.api.stage import Job
from textbookgen.builtin.stages.pack.indexed_writer import TokenFileWriter
from textbookgen.training.architectures import resolve_shape
from textbookgen.training.metrics import gpu_peak_flops

WINDOW, VOCABULARY, BATCH = 2_048, 51_200, 32
#: Kinds of kernels by regular expressions of their names; the first match counts.
KINDS = {
    "attention": r"flash|fmha|attention|cudnn.*sdpa",
    "matrix products": r"gemm|cutlass|nvjet|sm\d\d_xmma|cublas",
    "optimizer": r"adam|multi_tensor",
    "norms": r"norm",
    "softmax and loss": r"softmax|cross_entropy|logsumexp",
    "copies": r"memcpy|memset|copy",
    "communication": r"nccl",
}


def product(m: int, n: int, k: int, seconds: float = 1.0) -> float:
    """Return the FLOP/s of bfloat16 products `[m, k] @ [k, n]`, the median over batches of ten."""
    a, b = (torch.randn(shape, device="cuda", dtype=torch.bfloat16) for shape in ((m, k), (k, n)))
    for _ in range(10):
        a @ b
    torch.cuda.synchronize()
    rates, started = [], time.perf_counter()
    while time.perf_counter() - started < seconds:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(10):
            a @ b
        end.record()
        torch.cuda.synchronize()
        rates.append(10 * 2 * m * n * k / (start.elapsed_time(end) / 1e3))
    return statistics.median(rates)


def layer_products(name: str, rows: int) -> dict[str, float]:
    """Return the FLOP/s of the matrix products in a layer of a named shape, and of its output layer, for `rows` tokens."""
    shape = resolve_shape(name, {})
    hidden, ffn = shape["hidden"], shape["ffn"]
    sizes = {"qkv": (3 * hidden, hidden), "proj": (hidden, hidden), "fc1": (ffn, hidden), "fc2": (hidden, ffn)}
    return {name: product(rows, n, k, 0.3) for name, (n, k) in {**sizes, "head": (VOCABULARY, hidden)}.items()}


def random_shards(folder: Path, tokens: int) -> Path:
    """Write shards of random tokens, in the format of `pack`."""
    folder.mkdir()
    rng, counts = np.random.default_rng(0), {}
    for split, amount in (("train", tokens), ("valid", 4 * WINDOW)):
        file = TokenFileWriter(folder / split, "uint16")
        lengths = np.full(amount // 512, 512)
        file.add(rng.integers(0, VOCABULARY - 1, int(lengths.sum())), lengths)
        file.close()
        size = int(lengths.sum())
        counts[split] = {
            "documents": len(lengths),
            "tokens": size,
            "bytes": 4 * size,
            "loss_tokens": size,
            "loss_bytes": 4 * size,
        }
    card = {
        "format": "megatron",
        "content": "Documents",
        "chat": None,
        "tokenizer": {"name": "random", "digest": "random", "file": None},
        "vocabulary": VOCABULARY,
        "padded_vocabulary": VOCABULARY,
        "eod": VOCABULARY - 1,
        "dtype": "uint16",
        "sequence_length": WINDOW,
        "loss_mask": False,
        **counts,
    }
    (folder / "manifest.json").write_text(json.dumps(card))
    return folder


def train(name: str, shards: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a training job, and return its throughput, memory and kernel times."""
    profile_step = arguments.steps - 2
    stage = Pretrain(
        shape=name,
        shards="s",
        tokens=arguments.steps * BATCH * WINDOW,
        batch_size=BATCH,
        dropout=0.0,
        micro_batch_size=arguments.micro_batch_size,
        activation_checkpointing=arguments.activation_checkpointing,
        validation_tokens=WINDOW,
        profile_step=profile_step,
        checkpoint_every=10**9,
    )
    job = Job(folder / "job.json", folder / "out")
    inputs = {"shards": [{"label": "s", "artifact": "Shards", "path": str(shards)}]}
    content = {"use": "megatron/pretrain", "options": stage.model_dump(mode="json"), "inputs": inputs, "seed": 0}
    job.path.write_text(json.dumps({**content, "folder": str(job.folder)}))
    subprocess.run(stage.command(job), env={**os.environ, **stage.environment()}, check=True)
    lines = [json.loads(line) for line in (job.folder / "metrics.jsonl").read_text().splitlines()]
    speeds = [line["tokens_per_second"] for line in lines[10:] if line["step"] not in (profile_step, arguments.steps)]
    card = CheckpointCard.read(job.folder)
    return {
        "tokens_per_second": statistics.median(speeds),
        "flops_per_token": Shape.from_card(card).flops(1),
        "peak_mib": card.peak_mib,
        "kernels": kernels(job.folder / "profile.json"),
    }


def kernels(trace: Path) -> dict[str, float]:
    """Return the shares of the time between the first and the last kernel by kind; the rest is idle time."""
    events = [
        item
        for item in json.loads(trace.read_text())["traceEvents"]
        if item.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")
    ]
    if not events:
        return {}
    span = max(item["ts"] + item["dur"] for item in events) - min(item["ts"] for item in events)
    shares = dict.fromkeys([*KINDS, "element-wise and other"], 0.0)
    for item in events:
        kind = next((kind for kind, form in KINDS.items() if re.search(form, item["name"].lower())), None)
        shares[kind or "element-wise and other"] += item["dur"] / span
    return {
        **{kind: round(share, 3) for kind, share in shares.items()},
        "idle": round(max(0.0, 1 - sum(shares.values())), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["phi-1-small", "phi-1"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--micro-batch", type=int, default=8)
    parser.add_argument("--activation-checkpointing", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU available", file=sys.stderr)
        sys.exit(2)
    gpu = torch.cuda.get_device_name()
    peak = gpu_peak_flops(gpu)
    square = product(8_192, 8_192, 8_192)
    report: dict[str, Any] = {"gpu": gpu, "torch": torch.__version__, "peak": peak, "square_product": square, "shapes": {}}
    print(f"{gpu}: square product {square / 1e12:.0f} TFLOP/s", flush=True)
    with tempfile.TemporaryDirectory() as name:
        shards = random_shards(Path(name) / "shards", 4_000_000)
        for shape in arguments.shapes:
            products = layer_products(shape, arguments.micro_batch_size * WINDOW)
            folder = Path(name) / shape
            folder.mkdir()
            result = train(shape, shards, folder, arguments)
            flops = result["flops_per_token"] * result["tokens_per_second"]
            result["of_peak"] = round(flops / peak, 3) if peak else None
            result["of_square_product"] = round(flops / square, 3)
            result["products"] = {item: round(value / 1e12) for item, value in products.items()}
            report["shapes"][shape] = result
            print(shape, json.dumps(result, indent=1), flush=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
