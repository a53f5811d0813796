"""Training phi-1-small and phi-1 on one GPU: tokens a second, and which share of what the GPU can do that is.

    python benchmarks/gpu.py                              # both shapes, 30 steps each
    python benchmarks/gpu.py --shapes phi-1 --micro-batch 8 --activation-checkpointing

First the ceiling is measured: bfloat16 matrix products, a large square one and those of each model's own layers. Then a job
of `megatron/pretrain` runs as the engine starts it, on random tokens; the figure is the median of steps after the first ten,
without the profiled one. Utilisation is model flops, without what recomputation adds, against the maker's peak and against
the measured ceiling. Last comes where a step's time goes, by kind of kernel. The last line is JSON. Without a GPU it says so
and ends with 2.
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

from textbookgen.api.stage import Job
from textbookgen.builtin.stages.pack.indexed_writer import TokenFile
from textbookgen.training.architectures import parts
from textbookgen.training.job import peak_of

WINDOW, VOCABULARY, BATCH = 2_048, 51_200, 32
#: Kinds of kernels by what their names hold, the first that fits.
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
    """Flops a second of bfloat16 products of these sizes, the median of batches of ten."""
    a, b = (torch.randn(shape, device="cuda", dtype=torch.bfloat16) for shape in ((m, k), (k, n)))
    for _ in range(10):
        a @ b
    torch.cuda.synchronize()
    result, begun = [], time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(10):
            a @ b
        end.record()
        torch.cuda.synchronize()
        result.append(10 * 2 * m * n * k / (start.elapsed_time(end) / 1e3))
    return statistics.median(result)


def ceilings(name: str, rows: int) -> dict[str, float]:
    """What the products of a shape's layers reach, for so many tokens at once."""
    told = parts(name, {})
    hidden, ffn = told["hidden"], told["ffn"]
    sizes = {"qkv": (3 * hidden, hidden), "proj": (hidden, hidden), "fc1": (ffn, hidden), "fc2": (hidden, ffn)}
    return {item: product(rows, n, k, 0.3) for item, (n, k) in {**sizes, "head": (VOCABULARY, hidden)}.items()}


def random_shards(folder: Path, tokens: int) -> Path:
    """Tokens without meaning, as `pack` lays them out."""
    folder.mkdir()
    draw, counts = np.random.default_rng(0), {}
    for split, amount in (("train", tokens), ("valid", 4 * WINDOW)):
        file = TokenFile(folder / split, "uint16")
        lengths = np.full(amount // 512, 512)
        file.add(draw.integers(0, VOCABULARY - 1, int(lengths.sum())), lengths)
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


def train(name: str, shards: Path, folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Runs the job; its metrics and its profile."""
    profiled = chosen.steps - 2
    stage = Pretrain(
        shape=name,
        shards="s",
        tokens=chosen.steps * BATCH * WINDOW,
        batch_size=BATCH,
        dropout=0.0,
        micro_batch_size=chosen.micro_batch_size,
        activation_checkpointing=chosen.activation_checkpointing,
        validation_tokens=WINDOW,
        profile_step=profiled,
        checkpoint_every=10**9,
    )
    job = Job(folder / "job.json", folder / "out")
    inputs = {"shards": [{"label": "s", "artifact": "Shards", "path": str(shards)}]}
    told = {"use": "megatron/pretrain", "options": stage.model_dump(mode="json"), "inputs": inputs, "seed": 0}
    job.path.write_text(json.dumps({**told, "folder": str(job.folder)}))
    subprocess.run(stage.command(job), env={**os.environ, **stage.environment()}, check=True)
    lines = [json.loads(line) for line in (job.folder / "metrics.jsonl").read_text().splitlines()]
    speeds = [line["tokens_per_second"] for line in lines[10:] if line["step"] not in (profiled, chosen.steps)]
    card = json.loads((job.folder / "checkpoint.json").read_text())
    return {
        "tokens_per_second": statistics.median(speeds),
        "flops_a_token": Shape.from_card(card).flops(1),
        "peak_mib": card["peak_mib"],
        "kernels": kernels(job.folder / "profile.json"),
    }


def kernels(trace: Path) -> dict[str, float]:
    """Shares of the time between the first kernel and the last, by kind; what is left is the GPU waiting."""
    events = [
        item
        for item in json.loads(trace.read_text())["traceEvents"]
        if item.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")
    ]
    if not events:
        return {}
    span = max(item["ts"] + item["dur"] for item in events) - min(item["ts"] for item in events)
    shares = dict.fromkeys([*KINDS, "element by element, and other"], 0.0)
    for item in events:
        kind = next((kind for kind, form in KINDS.items() if re.search(form, item["name"].lower())), None)
        shares[kind or "element by element, and other"] += item["dur"] / span
    return {
        **{kind: round(share, 3) for kind, share in shares.items()},
        "waiting": round(max(0.0, 1 - sum(shares.values())), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["phi-1-small", "phi-1"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--micro-batch", type=int, default=8)
    parser.add_argument("--activation-checkpointing", action="store_true")
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        print("there is no GPU here", file=sys.stderr)
        sys.exit(2)
    gpu = torch.cuda.get_device_name()
    peak = peak_of(gpu)
    square = product(8_192, 8_192, 8_192)
    told: dict[str, Any] = {"gpu": gpu, "torch": torch.__version__, "peak": peak, "square_product": square, "shapes": {}}
    print(f"{gpu}: square product {square / 1e12:.0f} Tflop/s", flush=True)
    with tempfile.TemporaryDirectory() as name:
        shards = random_shards(Path(name) / "shards", 4_000_000)
        for shape in chosen.shapes:
            own = ceilings(shape, chosen.micro_batch_size * WINDOW)
            folder = Path(name) / shape
            folder.mkdir()
            result = train(shape, shards, folder, chosen)
            flops = result["flops_a_token"] * result["tokens_per_second"]
            result["of_peak"] = round(flops / peak, 3) if peak else None
            result["of_square_product"] = round(flops / square, 3)
            result["products"] = {item: round(value / 1e12) for item, value in own.items()}
            told["shapes"][shape] = result
            print(shape, json.dumps(result, indent=1), flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
