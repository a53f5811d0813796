"""Near-duplicate removal, side by side: documents per CPU second, peak memory, recall, and unjustified removals.

    python benchmarks/dedup.py --documents 10000 --work FOLDER [--tools ours,datasketch,...] [--limit SECONDS]
    python benchmarks/dedup.py --short --documents 1000000 --memory 128 --tools ours

Documents have 200 to 2,000 words (5.8 KB on average), or with `--short` 25 to 130 (0.6 KB). Every tool runs in its
own process on one thread, after a small corpus (so that compilation and imports do not count; their time is reported as
`cold_s`). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from dedup_corpus import EDITS, true_pairs, write
from dedup_tools import TOOLS

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"), "1")


def peak_mib() -> float:
    """Return the peak memory of this process. (`ru_maxrss` would include the parent's before the fork.)"""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def run_tool(tool: str, corpus: Path, warm: Path, out: Path) -> None:
    """Run one tool, and write what it removed and the time and memory it took."""
    started = time.perf_counter()
    TOOLS[tool](warm)
    cold = time.perf_counter() - started
    base = peak_mib()
    began, wall = time.process_time(), time.perf_counter()
    removed = TOOLS[tool](corpus)
    took = {"cpu_s": time.process_time() - began, "wall_s": time.perf_counter() - wall, "cold_s": cold}
    out.write_text(json.dumps({**took, "peak_mib": peak_mib(), "start_mib": base, "removed": removed}))


def measure(tool: str, corpus: Path, warm: Path, memory_mib: int, limit: float) -> dict[str, Any] | str:
    """Run a tool in its own process; return the result, or why it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--child",
            tool,
            "--corpus",
            str(corpus.resolve()),
            "--warm",
            str(warm.resolve()),
            "--out",
            str(out),
        ]
        environment = {**os.environ, **ONE_THREAD, "MEMORY_MIB": str(memory_mib)}
        try:
            process = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=limit, cwd=folder
            )
        except subprocess.TimeoutExpired:
            return f"stopped after {limit:.0f} s"
        if process.returncode:
            return (process.stderr.strip().splitlines() or ["no error message"])[-1]
        return dict(json.loads(out.read_text()))


def metrics_of(run: dict[str, Any], documents: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, Any]:
    """Return rates, and the removals compared with the true pairs."""
    places = {key: at for at, key in enumerate(documents["id"].to_list())}
    removed_rows = pl.Series([places[key] for key in run["removed"]], dtype=pl.Int64).implode()
    result = pairs.with_columns(removed_a=pl.col("a").is_in(removed_rows), removed_b=pl.col("b").is_in(removed_rows))
    justified = pl.concat(
        [result.filter("removed_a", ~pl.col("removed_b"))["a"], result.filter("removed_b", ~pl.col("removed_a"))["b"]]
    ).n_unique()  # fmt: skip
    removed = len(run["removed"])
    planted = result.join(
        documents.with_row_index("b").select(pl.col("b").cast(pl.Int64), kind_b="kind", source_b="source"), on="b"
    )
    planted = planted.join(
        documents.with_row_index("a").select(pl.col("a").cast(pl.Int64), kind_a="kind", source_a="source"), on="a"
    )
    recalls = {}
    for kind in (*EDITS, "cluster", "chain"):
        own = planted.filter(
            ((pl.col("source_b") == pl.col("a")) & (pl.col("kind_b") == kind))
            | ((pl.col("source_a") == pl.col("b")) & (pl.col("kind_a") == kind))
        )
        made = documents.filter(pl.col("kind") == kind).height
        hit = own.select((pl.col("removed_a") | pl.col("removed_b")).sum()).item()
        recalls[kind] = {"planted": made, "at_or_above": own.height, "found": hit}
    return {
        "docs_per_cpu_s": round(len(documents) / run["cpu_s"]),
        "mb_per_cpu_s": round(documents["bytes"].sum() / 1e6 / run["cpu_s"], 1),
        "peak_mib": round(run["peak_mib"]),
        "start_mib": round(run["start_mib"]),
        "cold_s": round(run["cold_s"], 2),
        "removed": removed,
        "pair_recall": round(float(result.select((pl.col("removed_a") | pl.col("removed_b")).mean()).item()), 5),
        "unjustified": round(1 - justified / removed, 5) if removed else 0.0,
        "kinds": recalls,
    }


def table(results: dict[str, Any]) -> str:
    """Return the metrics as Markdown tables."""
    names = ("docs_per_cpu_s", "mb_per_cpu_s", "peak_mib", "start_mib", "cold_s", "removed", "pair_recall", "unjustified")
    lines = ["| tool | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for tool, result in results.items():
        cells = [str(result[name]) for name in names] if isinstance(result, dict) else [f"not run: {result}"]
        lines.append(f"| {tool} | " + " | ".join(cells) + " |")
    lines += ["", "found, of the planted copies with a true Jaccard index of 0.8 or more (of all planted)", ""]
    ran = {tool: result for tool, result in results.items() if isinstance(result, dict)}
    if not ran:
        return "\n".join(lines)
    lines += ["| edit | " + " | ".join(ran) + " |", "|---" * (len(ran) + 1) + "|"]
    for kind in next(iter(ran.values()))["kinds"]:
        row = [result["kinds"][kind] for result in ran.values()]
        cells = [f"{item['found']} of {item['at_or_above']} ({item['planted']})" for item in row]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tools", default=",".join(TOOLS), help="which to run; `ours` first")
    parser.add_argument("--work", type=Path, help="folder that keeps the corpus; temporary by default")
    parser.add_argument("--short", action="store_true", help="documents of 25 to 130 words")
    parser.add_argument("--limit", type=float, default=900, help="seconds after which a tool is stopped")
    parser.add_argument("--memory", type=int, default=1024, help="memory for indexes of `dedup/minhash`, in MiB")
    parser.add_argument("--child")
    for name in ("--corpus", "--warm", "--out"):
        parser.add_argument(name, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_tool(arguments.child, arguments.corpus, arguments.warm, arguments.out)
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        corpus, warm = (
            work / f"{'short' if arguments.short else 'long'}-{count}-{arguments.seed}" for count in (arguments.documents, 200)
        )
        write(corpus, arguments.documents, arguments.seed, arguments.short)
        write(warm, 200, arguments.seed, arguments.short)
        pairs = true_pairs(corpus)
        documents = (
            pl.scan_parquet(Path(corpus, "part-*.parquet"))
            .select("id", "kind", "source", bytes=pl.col("text").str.len_bytes())
            .collect()
        )
        print(
            f"{len(documents)} documents, {documents['bytes'].sum() / 1e6:.1f} MB, {len(pairs)} pairs at 0.8 or above\n",
            flush=True,
        )
        results: dict[str, Any] = {}
        for tool in arguments.tools.split(","):
            run = measure(tool, corpus, warm, arguments.memory, arguments.limit)
            results[tool] = metrics_of(run, documents, pairs) if isinstance(run, dict) else run
    print(table(results))
    names = ("docs_per_cpu_s", "pair_recall", "unjustified", "peak_mib")
    brief = {
        tool: {name: item[name] for name in names} if isinstance(item, dict) else {"not_run": item}
        for tool, item in results.items()
    }
    print(json.dumps({"ours": brief.pop("ours", None), "peers": brief}))


if __name__ == "__main__":
    main()
