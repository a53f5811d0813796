"""An index on disk of what was kept, so that a new batch is compared with all before it without reading that again.

    INDEX/index.json              the scheme, and batches in the order they came
    INDEX/BATCH/verdicts.parquet  of each document of the batch
    INDEX/BATCH/known.parquet     each distinct text: its exact hash, the place of the kept document, and how like it is
    INDEX/BATCH/kept.parquet      the kept documents: id, and the size of the shingle set
    INDEX/BATCH/bands.u32         the bands of their signatures
    INDEX/BATCH/bytes.u8          the low byte of each value of their signatures
    INDEX/BATCH/sets.u64          their shingle sets, sorted and end to end

Places count kept documents from the first batch on. A batch counts once `index.json` names it, which is written last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from textbookgen import RunError
from textbookgen_dedup.lsh.candidates import SignatureTable, suspects
from textbookgen_dedup.lsh.copies import NONE, Originals, Sieve, exact_copies, settle
from textbookgen_dedup.lsh.signatures import Scheme
from textbookgen_dedup.lsh.spill import Sets, SpillBuffer
from textbookgen_dedup.stages.minhash import verdicts_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WRITTEN = 5_000  # documents at a time


def add(
    folder: Path,
    sketches: pl.LazyFrame,
    corpus: pl.LazyFrame,
    compared: Callable[[pl.DataFrame], pl.Series],
    precedence: NDArray[np.int64],
    scheme: Scheme,
    threshold: float,
    form: str,
    room: SpillBuffer,
) -> pl.DataFrame:
    """Verdicts on a batch in the light of all batches before it; its kept documents join the index.

    With documents in the order of the corpus the verdicts are those of one run over all batches.

    Raises:
        RunError: the index was made with other options.
    """
    card = _card(folder, {**asdict(scheme), "threshold": threshold, "form": form})
    name = _name(sketches)
    if name in card["batches"]:
        return pl.read_parquet(folder / name / "verdicts.parquet")
    batch = _Batch(folder, card["batches"], Sieve(sketches, corpus, compared, scheme, threshold, room))
    part = folder / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    verdicts = batch.work(precedence, part)
    verdicts.write_parquet(part / "verdicts.parquet")
    shutil.rmtree(folder / name, ignore_errors=True)
    part.replace(folder / name)
    card["batches"].append(name)
    whole = folder / "index.json.part"
    whole.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    whole.replace(folder / "index.json")
    return verdicts


def _card(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    file = folder / "index.json"
    if not file.exists():
        return {"options": options, "batches": []}
    card: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if card["options"] != options:
        raise RunError(f"the index in `{folder}` was made with {card['options']}, not {options}", hint="name another folder")
    return card


def _name(sketches: pl.LazyFrame) -> str:
    """A batch by its content: ids and exact hashes in order."""
    digest = hashlib.blake2b(digest_size=12)
    for frame in sketches.select("id", "exact").collect_batches(chunk_size=50_000, maintain_order=True):
        digest.update("\n".join(frame["id"]).encode() + b"\n" + frame["exact"].to_numpy().tobytes())
    return digest.hexdigest()


class _Batch:
    """One batch on its way into the index."""

    def __init__(self, folder: Path, earlier: list[str], sieve: Sieve) -> None:
        self.sieve = sieve
        self.folders = [folder / name for name in earlier]
        self.kept = [pl.read_parquet(item / "kept.parquet") for item in self.folders]
        self.ids = pl.concat([item["id"] for item in self.kept]) if self.kept else pl.Series([], dtype=pl.String)

    def work(self, precedence: NDArray[np.int64], out: Path) -> pl.DataFrame:
        """Verdicts; writes what later batches need to `out`."""
        import numpy as np

        n = len(precedence)
        result = Originals(np.full(n, NONE, np.uint32), np.zeros(n), np.zeros(n, np.bool_))
        firsts = exact_copies(self.sieve.sketches, precedence, result)
        copies = result.exact.nonzero()[0]
        within = result.of[copies]
        exact = self.sieve.sketches.select("exact").collect().to_series().to_numpy()
        unknown = self._known(exact, firsts, result)
        signs, sets = self.sieve.read_signs(unknown, n), self.sieve.read_sets(unknown, n)
        self._settle(signs, sets, unknown, result)
        _pass_on(result, copies, within, len(self.ids))
        self._write(out, exact[firsts], firsts, unknown, signs, sets, result)
        ids = self.sieve.sketches.select("id").collect().to_series()
        return verdicts_of(ids, result, self.ids)

    def _known(self, exact: NDArray[np.uint64], firsts: NDArray[np.int64], result: Originals) -> NDArray[np.int64]:
        """Notes what is word by word in an earlier batch; returns the rest."""
        if not self.folders:
            return firsts
        mine = pl.LazyFrame({"a": exact[firsts, 0], "b": exact[firsts, 1], "at": firsts})
        known = pl.scan_parquet([item / "known.parquet" for item in self.folders]).join(mine, on=["a", "b"]).collect()
        at = known["at"].to_numpy()
        result.of[at], result.jaccard[at] = known["place"].to_numpy(), known["jaccard"].to_numpy()
        result.exact[at] = ~known["near"].to_numpy()
        rest: NDArray[np.int64] = firsts[result.of[firsts] == NONE]
        return rest

    def _settle(self, signs: SignatureTable, sets: Sets, unknown: NDArray[np.int64], result: Originals) -> None:
        """Compares the rest with what was kept before, and then with itself."""
        import numpy as np

        if not len(unknown) or self.sieve.threshold >= 1:
            return
        original, similarity = np.full(len(unknown), NONE, np.uint32), np.zeros(len(unknown))
        for rows in self.sieve.room.blocks(8 * sets.sizes + 16 * signs.bands.shape[1] + signs.lows.shape[1] + 4):
            self._meet(signs, sets, rows, original[rows], similarity[rows])
        chosen = suspects(signs, self.sieve.least())
        chosen = chosen[original[chosen] == NONE]
        within, likeness = settle(self.sieve, signs, chosen, sets, chosen)
        copies = within != NONE
        original[chosen[copies]] = unknown[chosen[within[copies]]] + len(self.ids)
        similarity[chosen[copies]] = likeness[copies]
        copies = original != NONE
        result.of[unknown[copies]], result.jaccard[unknown[copies]] = original[copies], similarity[copies]

    def _meet(
        self, signs: SignatureTable, sets: Sets, rows: slice, original: NDArray[np.uint32], similarity: NDArray[np.float64]
    ) -> None:
        """Finds for each document of a block the first of the earlier batches that it is alike."""
        import numpy as np

        from textbookgen_dedup.lsh import lsh_kernels as chains

        bands, bytes_ = signs.bands.between(rows.start, rows.stop), signs.lows.between(rows.start, rows.stop)
        values, spans = sets.at(np.arange(rows.start, rows.stop))
        heads = np.full((bands.shape[1], 1 << max(4, (len(bands) - 1).bit_length())), NONE, np.uint32)
        following = np.empty(bands.shape, np.uint32)
        chains.index_all(bands, heads, following)
        place = 0
        for folder, kept in zip(self.folders, self.kept, strict=True):
            pairs = [self._pairs(old, low, (bands, bytes_, heads, following)) for low, old in self._signs(folder, len(kept))]
            alike = np.sort(np.concatenate(pairs)) if pairs else np.empty(0, np.uint64)
            alike = alike[original[(alike >> np.uint64(32)).astype(np.int64)] == NONE]
            if len(alike):
                ends, known = np.cumsum(kept["size"].to_numpy()), np.asarray(np.memmap(folder / "sets.u64", np.uint64, "r"))
                first = np.full(len(bands), NONE, np.uint32)
                chains.confirm(
                    alike, values, spans, known, ends - kept["size"].to_numpy(), kept["size"].to_numpy(),
                    self.sieve.threshold, first, similarity,
                )  # fmt: skip
                original[first != NONE] = first[first != NONE] + np.uint32(place)
            place += len(kept)

    def _signs(self, folder: Path, many: int) -> Iterator[tuple[int, tuple[NDArray[np.uint32], NDArray[np.uint8]]]]:
        """An earlier batch's kept documents, some at a time: the first, bands and bytes."""
        import numpy as np

        scheme = self.sieve.scheme
        size = max(1, self.sieve.room.bytes // 4 // (4 * scheme.bands + scheme.permutations))
        for low in range(0, many, size):
            rows = min(size, many - low)
            bands = np.fromfile(folder / "bands.u32", np.uint32, rows * scheme.bands, offset=4 * low * scheme.bands)
            bytes_ = np.fromfile(folder / "bytes.u8", np.uint8, rows * scheme.permutations, offset=low * scheme.permutations)
            yield low, (bands.reshape(rows, -1), bytes_.reshape(rows, -1))

    def _pairs(self, old: tuple[Any, Any], low: int, index: tuple[Any, Any, Any, Any]) -> NDArray[np.uint64]:
        """Which of the index (upper half) and of the old ones (lower half, counted in their batch) look alike."""
        import numpy as np

        from textbookgen_dedup.lsh import lsh_kernels as chains

        bands, bytes_, heads, following = index
        room = 1 << 16
        while True:
            pairs, seen = np.empty(room, np.uint64), np.full(len(bands), NONE, np.uint32)
            result = chains.meet(*old, bands, bytes_, heads, following, self.sieve.least(), seen, pairs)
            if result <= room:
                return pairs[:result] + np.uint64(low)
            room = result

    def _write(
        self,
        out: Path,
        exact: NDArray[np.uint64],
        firsts: NDArray[np.int64],
        unknown: NDArray[np.int64],
        signs: SignatureTable,
        sets: Sets,
        result: Originals,
    ) -> None:
        """What later batches need."""
        import numpy as np

        many = len(self.ids)
        stays = result.of[unknown] == NONE
        kept, places = unknown[stays], np.full(len(result.of), NONE, np.uint32)
        places[kept] = np.arange(many, many + len(kept), dtype=np.uint32)
        of = result.of[firsts]
        inside = (of != NONE) & (of >= many)
        place = np.where(of == NONE, places[firsts], of)
        place[inside] = places[of[inside] - many]
        known = {"a": exact[:, 0], "b": exact[:, 1], "place": place, "near": (of != NONE) & ~result.exact[firsts]}
        jaccard = np.where(of == NONE, 1.0, result.jaccard[firsts])
        pl.DataFrame(known).with_columns(jaccard=pl.Series(jaccard)).write_parquet(out / "known.parquet")
        ids = self.sieve.sketches.select("id").collect().to_series().gather(kept)
        pl.DataFrame({"id": ids, "size": sets.sizes[stays]}).write_parquet(out / "kept.parquet")
        with (
            (out / "bands.u32").open("wb") as bands,
            (out / "bytes.u8").open("wb") as bytes_,
            (out / "sets.u64").open("wb") as all_,
        ):
            rows = stays.nonzero()[0]
            for low in range(0, len(rows), _WRITTEN):
                places = rows[low : low + _WRITTEN]
                signs.bands.at(places).tofile(bands)
                signs.lows.at(places).tofile(bytes_)
                values, spans = sets.at(places)
                for begin, end in spans.T.tolist():
                    values[begin:end].tofile(all_)


def _pass_on(result: Originals, copies: NDArray[np.int64], within: NDArray[np.uint32], many: int) -> None:
    """Tells exact copies within the batch what became of the one they are copies of."""
    stays = result.of[within] == NONE
    result.of[copies[stays]] = within[stays] + many
    gone, via = copies[~stays], within[~stays]
    result.of[gone], result.jaccard[gone], result.exact[gone] = result.of[via], result.jaccard[via], result.exact[via]
