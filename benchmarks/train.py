"""Benchmarks packing and training on this machine's CPU against alternatives.

    python benchmarks/train.py                      # both
    python benchmarks/train.py --only packing --megabytes 40
    python benchmarks/train.py --only training --rounds 3

Packing: `pack` with and without the library gigatoken; one document at a time into Megatron-core's builder, as Megatron-LM's
preprocessing does; and the batch encoding of the `tokenizers` library alone. Each runs in a separate process with one thread,
and reads the same documents (files of this Python's libraries) in each round. CPU seconds exclude imports and loading the
tokenizer; memory includes them. The files of the first three must be identical.

Training: a job of `megatron/pretrain` as the engine starts it, against a plain PyTorch loop and transformers' LlamaForCausalLM
with torch's AdamW, all with the same shape, batch size and threads. They take turns, in a different order in each round; the
result is the median over steps after the first five. Requires transformers. The last line of output is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

VOCABULARY = 32_000
PACKERS = ("ours", "ours, without gigatoken", "megatron, one document at a time", "tokenizers, batch encoding alone")
TRAINERS = ("ours", "plain torch", "transformers")
SHAPE = {"layers": 4, "hidden": 128, "heads": 4, "ffn": 384, "tied": True}
WINDOW, BATCH, TRAINED_VOCABULARY = 256, 16, 8_192
BATCH_OF_TEXTS = 1_000
#: Idle threads sleep, as in the trainer: where cores are shared, spinning is far slower.
QUIET_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}


# --- packing


def corpus(folder: Path, megabytes: float) -> Path:
    """Write the Python files of this interpreter's libraries, cut at 20,000 characters, as a table in parts."""
    import polars as pl

    rows: list[tuple[str, str]] = []
    size = 0
    roots = (Path(sysconfig.get_paths()["stdlib"]), Path(sysconfig.get_paths()["purelib"]))
    for file in (file for root in roots for file in sorted(root.rglob("*.py"))):
        try:
            text = file.read_text(encoding="utf-8")[:20_000]
        except (UnicodeDecodeError, OSError):
            continue
        if len(text) > 200:
            rows.append((f"doc{len(rows)}", text))
            size += len(text.encode())
        if size > megabytes * 1e6:
            break
    for part, start in enumerate(range(0, len(rows), BATCH_OF_TEXTS)):
        frame = pl.DataFrame(rows[start : start + BATCH_OF_TEXTS], schema=["id", "text"], orient="row")
        frame.write_parquet(folder / f"part-{part:03}.parquet")
    return folder


def train_tokenizer(texts: Path, vocabulary: int, folder: Path) -> Path:
    """Train a tokenizer on a table, and return its file."""
    from textbookgen.builtin.stages.train_tokenizer import TrainTokenizer

    folder.mkdir()
    stage = TrainTokenizer.model_validate({"from": "corpus", "vocabulary": vocabulary, "max_mib": 8.0})
    stage.pack(_stage_inputs(texts, folder, None), folder)
    return folder / "tokenizer.json"


def _stage_inputs(texts: Path, folder: Path, tokenizer: Any) -> Any:
    from textbookgen.api.artifacts import Documents, Part
    from textbookgen.api.stage import StageInputs

    class Resolver:
        def tokenizer(self, name: str) -> Any:
            return tokenizer

    table = Documents(tuple(Part(path) for path in sorted(texts.glob("*.parquet"))))
    return StageInputs({"from": {"corpus": table}}, folder, Resolver())


def batches(texts: Path) -> Iterator[list[str]]:
    import polars as pl

    for path in sorted(texts.glob("*.parquet")):
        yield pl.read_parquet(path, columns=["text"])["text"].to_list()


def pack(who: str, texts: Path, tokenizer: Path, out: Path) -> dict[str, Any]:
    """Pack in this process, and return tokens, CPU seconds, memory and digests."""
    work = {PACKERS[0]: _ours, PACKERS[1]: _ours, PACKERS[2]: _megatron, PACKERS[3]: _encode_alone}[who]
    if who == PACKERS[1]:
        sys.modules["gigatoken"] = None  # type: ignore[assignment]
    begin, run = work(texts, tokenizer, out)
    before, started = begin(), time.perf_counter()
    tokens = run()
    return {
        "tokens": tokens,
        "cpu_seconds": time.process_time() - before,
        "seconds": time.perf_counter() - started,
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "digest": {name: _digest(out / name) for name in ("train.bin", "train.idx") if (out / name).is_file()},
    }


Work = tuple[Callable[[], float], Callable[[], int]]


def _ours(texts: Path, tokenizer: Path, out: Path) -> Work:
    from textbookgen.builtin.stages.pack.indexed_writer import ShardWriter  # noqa: F401
    from textbookgen.builtin.stages.pack.stage import Pack
    from textbookgen.builtin.tokenizers import FileTokenizer

    file_tokenizer = FileTokenizer(tokenizer)
    stage = Pack.model_validate({"from": "corpus", "tokenizer": "t", "validation_share": 0})

    def run() -> int:
        stage.pack(_stage_inputs(texts, out, file_tokenizer), out)
        return int(json.loads((out / "manifest.json").read_text())["tokens"])

    return time.process_time, run


def _megatron(texts: Path, tokenizer: Path, out: Path) -> Work:
    import textbookgen_megatron.backend  # noqa: F401  (which keeps Megatron-core from warning)
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder
    from tokenizers import Tokenizer

    opened = Tokenizer.from_file(str(tokenizer))
    opened.encode_special_tokens = True
    eod = opened.token_to_id("<|endoftext|>")

    def run() -> int:
        builder, tokens = IndexedDatasetBuilder(str(out / "train.bin"), dtype=DType.optimal_dtype(VOCABULARY)), 0
        for batch in batches(texts):
            for text in batch:
                ids = [*opened.encode(text, add_special_tokens=False).ids, eod]
                builder.add_document(ids, [len(ids)])
                tokens += len(ids)
        builder.finalize(str(out / "train.idx"))
        return tokens

    return time.process_time, run


def _encode_alone(texts: Path, tokenizer: Path, out: Path) -> Work:
    from tokenizers import Tokenizer

    opened = Tokenizer.from_file(str(tokenizer))

    def run() -> int:
        encoded = (opened.encode_batch(batch, add_special_tokens=False) for batch in batches(texts))
        return sum(len(item.ids) + 1 for batch in encoded for item in batch)

    return time.process_time, run


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def packing(folder: Path, megabytes: float, rounds: int) -> dict[str, Any]:
    """Run every packer `rounds` times, in turn."""
    (folder / "texts").mkdir()
    texts = corpus(folder / "texts", megabytes)
    tokenizer = train_tokenizer(texts, VOCABULARY, folder / "tokenizer")
    runs: dict[str, list[dict[str, Any]]] = {who: [] for who in PACKERS}
    for number in range(rounds):
        for who in PACKERS[number % 2 :] + PACKERS[: number % 2]:
            out = folder / f"out-{PACKERS.index(who)}"
            out.mkdir(exist_ok=True)
            runs[who].append(_child(["--pack", who, str(texts), str(tokenizer), str(out)], threads=1))
    packers = {}
    alone = statistics.median(item["tokens"] / item["cpu_seconds"] for item in runs[PACKERS[3]])
    for who, of_packer in runs.items():
        speeds = [run["tokens"] / run["cpu_seconds"] for run in of_packer]
        packers[who] = {
            "million_tokens_per_cpu_second": round(statistics.median(speeds) / 1e6, 2),
            "min": round(min(speeds) / 1e6, 2),
            "max": round(max(speeds) / 1e6, 2),
            "relative_to_batch_encoding": round(statistics.median(speeds) / alone, 2),
            "mib": round(max(run["mib"] for run in of_packer)),
            "tokens": of_packer[0]["tokens"],
        }
        print(f"{who:34} {packers[who]}", flush=True)
    digests = {json.dumps(of_packer[0]["digest"]) for who, of_packer in runs.items() if who != PACKERS[3]}
    print("the files are identical" if len(digests) == 1 else "THE FILES DIFFER")
    return {"packers": packers, "identical": len(digests) == 1}


# --- training


def train(who: str, folder: Path, steps: int, threads: int) -> dict[str, Any]:
    """Return tokens per second, the median over all steps but the first five."""
    if who == TRAINERS[0]:
        return _train_ours(folder, steps, threads)
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model, loss_function = _plain() if who == TRAINERS[1] else _transformers()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    batches = _windows(folder / "shards", steps)
    seconds = []
    for tokens in batches:
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        last = loss.item()
        seconds.append(time.perf_counter() - start)
    parameters = sum(item.numel() for item in model.parameters())
    return {"tokens_per_second": BATCH * WINDOW / statistics.median(seconds[5:]), "loss": last, "parameters": parameters}


def _train_ours(folder: Path, steps: int, threads: int) -> dict[str, Any]:
    from textbookgen_megatron.stages.pretrain import Pretrain

    from textbookgen.api.stage import Job

    options = {**SHAPE, "architecture": "llama", "shards": "s", "batch_size": BATCH, "tokens": steps * BATCH * WINDOW}
    stage = Pretrain(**options, dropout=0.0, threads=threads, validation_tokens=WINDOW)
    with tempfile.TemporaryDirectory() as out:
        job = Job(Path(out) / "job.json", Path(out) / "out")
        inputs = {"shards": [{"label": "s", "artifact": "Shards", "path": str(folder / "shards")}]}
        content = {"use": "megatron/pretrain", "options": stage.model_dump(mode="json"), "inputs": inputs, "seed": 0}
        job.path.write_text(json.dumps({**content, "folder": str(job.folder)}))
        subprocess.run(stage.command(job), env={**os.environ, **stage.environment()}, check=True, stderr=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (job.folder / "metrics.jsonl").read_text().splitlines()]
        card = json.loads((job.folder / "checkpoint.json").read_text())
    speeds = [line["tokens_per_second"] for line in lines[5:]]
    return {"tokens_per_second": statistics.median(speeds), "loss": lines[-1]["loss"], "parameters": card["parameters"]}


def _windows(shards: Path, steps: int) -> Iterator[Any]:
    """Yield batches of random windows of a token file, int64 `[BATCH, WINDOW + 1]`."""
    import numpy as np
    import torch

    ids, rng = np.memmap(shards / "train.bin", np.uint16, "r"), np.random.default_rng(0)
    for _ in range(steps):
        starts = rng.integers(0, len(ids) - WINDOW - 1, BATCH)
        yield torch.from_numpy(np.stack([ids[start : start + WINDOW + 1] for start in starts]).astype(np.int64))


def _plain() -> tuple[Any, Callable[[Any, Any], Any]]:
    """Return a plain Llama with a fused QKV projection and torch's scaled_dot_product_attention, and its loss."""
    import torch
    from torch import nn
    from torch.nn import functional

    width, ffn, heads = SHAPE["hidden"], SHAPE["ffn"], SHAPE["heads"]
    angles = torch.outer(
        torch.arange(WINDOW).float(), 10_000.0 ** -(torch.arange(0, width // heads, 2).float() * heads / width)
    )
    cosines, sines = (item.repeat(1, 2) for item in (angles.cos(), angles.sin()))

    def rotate(x: Any) -> Any:
        front, back = x.chunk(2, -1)
        return x * cosines + torch.cat([-back, front], -1) * sines

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
            self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
            self.up, self.down = nn.Linear(width, 2 * ffn, bias=False), nn.Linear(ffn, width, bias=False)

        def forward(self, x: Any) -> Any:
            b, s, _ = x.shape
            query, key, value = (item.view(b, s, heads, -1).transpose(1, 2) for item in self.qkv(self.before(x)).chunk(3, -1))
            attended = functional.scaled_dot_product_attention(rotate(query), rotate(key), value, is_causal=True)
            x = x + self.out(attended.transpose(1, 2).reshape(b, s, -1))
            gate, up = self.up(self.after(x)).chunk(2, -1)
            return x + self.down(functional.silu(gate) * up)

    class Llama(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(TRAINED_VOCABULARY, width)
            nn.init.normal_(self.table.weight, std=0.02)
            self.layers = nn.Sequential(*(Layer() for _ in range(SHAPE["layers"])))
            self.norm = nn.RMSNorm(width, eps=1e-5)

        def forward(self, tokens: Any, labels: Any) -> Any:
            logits = functional.linear(self.norm(self.layers(self.table(tokens))), self.table.weight)
            return functional.cross_entropy(logits.flatten(0, 1), labels.flatten())

    model = Llama()
    return model, model


def _transformers() -> tuple[Any, Callable[[Any, Any], Any]]:
    from torch.nn import functional
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=TRAINED_VOCABULARY,
        hidden_size=SHAPE["hidden"],
        intermediate_size=SHAPE["ffn"],
        num_hidden_layers=SHAPE["layers"],
        num_attention_heads=SHAPE["heads"],
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        use_cache=False,
        attn_implementation="sdpa",
    )
    model = LlamaForCausalLM(config)
    return model, lambda tokens, labels: functional.cross_entropy(model(tokens).logits.flatten(0, 1), labels.flatten())


def training(folder: Path, rounds: int, steps: int, threads: int) -> dict[str, Any]:
    """Run every trainer `rounds` times, in turn."""
    from textbookgen.builtin.stages.pack.stage import Pack
    from textbookgen.builtin.tokenizers import FileTokenizer

    (folder / "words").mkdir()
    texts = corpus(folder / "words", 8)
    tokenizer = train_tokenizer(texts, TRAINED_VOCABULARY, folder / "small-tokenizer")
    stage = Pack.model_validate({"from": "corpus", "tokenizer": "t", "sequence_length": WINDOW})
    stage.pack(_stage_inputs(texts, folder, FileTokenizer(tokenizer)), folder / "shards")
    runs: dict[str, list[dict[str, Any]]] = {who: [] for who in TRAINERS}
    for number in range(rounds):
        turn = number % len(TRAINERS)
        for who in TRAINERS[turn:] + TRAINERS[:turn]:
            runs[who].append(_child(["--train", who, str(folder), str(steps), str(threads)], threads))
            print(f"{who:16} {runs[who][-1]}", flush=True)
    speeds = {who: [run["tokens_per_second"] for run in of_trainer] for who, of_trainer in runs.items()}
    return {
        who: {
            "tokens_per_second": round(statistics.median(speeds[who])),
            "speedup_of_ours": [round(ours / other, 2) for ours, other in zip(speeds[TRAINERS[0]], speeds[who], strict=True)],
            "parameters": of_trainer[0]["parameters"],
            "loss": round(of_trainer[0]["loss"], 2),
        }
        for who, of_trainer in runs.items()
    }


def _child(arguments: list[str], threads: int) -> dict[str, Any]:
    """Run this file in a separate process, and return the JSON in its last line of output."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS"), str(threads))
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env={**os.environ, **limits, **QUIET_ENVIRONMENT},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["packing", "training"])
    parser.add_argument("--megabytes", type=float, default=40, help="amount of text to pack")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30, help="per training run")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="per training run")
    parser.add_argument("--pack", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--train", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pack:
        who, *paths = arguments.pack
        print(json.dumps(pack(who, *map(Path, paths))))
        return
    if arguments.train:
        who, folder, steps, threads = arguments.train
        print(json.dumps(train(who, Path(folder), int(steps), int(threads))))
        return
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        if arguments.only != "training":
            report["packing"] = packing(Path(name), arguments.megabytes, arguments.rounds)
        if arguments.only != "packing":
            report["training"] = training(Path(name), arguments.rounds, arguments.steps, arguments.threads)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
