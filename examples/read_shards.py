"""Reads what `use = "pack"` wrote: Megatron's `.bin` and `.idx` files, and the manifest beside them.

    python read_shards.py FOLDER [DOCUMENT] [--megatron]

numpy is enough: the format is small. With `--megatron` the same is read by Megatron-core's own IndexedDataset.
"""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

DTYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 6: np.float64, 7: np.float32, 8: np.uint16}


class Documents:
    """Token ids by document, in a `.bin` file that is mapped, not read; the `.idx` file says where each begins."""

    def __init__(self, prefix: Path) -> None:
        index = prefix.with_name(f"{prefix.name}.idx").read_bytes()
        magic, version, code, sequences, _ = struct.unpack_from("<9sQBQQ", index)
        if (magic, version) != (b"MMIDIDX\x00\x00", 1):
            raise SystemExit(f"{prefix}.idx is no index of Megatron's")
        start = struct.calcsize("<9sQBQQ")
        self.lengths = np.frombuffer(index, np.int32, sequences, start)
        self.pointers = np.frombuffer(index, np.int64, sequences, start + self.lengths.nbytes)
        self.tokens = np.memmap(prefix.with_name(f"{prefix.name}.bin"), DTYPES[code], mode="r")

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> np.ndarray:
        start = int(self.pointers[number]) // self.tokens.itemsize
        return self.tokens[start : start + int(self.lengths[number])]


def open_documents(prefix: Path, megatron: bool = False) -> Sequence[np.ndarray]:
    """Documents of a split. Keep hold of Megatron's: its arrays look into a file that it closes when it goes away."""
    if not megatron:
        return Documents(prefix)
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    return IndexedDataset(str(prefix))


def text_of(ids: Sequence[int], folder: Path, manifest: dict) -> str:
    """The text of a document, if its tokenizer is in the folder or is bytes; else its ids."""
    ids = [int(item) for item in ids if item != manifest["eod"]]
    name = manifest["tokenizer"]["file"]
    if name is None:
        return bytes(ids).decode(errors="replace") if manifest["tokenizer"]["name"] == "bytes" else str(ids)
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / name)).decode(ids)


def main(folder: Path, number: int, megatron: bool) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    splits = {split: open_documents(folder / split, megatron) for split in ("train", "valid")}
    for split, documents in splits.items():
        result = (len(documents), sum(len(documents[n]) for n in range(len(documents))))
        expected = (manifest[split]["documents"], manifest[split]["tokens"])
        agree = "as the manifest says" if result == expected else f"but the manifest says {expected}"
        print(f"{split}: {result[0]} documents, {result[1]} tokens, {agree}")
    print(f"document {number}: {text_of(splits['train'][number], folder, manifest)}")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Reads shards that pack wrote.")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("number", type=int, nargs="?", default=0, help="the document of the training data that is shown")
    arguments.add_argument("--megatron", action="store_true", help="read with Megatron-core")
    main(**vars(arguments.parse_args()))
