"""Built-in benchmarks: of published formats from their public addresses or a file, any table, and three test items."""

from __future__ import annotations

from collections.abc import Callable

from textbookgen.api.benchmark import Benchmark
from textbookgen.api.hookspecs import hookimpl
from textbookgen.builtin.benchmarks.code import ThreeItems, human_eval, mbpp
from textbookgen.builtin.benchmarks.math import gsm8k
from textbookgen.builtin.benchmarks.table import CODE_STOP, Item, Row, TableBenchmark, open_table, require_file

#: Public address, row parser and stop texts by name.
KNOWN: dict[str, tuple[str, Callable[[Row, int], Item | None], tuple[str, ...]]] = {
    "humaneval": ("hf://datasets/openai/openai_humaneval/openai_humaneval/test-00000-of-00001.parquet", human_eval, CODE_STOP),
    "mbpp": (
        "hf://datasets/google-research-datasets/mbpp/full/test-00000-of-00001.parquet",
        mbpp,
        ("\nclass", "\nassert", '\n"""', "\nprint", "\nif"),
    ),
    "gsm8k": ("hf://datasets/openai/gsm8k/main/test-00000-of-00001.parquet", gsm8k, ("\nQuestion:", "\n\n")),
}


@hookimpl
def open_benchmark(name: str) -> Benchmark | None:
    """Open `humaneval`, `mbpp` or `gsm8k`, each with `@PATH` for a file or another address; `file@PATH?…`; `example-three`.

    `file@problems.jsonl?prompt=question&solution=answer` reads any table: `prompt`, `solution`, `tests`, `id` and
    `entry_point` name its columns, and `stop`, which can be repeated, ends a completion.
    """
    kind, at, address = name.partition("@")
    if name == "example-three":
        return ThreeItems()
    if kind == "file" and at:
        path, _, query = address.partition("?")
        return open_table(name, path, query)
    if kind not in KNOWN:
        return None
    public, read_row, stop = KNOWN[kind]
    if address:
        require_file(address, kind)
    return TableBenchmark(kind, stop, address or public, read_row)
