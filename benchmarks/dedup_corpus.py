"""A corpus of real text with planted copies, and the true Jaccard index of every pair in it that reaches the threshold."""

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
from textbookgen_dedup.lsh import lsh_kernels as chains
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


def real_text(rng: random.Random, least: int, most: int) -> Iterator[list[str]]:
    """Pieces of the text that a Debian machine has, white space kept, each piece once; lengths in words are log-uniform."""
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
        while len(words) - at >= least:
            size = round(math.exp(rng.uniform(math.log(least), math.log(most))))
            if len(piece := words[at : at + size]) >= least:
                yield piece
            at += size


def substituted(words: list[str], share: float, rng: random.Random) -> list[str]:
    """Words replaced by others from elsewhere in the text, spread over it."""
    out = list(words)
    for at in rng.sample(range(len(words)), round(share * len(words))):
        out[at] = f"{rng.choice(words).strip()}{rng.randrange(1000)} "
    return out


def blocked(words: list[str], share: float, rng: random.Random) -> list[str]:
    """One block of words replaced by the same number of others."""
    size = round(share * len(words))
    at = rng.randrange(len(words) - size)
    return [*words[:at], *(f"{rng.choice(words).strip()}{rng.randrange(1000)} " for _ in range(size)), *words[at + size :]]


def copy(words: list[str], edit: str, rng: random.Random) -> list[str]:
    """A copy with this kind of edit."""
    if edit == "exact":
        return words
    if edit == "format":
        return [word.strip().upper() + rng.choice([" ", "\n", "  "]) for word in words]
    share = int(edit[3:]) / 100
    return substituted(words, share, rng) if edit[:3] == "sub" else blocked(words, share, rng)


def group(pieces: Iterator[list[str]], rng: random.Random) -> list[tuple[list[str], str, int]]:
    """Some pieces and copies of them: words, kind, and the number in the group that it was made from (its own, if none)."""
    made: list[tuple[list[str], str, int]] = []

    def add(words: list[str], kind: str, source: int | None = None) -> int:
        made.append((words, kind, len(made) if source is None else source))
        return len(made) - 1

    for _ in range(54):
        add(next(pieces), "text")
    for edit in EDITS:
        for source in rng.sample(range(54), 2):
            add(copy(made[source][0], edit, rng), edit, source)
    base = rng.randrange(54)
    for _ in range(8):
        add(substituted(made[base][0], 0.01, rng), "cluster", base)
    link = rng.randrange(54)
    for _ in range(6):
        link = add(blocked(made[link][0], 0.03, rng), "chain", link)
    frame = made[rng.randrange(54)][0]
    for _ in range(10):  # the same frame around other content: alike, yet no copies
        content = next(pieces)
        add([*frame[: len(frame) // 2], *content[: max(len(frame), 200)]], "boilerplate")
    return made


def documents(many: int, seed: int, short: bool) -> Iterator[tuple[str, str, int]]:
    """Text, kind, and the number of the document it was made from (its own, if it was cut from text)."""
    rng, first = random.Random(seed), 0
    pieces = real_text(rng, *(SHORT if short else LONG))
    while first < many:
        made = group(pieces, rng)[: many - first]
        yield from (("".join(words), kind, first + source) for words, kind, source in made)
        first += len(made)


def write(folder: Path, many: int, seed: int, short: bool = False) -> None:
    """Writes the corpus in parts (`id`, `text`, `kind`, `source`), shuffled, unless it is there."""
    if (folder / "done").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(documents(many, seed, short))
    order = list(range(len(rows)))
    random.Random(seed + 1).shuffle(order)
    place = {number: at for at, number in enumerate(order)}
    for low in range(0, many, PART):
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
    """Every pair of sets with Jaccard index at the threshold or above, by prefix filtering.

    Bayardo, Ma and Srikant 2007. A set's rarest shingles come first; two sets that are alike share one of the first
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
                        same = chains.jaccard(mine, theirs, threshold)
                        if same >= threshold:
                            if result < len(pairs):
                                pairs[result, 0], pairs[result, 1], pairs[result, 2] = min(d, other), max(d, other), same
                            result += 1
                entry = after[entry]
            owner[entries], after[entries], heads[slot] = d, heads[slot], entries
            entries += 1
    return result


def true_pairs(folder: Path, threshold: float = 0.8) -> pl.DataFrame:
    """The pairs `a`, `b` (places in the corpus) whose 5-shingles have a Jaccard index of the threshold or more."""
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
        room = 2_000_000
        pairs = np.empty((room, 3))
        order, entry, seen = (
            np.argsort(sizes, kind="stable"),
            np.empty((2, entries), np.int64),
            np.full(len(sizes), -1, np.int64),
        )
        many = _join(sets, spans, order, counts, heads, entry[0], entry[1], seen, threshold, pairs)
        if many > room:
            sys.exit(f"{many} true pairs are more than there is room for")
        columns = {"a": pairs[:many, 0].astype(np.int64), "b": pairs[:many, 1].astype(np.int64), "jaccard": pairs[:many, 2]}
        pl.DataFrame(columns).write_parquet(kept)
    return pl.read_parquet(kept)
