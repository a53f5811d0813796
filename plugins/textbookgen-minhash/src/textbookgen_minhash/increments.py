"""An index on disk of what was kept, so that a new batch is compared with all before it without reading that again.

    INDEX/index.json              the scheme, and batches in the order they came
    INDEX/BATCH/verdicts.parquet  of each document of the batch
    INDEX/BATCH/known.parquet     each distinct text: its exact hash, the place of the kept document, and how like it is
    INDEX/BATCH/kept.parquet      the kept documents: id, signature, and the size of the shingle set
    INDEX/BATCH/sets.u64          their shingle sets, sorted and end to end

Places count kept documents from the first batch on. A batch counts once `index.json` names it, which is written last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from textbookgen.errors import RunError
from textbookgen_minhash.copies import NONE, Index, Originals, Room, Sieve, Signs, exact_copies, read_sets, read_signs
from textbookgen_minhash.dedup import verdicts_of
from textbookgen_minhash.sketches import Scheme

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add(
    folder: Path,
    sketches: pl.LazyFrame,
    corpus: pl.LazyFrame,
    compared: Callable[[pl.DataFrame], pl.Series],
    precedence: NDArray[np.int64],
    scheme: Scheme,
    threshold: float,
    form: str,
    room: Room,
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
        self.kept = pl.scan_parquet([each / "kept.parquet" for each in self.folders]) if self.folders else None
        self.ids = self.kept.select("id").collect().to_series() if self.kept is not None else pl.Series([], dtype=pl.String)

    def work(self, precedence: NDArray[np.int64], out: Path) -> pl.DataFrame:
        """Verdicts; writes what later batches need to `out`."""
        import numpy as np

        n = len(precedence)
        found = Originals(np.full(n, NONE, np.uint32), np.zeros(n), np.zeros(n, np.bool_))
        firsts = exact_copies(self.sieve.sketches, precedence, found)
        copies = found.exact.nonzero()[0]
        within = found.of[copies]
        exact = self.sieve.sketches.select("exact").collect().to_series().to_numpy()
        unknown = self._known(exact, firsts, found)
        signs = read_signs(self.sieve, unknown, n)
        sets, spans = read_sets(self.sieve, unknown, n)
        self._settle(signs, sets, spans, unknown, found)
        _pass_on(found, copies, within, len(self.ids))
        self._write(out, exact[firsts], firsts, unknown, sets, spans, found)
        ids = self.sieve.sketches.select("id").collect().to_series()
        return verdicts_of(ids, found, self.ids)

    def _known(self, exact: NDArray[np.uint64], firsts: NDArray[np.int64], found: Originals) -> NDArray[np.int64]:
        """Notes what is word by word in an earlier batch; returns the rest."""
        if not self.folders:
            return firsts
        mine = pl.LazyFrame({"a": exact[firsts, 0], "b": exact[firsts, 1], "at": firsts})
        known = pl.scan_parquet([each / "known.parquet" for each in self.folders]).join(mine, on=["a", "b"]).collect()
        at = known["at"].to_numpy()
        found.of[at], found.jaccard[at] = known["place"].to_numpy(), known["jaccard"].to_numpy()
        found.exact[at] = ~known["near"].to_numpy()
        rest: NDArray[np.int64] = firsts[found.of[firsts] == NONE]
        return rest

    def _settle(
        self, signs: Signs, sets: NDArray[np.uint64], spans: NDArray[np.int64], unknown: NDArray[np.int64], found: Originals
    ) -> None:
        """Compares the rest with what was kept before, a block at a time, and then with itself."""
        import numpy as np

        from textbookgen_minhash import chains

        many, size = len(self.ids), self.sieve.room.block(self.sieve.scheme.bands, self.sieve.scheme.permutations)
        original, similarity = np.full(len(unknown), NONE, np.uint32), np.zeros(len(unknown))
        if not len(unknown) or self.sieve.threshold >= 1:
            return
        for low, old, old_sets, old_spans in self._blocks(size):
            index = Index.empty(low, old.bands, old.bytes)
            chains.index_all(index.bands, index.heads, index.following)
            index.low = 0  # spans and sets are the block's own
            chains.settle(
                signs.bands, signs.bytes, 0, *index.fields(), self.sieve.least(), index.seen,
                sets, spans, old_sets, old_spans, self.sieve.threshold, original, similarity, low, False,
            )  # fmt: skip
        for start, bands, bytes_ in signs.blocks(size):
            index = Index.empty(start, bands, bytes_)
            for low, others, their_bytes in signs.blocks(size):
                if low >= start:
                    chains.settle(
                        others, their_bytes, low, *index.fields(), self.sieve.least(), index.seen,
                        sets, spans, sets, spans, self.sieve.threshold, original, similarity, many, low == start,
                    )  # fmt: skip
        copies = original != NONE
        inside = copies & (original >= many)
        original[inside] = unknown[original[inside] - many] + many
        found.of[unknown[copies]], found.jaccard[unknown[copies]] = original[copies], similarity[copies]

    def _blocks(self, size: int) -> Any:
        """The earlier batches' kept documents, some of one batch at a time: place of the first, signs, sets and spans."""
        import numpy as np

        from textbookgen_minhash import kernels

        place = 0
        for folder in self.folders:
            sizes = pl.read_parquet(folder / "kept.parquet", columns=["size"])["size"].to_numpy()
            ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
            sets = np.asarray(np.memmap(folder / "sets.u64", np.uint64, "r")) if ends[-1] else np.zeros(0, np.uint64)
            for low in range(0, len(sizes), size):
                signatures = pl.scan_parquet(folder / "kept.parquet").slice(low, size).select("signature").collect()
                values = signatures.to_series().to_numpy()
                bands = np.empty((len(values), self.sieve.scheme.bands), np.uint32)
                kernels.bands_of(values, self.sieve.scheme.rows, bands)
                high = low + len(values)
                yield (
                    place + low,
                    Signs(bands, values.astype(np.uint8)),
                    sets,
                    np.stack([ends[low:high], ends[low + 1 : high + 1]]),
                )
            place += len(sizes)

    def _write(
        self,
        out: Path,
        exact: NDArray[np.uint64],
        firsts: NDArray[np.int64],
        unknown: NDArray[np.int64],
        sets: NDArray[np.uint64],
        spans: NDArray[np.int64],
        found: Originals,
    ) -> None:
        import numpy as np

        many = len(self.ids)
        stays = found.of[unknown] == NONE
        kept, places = unknown[stays], np.full(len(found.of), NONE, np.uint32)
        places[kept] = np.arange(many, many + len(kept), dtype=np.uint32)
        of = found.of[firsts]
        inside = (of != NONE) & (of >= many)
        place = np.where(of == NONE, places[firsts], of)
        place[inside] = places[of[inside] - many]
        known = {"a": exact[:, 0], "b": exact[:, 1], "place": place, "near": (of != NONE) & ~found.exact[firsts]}
        jaccard = np.where(of == NONE, 1.0, found.jaccard[firsts])
        pl.DataFrame(known).with_columns(jaccard=pl.Series(jaccard)).write_parquet(out / "known.parquet")
        rows = (
            self.sieve.sketches.select("id", "signature")
            .with_row_index("row")
            .filter(pl.col("row").is_in(pl.lit(kept).implode()))
        )
        order = pl.LazyFrame({"row": pl.Series(kept, dtype=pl.UInt32), "size": (spans[1] - spans[0])[stays]})
        order.join(rows, on="row", how="left", maintain_order="left").select("id", "signature", "size").sink_parquet(
            out / "kept.parquet"
        )
        with (out / "sets.u64").open("wb") as file:
            for at in stays.nonzero()[0].tolist():
                sets[spans[0, at] : spans[1, at]].tofile(file)


def _pass_on(found: Originals, copies: NDArray[np.int64], within: NDArray[np.uint32], many: int) -> None:
    """Tells exact copies within the batch what became of the one they are copies of."""
    stays = found.of[within] == NONE
    found.of[copies[stays]] = within[stays] + many
    gone, via = copies[~stays], within[~stays]
    found.of[gone], found.jaccard[gone], found.exact[gone] = found.of[via], found.jaccard[via], found.exact[via]
