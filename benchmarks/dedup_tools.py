"""The deduplicators that are compared: each reads parquet parts and returns the ids it would remove."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

THRESHOLD, SIZE, PERMUTATIONS, BANDS, ROWS = 0.8, 5, 128, 16, 8
_WORD = re.compile(r"\w+")


def parts_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def shingles(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return [" ".join(words[at : at + SIZE]) for at in range(max(1, len(words) - SIZE + 1))]


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    for part in parts_of(folder):
        yield from pl.read_parquet(part, columns=["id", "text"]).iter_rows()


def ours(folder: Path) -> list[str]:
    """Run `dedup/minhash` as the engine does: sketches part by part, then verdicts on all."""
    from textbookgen_dedup.stages.minhash import MinHashDedup

    stage = MinHashDedup(inputs=("corpus",), threshold=THRESHOLD, memory_mib=int(os.environ.get("MEMORY_MIB", "1024")))
    with tempfile.TemporaryDirectory(dir=folder) as sketches:
        for part in parts_of(folder):
            stage.sketch(pl.read_parquet(part, columns=["id", "text"])).write_parquet(Path(sketches) / part.name)
        verdicts = stage.decide(pl.scan_parquet(Path(sketches, "*.parquet")), pl.scan_parquet(Path(folder, "part-*.parquet")))
    return verdicts.filter(~pl.col("keep"))["id"].to_list()


class Components:
    """Union-find that keeps the first member of each component, as most tools do."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def top(self, one: str) -> str:
        while (up := self.parent.setdefault(one, one)) != one:
            self.parent[one] = self.parent[up]
            one = up
        return one

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self.top(one), self.top(other)))
        self.parent[high] = low

    def removed(self) -> list[str]:
        return [one for one in self.parent if self.top(one) != one]


def _batches(items: Iterable[tuple[str, str]], size: int = 1000) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def datasketch(folder: Path) -> list[str]:
    """Run datasketch 2's batch API and LSH, with connected components over the candidates as in its documentation."""
    from datasketch import MinHash, MinHashLSH

    index, components = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS)), Components()
    for batch in _batches(texts(folder)):
        tokens = ([token.encode() for token in shingles(text)] for _, text in batch)
        for (key, _), sketch in zip(batch, MinHash.generator(tokens, num_perm=PERMUTATIONS), strict=True):
            for other in index.query(sketch):
                components.join(key, other)
            index.insert(key, sketch)
    return components.removed()


def rensa(folder: Path) -> list[str]:
    """Run rensa's R-MinHash over all shingles and its LSH, with connected components over the candidates."""
    from rensa import RMinHash, RMinHashLSH

    keys: list[str] = []
    index, components = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=BANDS), Components()
    for batch in _batches(texts(folder)):
        sketches = RMinHash.from_token_sets([shingles(text) for _, text in batch], num_perm=PERMUTATIONS, seed=42)
        for (key, _), sketch in zip(batch, sketches, strict=True):
            for other in index.query(sketch):
                components.join(key, keys[other])
            index.insert(len(keys), sketch)
            keys.append(key)
    return components.removed()


def rensa_greedy(folder: Path) -> list[str]:
    """Run rensa's own deduplicator, which removes a document if an earlier one is similar by estimate."""
    from rensa import RMinHashDeduplicator

    tool = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=PERMUTATIONS, use_lsh=True, num_bands=BANDS)
    removed: list[str] = []
    for batch in _batches(texts(folder)):
        kept = tool.add_pairs((key, shingles(text)) for key, text in batch)
        removed += [key for (key, _), keep in zip(batch, kept, strict=True) if not keep]
    return removed


def datatrove(folder: Path) -> list[str]:
    """Run datatrove's four steps with its defaults (14 buckets of 8), but SHA-1: its xxhash call fails with xxhash 4."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig
    from loguru import logger

    logger.remove()
    config = MinhashConfig(hash_config=HashConfig(precision=64, hash_fc="sha1"), n_grams=SIZE)

    def rows() -> Iterator[Any]:
        return (Document(text=text, id=key) for key, text in texts(folder))

    with tempfile.TemporaryDirectory(dir=folder) as out:
        signatures, buckets, remove = (Path(out, name) for name in ("signatures", "buckets", "remove"))
        for _ in MinhashDedupSignature(str(signatures), config=config).run(rows(), 0, 1) or ():
            pass
        for bucket in range(config.num_buckets):
            MinhashDedupBuckets(str(signatures), str(buckets), config=config).run(None, bucket, config.num_buckets)
        MinhashDedupCluster(str(buckets), str(remove), config=config).run(None, 0, 1)
        kept = {document.id for document in MinhashDedupFilter(str(remove)).run(rows(), 0, 1)}
    return [key for key, _ in texts(folder) if key not in kept]


TOOLS: dict[str, Callable[[Path], list[str]]] = {
    "ours": ours,
    "datasketch": datasketch,
    "rensa": rensa,
    "rensa-greedy": rensa_greedy,
    "datatrove": datatrove,
}
