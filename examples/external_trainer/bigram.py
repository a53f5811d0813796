"""An external trainer: reads the output of `use = "export"` without importing textbookgen, and trains a bigram model.

    python bigram.py FOLDER

FOLDER contains `manifest.json` and the files it names. Texts are modelled character by character, token ids as they are. The
script prints the bits per symbol on the validation data, or on the training data if there is none.
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
    """Yield the rows of a file."""
    if file.suffix == ".jsonl":
        with file.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)
        return
    for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


def symbols(row: dict[str, Any]) -> list[int]:
    """Return the symbols of a row: its token ids, or the characters of its text or messages."""
    if "input_ids" in row:
        return list(row["input_ids"])
    if "text" in row:
        text = row["text"]
    else:  # a conversation, or a preference pair, of which only the chosen reply is used
        turns = row["messages"] if "messages" in row else row["prompt"] + row["chosen"]
        text = "\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)
    return [*map(ord, text), END]


class Bigrams:
    """A bigram model with add-one smoothing."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[int, int]] = Counter()
        self.firsts: Counter[int] = Counter()
        self.known: set[int] = {END}

    def train(self, sequence: Sequence[int]) -> None:
        """Count the bigrams of a sequence."""
        for first, second in pairwise([END, *sequence]):
            self.pairs[first, second] += 1
            self.firsts[first] += 1
            self.known.add(second)

    def bits(self, sequence: Sequence[int]) -> float:
        """Return the negative log2 probability of a sequence."""
        choices = len(self.known) + 1
        return sum(-math.log2((self.pairs[pair] + 1) / (self.firsts[pair[0]] + choices)) for pair in pairwise([END, *sequence]))


def files_of(folder: Path, manifest: dict[str, Any], split: str) -> list[Path]:
    """Return the files of a split."""
    return [folder / file["name"] for file in manifest["files"] if file["split"] == split]


def main(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    train, held_out = (files_of(folder, manifest, split) for split in ("train", "validation"))
    model = Bigrams()
    documents = trained = 0
    for row in chain.from_iterable(map(rows, train)):
        sequence = symbols(row)
        model.train(sequence)
        documents, trained = documents + 1, trained + len(sequence)
    bits, evaluated = 0.0, 0
    for row in chain.from_iterable(map(rows, held_out or train)):
        sequence = symbols(row)
        bits, evaluated = bits + model.bits(sequence), evaluated + len(sequence)
    unit = "token" if "vocabulary" in manifest else "character"
    split = "validation" if held_out else "training"
    print(f"{manifest['format']}: {documents} documents in {len(train)} files, {trained} {unit}s, {len(model.known)} distinct")
    print(f"{bits / max(evaluated, 1):.3f} bits per {unit} on {split} data")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
