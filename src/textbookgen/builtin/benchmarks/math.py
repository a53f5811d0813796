"""Benchmarks of word problems: GSM8K."""

from __future__ import annotations

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.builtin.benchmarks.table import Row


def gsm8k(row: Row, number: int) -> BenchmarkItem:
    """Return an item of GSM8K (Cobbe et al., arXiv 2110.14168): the solution is the number after `####`, without reasoning."""
    answer = row["answer"].rpartition("####")[2].strip().replace(",", "")
    return BenchmarkItem(f"GSM8K/{number}", f"Question: {row['question'].strip()}\nAnswer:", answer)
