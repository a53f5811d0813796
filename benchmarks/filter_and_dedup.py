"""CPU time of filters and deduplication in one step and in three, and of adding a small batch to an index.

    python benchmarks/filter_and_dedup.py --documents 10000 --work FOLDER [--humaneval HumanEval.jsonl.gz]

Uses the corpus of `dedup.py`, on one thread, after a warm-up. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"), "1")
if not os.environ.items() >= ONE_THREAD.items():
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})

import polars as pl  # noqa: E402 - after the number of threads is set
from decontaminate import Items, humaneval  # noqa: E402
from decontaminate import Resolver as Benchmarks  # noqa: E402
from dedup_corpus import write  # noqa: E402
from textbookgen_decontamination.stages.filter import DecontaminationFilter  # noqa: E402
from textbookgen_dedup.stages.filter_and_dedup import FilterAndDedup  # noqa: E402
from textbookgen_dedup.stages.minhash import MinHashDedup  # noqa: E402
from textbookgen_quality.heuristics import HeuristicFilter  # noqa: E402

from textbookgen.api.benchmark import BenchmarkItem  # noqa: E402
from textbookgen.api.stage import CorpusFilter, Filter, StageInputs  # noqa: E402

STEPS: dict[str, tuple[type[Filter], dict[str, Any]]] = {
    "heuristics": (HeuristicFilter, {"prose": ("gopher",)}),
    "decontaminate": (DecontaminationFilter, {"benchmarks": ("held-out",)}),
}


class Resolver(Benchmarks):
    """Also resolves the filters of `STEPS`."""

    def filter(self, use: str) -> Filter:
        kind, options = STEPS[use]
        return kind(**options)


def cpu_seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    """Call a function; return its CPU seconds and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def parts(corpus: Path, kept: pl.DataFrame | None) -> Iterator[pl.DataFrame]:
    """Yield the parts as a step reads them, joined with the verdicts of the step before."""
    for file in sorted(corpus.glob("part-*.parquet")):
        frame = pl.read_parquet(file)
        yield frame if kept is None else frame.join(kept, on="id", how="semi", maintain_order="left")


def run_corpus_filter(stage: CorpusFilter, corpus: Path, kept: pl.DataFrame | None = None) -> pl.DataFrame:
    with tempfile.TemporaryDirectory(dir=corpus) as folder:
        for number, frame in enumerate(parts(corpus, kept)):
            stage.sketch(frame).write_parquet(f"{folder}/{number:05d}.parquet")
        rows = pl.scan_parquet(Path(corpus, "part-*.parquet"))
        rows = rows if kept is None else rows.join(kept.lazy(), on="id", how="semi", maintain_order="left")
        return stage.decide(pl.scan_parquet(f"{folder}/*.parquet"), rows)


def run_in_steps(corpus: Path, inputs: StageInputs) -> pl.DataFrame:
    kept = None
    for use in STEPS:
        stage = inputs.resolver.filter(use)
        stage.prepare(inputs)
        verdicts = pl.concat([stage.decide(frame).select("id", "keep") for frame in parts(corpus, kept)])
        kept = verdicts.filter("keep").select("id")
    return run_corpus_filter(MinHashDedup(inputs=("corpus",)), corpus, kept)


def run_in_one_step(corpus: Path, inputs: StageInputs) -> pl.DataFrame:
    stage = FilterAndDedup(inputs=("corpus",), filters=tuple(STEPS))
    stage.prepare(inputs)
    return run_corpus_filter(stage, corpus)


def index_metrics(corpus: Path, folder: Path) -> dict[str, float]:
    """Return CPU seconds for the whole corpus at once, for adding 99% of it to an index, and for adding the last 1%."""
    rows = pl.read_parquet(Path(corpus, "part-*.parquet"))
    split = len(rows) * 99 // 100

    def verdicts_on(docs: pl.DataFrame, **options: Any) -> pl.DataFrame:
        stage = MinHashDedup(inputs=("corpus",), **options)
        return stage.decide(stage.sketch(docs).lazy(), docs.lazy())

    whole_s, whole = cpu_seconds(lambda: verdicts_on(rows))
    first_s, first = cpu_seconds(lambda: verdicts_on(rows[:split], index=str(folder)))
    last_s, last = cpu_seconds(lambda: verdicts_on(rows[split:], index=str(folder)))
    same = ["id", "keep", "reason", "score", "detail"]
    return {
        "whole_s": whole_s,
        "first_99_percent_s": first_s,
        "last_1_percent_s": last_s,
        "last_share": last_s / whole_s,
        "same_verdicts": pl.concat([first, last]).select(same).equals(whole.select(same)),
        "index_mb": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6,
        "text_mb": rows["text"].str.len_bytes().sum() / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--humaneval", type=Path, help="the benchmark to decontaminate against; one made-up item by default")
    arguments = parser.parse_args()
    items = (
        humaneval(arguments.humaneval).rows
        if arguments.humaneval
        else [BenchmarkItem("0", "one two three four five six seven", " eight nine ten " * 3)]
    )
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        corpus, warm = work / f"long-{arguments.documents}-0", work / "long-200-0"
        for folder, many in ((corpus, arguments.documents), (warm, 200)):
            write(folder, many, 0)
        inputs = StageInputs({}, Path(temporary), Resolver({"held-out": Items("held-out", items)}))  # type: ignore[arg-type]
        run_in_steps(warm, inputs)
        index_metrics(warm, Path(temporary) / "warm")
        steps_s, steps = cpu_seconds(lambda: run_in_steps(corpus, inputs))
        one_s, one = cpu_seconds(lambda: run_in_one_step(corpus, inputs))
        same = steps.filter("keep")["id"].equals(one.filter("keep")["id"])
        metrics = {"three_steps_s": steps_s, "one_pass_s": one_s, "saved": 1 - one_s / steps_s, "same_kept": same}
        index = index_metrics(corpus, Path(temporary) / "index")
    for name, value in {**metrics, **index}.items():
        print(f"{name:20} {value if isinstance(value, bool) else round(value, 3)}")
    print(json.dumps({"ours": {**metrics, **index}}))


if __name__ == "__main__":
    main()
