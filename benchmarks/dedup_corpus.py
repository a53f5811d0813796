"""A corpus of real text with planted copies, and the true Jaccard index of every pair that reaches the threshold."""

from __future__ import annotations

import gzip
import math
import random
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numba import njit
from textbookgen_dedup.lsh import lsh_kernels
from textbookgen_dedup.lsh.signatures import shingle_sets

FOLDERS = ("/usr/share/doc", "/usr/share/man", "/usr/include", "/usr/share/perl", "/usr/lib/node_modules")
ENDINGS = {".py", ".txt", ".gz", ".h", ".pm", ".pod", ".md", ".rst", ".html", ".js", ""}
EDITS = (
    "exact",
    "format",
    *(f"{how}{share}" for how, shares in (("sub", (1, 5, 10, 20, 30)), ("blk", (5, 10, 20, 30))) for share in shares),
)
PART = 5_000
LONG, SHORT = (200, 2000), (25, 130)  # words in a piece


def real_text(rng: random.Random, min_words: int, max_words: int) -> Iterator[list[str]]:
    """Yield pieces of the text on a Debian machine, with their white space, each once; lengths in words are log-uniform."""
    roots = [Path(sysconfig.get_paths()["purelib"]), Path(sysconfig.get_paths()["stdlib"]), *map(Path, FOLDERS)]
    files = sorted(
        {file for root in roots if root.is_dir() for file in root.rglob("*") if file.suffix in ENDINGS and file.is_file()}
    )
    rng.shuffle(files)
    for file in files:
        try:
            raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        except (OSError, EOFError, gzip.zlib.error):
            continue
        if b"\0" in raw[:4096] or len(raw) > 4_000_000:
            continue
        words, at = re.findall(r"\w+\W*", raw.decode("utf-8", "replace")), 0
        while len(words) - at >= min_words:
            size = round(math.exp(rng.uniform(math.log(min_words), math.log(max_words))))
            if len(piece := words[at : at + size]) >= min_words:
                yield piece
            at += size


def substitute_words(words: list[str], share: float, rng: random.Random) -> list[str]:
    """Replace words all over the text by others from elsewhere in it."""
    out = list(words)
    for at in rng.sample(range(len(words)), round(share * len(words))):
        out[at] = f"{rng.choice(words).strip()}{rng.randrange(1000)} "
    return out


def replace_block(words: list[str], share: float, rng: random.Random) -> list[str]:
    """Replace one block of words by the same number of others."""
    size = round(share * len(words))
    at = rng.randrange(len(words) - size)
    return [*words[:at], *(f"{rng.choice(words).strip()}{rng.randrange(1000)} " for _ in range(size)), *words[at + size :]]


def edit_copy(words: list[str], edit: str, rng: random.Random) -> list[str]:
    """Return a copy with this kind of edit."""
    if edit == "exact":
        return words
    if edit == "format":
        return [word.strip().upper() + rng.choice([" ", "\n", "  "]) for word in words]
    share = int(edit[3:]) / 100
    return substitute_words(words, share, rng) if edit[:3] == "sub" else replace_block(words, share, rng)


def make_group(pieces: Iterator[list[str]], rng: random.Random) -> list[tuple[list[str], str, int]]:
    """Return pieces and copies of them: words, kind, and the number in the group of its source (its own, if none)."""
    made: list[tuple[list[str], str, int]] = []

    def add(words: list[str], kind: str, source: int | None = None) -> int:
        made.append((words, kind, len(made) if source is None else source))
        return len(made) - 1

    for _ in range(54):
        add(next(pieces), "text")
    for edit in EDITS:
        for source in rng.sample(range(54), 2):
            add(edit_copy(made[source][0], edit, rng), edit, source)
    base = rng.randrange(54)
    for _ in range(8):
        add(substitute_words(made[base][0], 0.01, rng), "cluster", base)
    link = rng.randrange(54)
    for _ in range(6):
        link = add(replace_block(made[link][0], 0.03, rng), "chain", link)
    frame = made[rng.randrange(54)][0]
    for _ in range(10):  # the same frame around other content: similar, but not copies
        content = next(pieces)
        add([*frame[: len(frame) // 2], *content[: max(len(frame), 200)]], "boilerplate")
    return made


def documents(count: int, seed: int, short: bool) -> Iterator[tuple[str, str, int]]:
    """Yield text, kind, and the number of the source document (its own, if it is original)."""
    rng, first = random.Random(seed), 0
    pieces = real_text(rng, *(SHORT if short else LONG))
    while first < count:
        made = make_group(pieces, rng)[: count - first]
        yield from (("".join(words), kind, first + source) for words, kind, source in made)
        first += len(made)


def write(folder: Path, count: int, seed: int, short: bool = False) -> None:
    """Write the corpus in parts (`id`, `text`, `kind`, `source`), shuffled, unless it exists."""
    if (folder / "done").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(documents(count, seed, short))
    order = list(range(len(rows)))
    random.Random(seed + 1).shuffle(order)
    place = {number: at for at, number in enumerate(order)}
    for low in range(0, count, PART):
        chosen = order[low : low + PART]
        frame = pl.DataFrame(
            {
                "id": [f"d{place[number]:08d}" for number in chosen],
                "text": [rows[number][0] for number in chosen],
                "kind": [rows[number][1] for number in chosen],
                "source": [place.get(rows[number][2], -1) for number in chosen],
            }
        )
        frame.write_parquet(folder / f"part-{low // PART:05d}.parquet")
    (folder / "done").touch()


@njit(cache=True)
def _join(
    sets: Any, spans: Any, order: Any, counts: Any, heads: Any, after: Any, owner: Any, seen: Any, threshold: float, pairs: Any
) -> int:
    """Find every pair of sets with a Jaccard index at the threshold or above, by prefix filtering.

    Bayardo, Ma and Srikant 2007. A set's rarest shingles come first; two similar sets share one of the first
    `n - ceil(t n) + 1` of either.
    """
    mask, result, entries = np.uint64(len(heads) - 1), 0, 0
    for d in order:
        mine = sets[spans[0, d] : spans[1, d]]
        n = len(mine)
        if n == 0:
            continue
        seen[d] = d
        rank = np.argsort(counts[(mine >> np.uint64(38)).astype(np.int64)], kind="mergesort")
        prefix = n - math.ceil(threshold * n) + 1
        for at in range(prefix):
            slot = np.int64((mine[rank[at]] * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask)
            entry = heads[slot]
            while entry >= 0:
                other = owner[entry]
                if seen[other] != d:
                    seen[other] = d
                    theirs = sets[spans[0, other] : spans[1, other]]
                    if len(theirs) >= threshold * n:
                        same = lsh_kernels.jaccard(mine, theirs, threshold)
                        if same >= threshold:
                            if result < len(pairs):
                                pairs[result, 0], pairs[result, 1], pairs[result, 2] = min(d, other), max(d, other), same
                            result += 1
                entry = after[entry]
            owner[entries], after[entries], heads[slot] = d, heads[slot], entries
            entries += 1
    return result


def true_pairs(folder: Path, threshold: float = 0.8) -> pl.DataFrame:
    """Return the pairs `a`, `b` (rows of the corpus) whose 5-shingles have a Jaccard index of the threshold or more."""
    kept = folder / f"pairs-{threshold}.parquet"
    if not kept.exists():
        values, ends = [], [np.zeros(1, np.int64)]
        for part in sorted(folder.glob("part-*.parquet")):
            result, stops = shingle_sets(pl.read_parquet(part, columns=["text"])["text"], 5)
            values.append(result.copy())
            ends.append(stops + ends[-1][-1])
        sets, bounds = np.concatenate(values), np.concatenate(ends)
        spans = np.stack([bounds[:-1], bounds[1:]])
        sizes = spans[1] - spans[0]
        counts = np.bincount((sets >> np.uint64(38)).astype(np.int64), minlength=1 << 26).astype(np.int32)
        entries = int((sizes - np.ceil(threshold * sizes) + 1).sum()) + len(sizes)
        heads = np.full(1 << max(10, math.ceil(math.log2(entries))), -1, np.int64)
        capacity = 2_000_000
        pairs = np.empty((capacity, 3))
        order, entry, seen = (
            np.argsort(sizes, kind="stable"),
            np.empty((2, entries), np.int64),
            np.full(len(sizes), -1, np.int64),
        )
        count = _join(sets, spans, order, counts, heads, entry[0], entry[1], seen, threshold, pairs)
        if count > capacity:
            sys.exit(f"{count} true pairs exceed the capacity of {capacity}")
        columns = {"a": pairs[:count, 0].astype(np.int64), "b": pairs[:count, 1].astype(np.int64), "jaccard": pairs[:count, 2]}
        pl.DataFrame(columns).write_parquet(kept)
    return pl.read_parquet(kept)
