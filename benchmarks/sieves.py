"""What one pass saves over three steps, and what it costs to add a little to an index.

    python benchmarks/sieves.py --documents 10000 --work FOLDER [--humaneval HumanEval.jsonl.gz]

On the corpus of `dedup.py`, on one thread, after a warm-up. The last line is JSON.
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
from textbookgen_decontamination.stages.filter import Decontaminate  # noqa: E402
from textbookgen_dedup.stages.filter_and_dedup import FilterAndDedup  # noqa: E402
from textbookgen_dedup.stages.minhash import MinHashDedup  # noqa: E402
from textbookgen_quality.heuristics import Heuristics  # noqa: E402

from textbookgen.api.benchmark import Item  # noqa: E402
from textbookgen.api.stage import CorpusFilter, Filter, StageInputs  # noqa: E402

STEPS: dict[str, tuple[type[Filter], dict[str, Any]]] = {
    "heuristics": (Heuristics, {"prose": ("gopher",)}),
    "decontaminate": (Decontaminate, {"benchmarks": ("held-out",)}),
}


class Resolver(Benchmarks):
    """Opens the judges of `STEPS` too."""

    def filter(self, use: str) -> Filter:
        kind, options = STEPS[use]
        return kind(**options)


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def parts(corpus: Path, kept: pl.DataFrame | None) -> Iterator[pl.DataFrame]:
    """The parts as a step reads them: joined with the verdicts of the step before."""
    for file in sorted(corpus.glob("part-*.parquet")):
        frame = pl.read_parquet(file)
        yield frame if kept is None else frame.join(kept, on="id", how="semi", maintain_order="left")


def judge_corpus(judge: CorpusFilter, corpus: Path, kept: pl.DataFrame | None = None) -> pl.DataFrame:
    with tempfile.TemporaryDirectory(dir=corpus) as folder:
        for number, frame in enumerate(parts(corpus, kept)):
            judge.sketch(frame).write_parquet(f"{folder}/{number:05d}.parquet")
        rows = pl.scan_parquet(f"{corpus}/part-*.parquet")
        rows = rows if kept is None else rows.join(kept.lazy(), on="id", how="semi", maintain_order="left")
        return judge.decide(pl.scan_parquet(f"{folder}/*.parquet"), rows)


def in_steps(corpus: Path, inputs: StageInputs) -> pl.DataFrame:
    kept = None
    for use in STEPS:
        judge = inputs.resolver.filter(use)
        judge.prepare(inputs)
        verdicts = pl.concat([judge.decide(frame).select("id", "keep") for frame in parts(corpus, kept)])
        kept = verdicts.filter("keep").select("id")
    return judge_corpus(MinHashDedup(inputs=("corpus",)), corpus, kept)


def in_one(corpus: Path, inputs: StageInputs) -> pl.DataFrame:
    sieve = FilterAndDedup(inputs=("corpus",), judges=tuple(STEPS))
    sieve.prepare(inputs)
    return judge_corpus(sieve, corpus)


def index_figures(corpus: Path, folder: Path) -> dict[str, float]:
    """CPU seconds for the whole at once, for 99% into an index, and for the last 1% on top of that."""
    rows = pl.read_parquet(f"{corpus}/part-*.parquet")
    most = len(rows) * 99 // 100

    def judged(docs: pl.DataFrame, **options: Any) -> pl.DataFrame:
        judge = MinHashDedup(inputs=("corpus",), **options)
        return judge.decide(judge.sketch(docs).lazy(), docs.lazy())

    whole_s, whole = cpu(lambda: judged(rows))
    first_s, first = cpu(lambda: judged(rows[:most], index=str(folder)))
    last_s, last = cpu(lambda: judged(rows[most:], index=str(folder)))
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
    parser.add_argument("--humaneval", type=Path, help="what to decontaminate against; one made-up item unless given")
    told = parser.parse_args()
    items = (
        humaneval(told.humaneval).found
        if told.humaneval
        else [Item("0", "one two three four five six seven", " eight nine ten " * 3)]
    )
    with tempfile.TemporaryDirectory() as temporary:
        work = told.work or Path(temporary)
        corpus, warm = work / f"long-{told.documents}-0", work / "long-200-0"
        for folder, many in ((corpus, told.documents), (warm, 200)):
            write(folder, many, 0)
        given = StageInputs({}, Path(temporary), Resolver({"held-out": Items("held-out", items)}))  # type: ignore[arg-type]
        in_steps(warm, given)
        index_figures(warm, Path(temporary) / "warm")
        steps_s, steps = cpu(lambda: in_steps(corpus, given))
        one_s, one = cpu(lambda: in_one(corpus, given))
        same = steps.filter("keep")["id"].equals(one.filter("keep")["id"])
        found = {"three_steps_s": steps_s, "one_pass_s": one_s, "saved": 1 - one_s / steps_s, "same_kept": same}
        index = index_figures(corpus, Path(temporary) / "index")
    for name, value in {**found, **index}.items():
        print(f"{name:20} {value if isinstance(value, bool) else round(value, 3)}")
    print(json.dumps({"ours": {**found, **index}}))


if __name__ == "__main__":
    main()
