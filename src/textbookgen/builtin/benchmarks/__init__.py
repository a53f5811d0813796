"""Built-in benchmarks: of published formats from their public addresses or a file, any table, and three test items."""

from __future__ import annotations

from collections.abc import Callable

from textbookgen.api.benchmark import Benchmark
from textbookgen.api.hookspecs import hookimpl
from textbookgen.builtin.benchmarks.choices import FORMATS, open_choices
from textbookgen.builtin.benchmarks.code import ThreeItems, human_eval, mbpp
from textbookgen.builtin.benchmarks.extended_tests import ExtendedTests
from textbookgen.builtin.benchmarks.math import open_word_problems
from textbookgen.builtin.benchmarks.short_answers import ShortAnswers
from textbookgen.builtin.benchmarks.table import CODE_STOP, Item, Row, TableBenchmark, open_table, require_file

#: What ends a completion of MBPP.
MBPP_STOP = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif")

#: Public address, row parser and stop texts by name.
KNOWN: dict[str, tuple[str, Callable[[Row, int], Item | None], tuple[str, ...]]] = {
    "humaneval": ("hf://datasets/openai/openai_humaneval/openai_humaneval/test-00000-of-00001.parquet", human_eval, CODE_STOP),
    "mbpp": (
        "hf://datasets/google-research-datasets/mbpp/full/test-00000-of-00001.parquet",
        mbpp,
        MBPP_STOP,
    ),
}

#: Stop texts of extended tests, which are published as files only.
EXTENDED = {"humaneval-plus": CODE_STOP, "mbpp-plus": MBPP_STOP}


@hookimpl
def open_benchmark(name: str) -> Benchmark | None:
    """Open a published benchmark, with `@PATH` for a file or another address; `file@PATH?…`; `example-three`.

    Answers are written for `humaneval`, `mbpp` and `gsm8k`, for `humaneval-plus` and `mbpp-plus` (files of EvalPlus) and for
    `simpleqa` (a file of questions with short answers), and chosen by likelihood for `arc_easy`, `arc_challenge`,
    `hellaswag`, `piqa`, `winogrande`, `openbookqa`, `boolq`, `social_iqa`, `commonsense_qa`, `mmlu`, `lambada` and `squad`.
    These take parameters, as in `arc_easy@test.jsonl?shots=5&examples=train.jsonl&form=choice`: `form` is `cloze` (each answer
    follows the question) or `choice` (answers are listed, their letters scored), `shots` and `examples` say how many solved
    examples precede an item and where they come from, `labels` is a file of labels that are published apart. Those of `gsm8k`
    are `form` (`solution`, `cot` or `program`), `shots` and, for solutions, `examples`.

    `file@problems.jsonl?prompt=question&solution=answer` reads any table: `prompt`, `solution`, `tests`, `id` and
    `entry_point` name its columns, and `stop`, which can be repeated, ends a completion.
    """
    kind, at, address = name.partition("@")
    if name == "example-three":
        return ThreeItems()
    if kind == "file" and at:
        path, _, query = address.partition("?")
        return open_table(name, path, query)
    kind, _, query = kind.partition("?")
    if kind in FORMATS:
        path, _, after_path = address.partition("?")
        return open_choices(kind, path, after_path or query)
    if kind == "gsm8k":
        path, _, after_path = address.partition("?")
        return open_word_problems(path, after_path or query)
    if kind == "simpleqa" or kind in EXTENDED:
        require_file(address, kind)
        return ShortAnswers(address) if kind == "simpleqa" else ExtendedTests(kind, EXTENDED[kind], address)
    if kind not in KNOWN:
        return None
    public, read_row, stop = KNOWN[kind]
    if address:
        require_file(address, kind)
    return TableBenchmark(kind, stop, address or public, read_row)
