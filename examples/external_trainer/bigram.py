"""A trainer from outside: reads whatever `use = "export"` wrote, knowing nothing of textbookgen, and learns bigrams.

    python bigram.py FOLDER

FOLDER holds `manifest.json` and the files it names. Texts are learnt character by character, token ids as they are; the
figure at the end is how many bits the model needs for each, on what was kept for validation or else on the training data.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

END = -1


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, some at a time."""
    if file.suffix == ".jsonl":
        with file.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)
        return
    for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


def symbols(row: dict[str, Any]) -> list[int]:
    """What is learnt of a row: its token ids, or the characters of its text or messages."""
    if "input_ids" in row:
        return list(row["input_ids"])
    if "text" in row:
        text = row["text"]
    else:  # a conversation, or a preference, of which only the chosen reply is learnt
        turns = row["messages"] if "messages" in row else row["prompt"] + row["chosen"]
        text = "\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)
    return [*map(ord, text), END]


class Bigrams:
    """How often each symbol follows each other one; one is added to all counts, so that nothing is impossible."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[int, int]] = Counter()
        self.firsts: Counter[int] = Counter()
        self.known: set[int] = {END}

    def learn(self, sequence: Sequence[int]) -> None:
        for first, second in pairwise([END, *sequence]):
            self.pairs[first, second] += 1
            self.firsts[first] += 1
            self.known.add(second)

    def bits(self, sequence: Sequence[int]) -> float:
        choices = len(self.known) + 1
        return sum(-math.log2((self.pairs[pair] + 1) / (self.firsts[pair[0]] + choices)) for pair in pairwise([END, *sequence]))


def files_of(folder: Path, manifest: dict[str, Any], split: str) -> list[Path]:
    return [folder / file["name"] for file in manifest["files"] if file["split"] == split]


def main(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    train, held_out = (files_of(folder, manifest, split) for split in ("train", "validation"))
    model = Bigrams()
    documents = learnt = 0
    for row in chain.from_iterable(map(rows, train)):
        sequence = symbols(row)
        model.learn(sequence)
        documents, learnt = documents + 1, learnt + len(sequence)
    bits = measured = 0.0
    for row in chain.from_iterable(map(rows, held_out or train)):
        sequence = symbols(row)
        bits, measured = bits + model.bits(sequence), measured + len(sequence)
    what = "token" if "vocabulary" in manifest else "character"
    where = "validation" if held_out else "training"
    print(f"{manifest['format']}: {documents} documents in {len(train)} files, {learnt} {what}s of {len(model.known)} kinds")
    print(f"{bits / max(measured, 1):.3f} bits a {what} on {where} data")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
