"""An index on disk of kept documents, against which later batches are compared without reading earlier texts again.

    INDEX/index.json              the options, and the batches in the order in which they were added
    INDEX/BATCH/verdicts.parquet  one verdict per document of the batch
    INDEX/BATCH/known.parquet     per distinct text its exact hash, the number of the kept document, and the similarity to it
    INDEX/BATCH/kept.parquet      the kept documents: id, and size of the shingle set
    INDEX/BATCH/bands.u32         their band hashes
    INDEX/BATCH/bytes.u8          the low byte of each value of their signatures
    INDEX/BATCH/sets.u64          their shingle sets, sorted and end to end

Kept documents are numbered from the first batch on. A batch counts once `index.json` lists it, which is written last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from textbookgen import RunError
from textbookgen.api.files import write_json
from textbookgen_dedup.lsh.candidates import SignatureTable, find_candidates
from textbookgen_dedup.lsh.spill import ShingleSets
from textbookgen_dedup.lsh.verdicts import duplicate_verdicts
from textbookgen_dedup.lsh.verification import NONE, CorpusReader, Duplicates, find_exact_copies, match_to_kept

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from textbookgen_dedup.lsh.lsh_kernels import BandChains, DocumentBlock, SignatureBlock

_ROWS_AT_ONCE = 5_000


def add_batch(folder: Path, reader: CorpusReader, precedence: NDArray[np.int64], form: str) -> pl.DataFrame:
    """Compare a batch with all earlier ones, add its kept documents to the index, and return the verdicts.

    If `precedence` is the order of the corpus, the verdicts are those of one run over all batches. A batch that the index
    already has gets the same verdicts and is not added again.

    Args:
        folder: the index; created if missing.
        reader: the batch.
        precedence: (n,) rows of the batch; of two copies, the one listed first is kept.
        form: what is compared of texts.

    Raises:
        RunError: the index was created with other options.
    """
    card = _read_card(folder, {**asdict(reader.scheme), "threshold": reader.threshold, "form": form})
    name = _batch_name(reader.sketches)
    if name in card["batches"]:
        return pl.read_parquet(folder / name / "verdicts.parquet")
    batch = _Batch(folder, card["batches"], reader)
    part = folder / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    verdicts = batch.deduplicate(precedence, part)
    verdicts.write_parquet(part / "verdicts.parquet")
    shutil.rmtree(folder / name, ignore_errors=True)
    part.replace(folder / name)
    card["batches"].append(name)
    write_json(folder / "index.json", card)
    return verdicts


def _read_card(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    file = folder / "index.json"
    if not file.exists():
        return {"options": options, "batches": []}
    card: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if card["options"] != options:
        changed = [name for name in options if card["options"].get(name) != options[name]]
        differences = ", ".join(f"{name} {card['options'].get(name)} instead of {options[name]}" for name in changed)
        raise RunError(
            f"the index in `{folder}` was created with other options: {differences}",
            place="index",
            hint="use another folder, or the options of the index",
        )
    return card


def _batch_name(sketches: pl.LazyFrame) -> str:
    """Return a digest of the ids and exact hashes of a batch, in order."""
    digest = hashlib.blake2b(digest_size=12)
    for frame in sketches.select("id", "exact").collect_batches(chunk_size=50_000, maintain_order=True):
        digest.update("\n".join(frame["id"]).encode() + b"\n" + frame["exact"].to_numpy().tobytes())
    return digest.hexdigest()


class _Batch:
    """A batch that is being added to an index. Originals are numbers of kept documents; those of the batch come last."""

    def __init__(self, folder: Path, earlier: list[str], reader: CorpusReader) -> None:
        self.reader = reader
        self.folders = [folder / name for name in earlier]
        self.kept = [pl.read_parquet(item / "kept.parquet") for item in self.folders]
        self.ids = pl.concat([item["id"] for item in self.kept]) if self.kept else pl.Series([], dtype=pl.String)

    def deduplicate(self, precedence: NDArray[np.int64], out: Path) -> pl.DataFrame:
        """Return the verdicts; write what later batches need to `out`."""
        n = len(precedence)
        duplicates = Duplicates.none(n)
        distinct = find_exact_copies(self.reader.sketches, precedence, duplicates)
        copies = duplicates.exact.nonzero()[0]
        first_copies = duplicates.original[copies]
        exact = self.reader.sketches.select("exact").collect().to_series().to_numpy()
        new = self._look_up_exact(exact, distinct, duplicates)
        signatures, sets = self.reader.read_signatures(new, n), self.reader.read_shingle_sets(new, n)
        self._find_near_copies(signatures, sets, new, duplicates)
        _resolve_copies(duplicates, copies, first_copies, len(self.ids))
        self._write_known(out, exact[distinct], distinct, new, duplicates)
        self._write_kept(out, new, duplicates.original[new] == NONE, signatures, sets)
        ids = self.reader.sketches.select("id").collect().to_series()
        return duplicate_verdicts(ids, duplicates, self.ids)

    def _look_up_exact(
        self, exact: NDArray[np.uint64], distinct: NDArray[np.int64], duplicates: Duplicates
    ) -> NDArray[np.int64]:
        """Record documents whose words an earlier batch has in the same order; return the rest of `distinct`."""
        if not self.folders:
            return distinct
        own = pl.LazyFrame({"a": exact[distinct, 0], "b": exact[distinct, 1], "row": distinct})
        known = pl.scan_parquet([item / "known.parquet" for item in self.folders]).join(own, on=["a", "b"]).collect()
        rows = known["row"].to_numpy()
        duplicates.original[rows], duplicates.jaccard[rows] = known["number"].to_numpy(), known["jaccard"].to_numpy()
        duplicates.exact[rows] = ~known["near"].to_numpy()
        rest: NDArray[np.int64] = distinct[duplicates.original[distinct] == NONE]
        return rest

    def _find_near_copies(
        self, signatures: SignatureTable, sets: ShingleSets, new: NDArray[np.int64], duplicates: Duplicates
    ) -> None:
        """Compare new texts with the documents of earlier batches, and those that remain with each other."""
        import numpy as np

        if not len(new) or self.reader.threshold >= 1:
            return
        original, similarity = np.full(len(new), NONE, np.uint32), np.zeros(len(new))
        costs = 8 * sets.sizes + 16 * signatures.bands.shape[1] + signatures.low_bytes.shape[1] + 4
        for rows in self.reader.buffer.blocks(costs):
            self._match_to_index(signatures, sets, rows, original[rows], similarity[rows])
        candidates = find_candidates(signatures, self.reader.min_equal)
        candidates = candidates[original[candidates] == NONE]
        matches, match_similarity = match_to_kept(self.reader, signatures, candidates, sets, candidates)
        copies = matches != NONE
        original[candidates[copies]] = new[candidates[matches[copies]]] + len(self.ids)
        similarity[candidates[copies]] = match_similarity[copies]
        copies = original != NONE
        duplicates.original[new[copies]], duplicates.jaccard[new[copies]] = original[copies], similarity[copies]

    def _match_to_index(
        self,
        signatures: SignatureTable,
        sets: ShingleSets,
        rows: slice,
        original: NDArray[np.uint32],
        similarity: NDArray[np.float64],
    ) -> None:
        """Find for each document of a block the first document of earlier batches that it is a near copy of."""
        import numpy as np

        from textbookgen_dedup.lsh.lsh_kernels import (
            BandChains,
            DocumentBlock,
            SetBlock,
            SignatureBlock,
            insert_all,
            verify_pairs,
        )

        block = SignatureBlock(
            signatures.bands.between(rows.start, rows.stop), signatures.low_bytes.between(rows.start, rows.stop)
        )
        queries = DocumentBlock(rows.start, block, SetBlock(*sets.at(np.arange(rows.start, rows.stop))))
        chains = BandChains.empty(*block.bands.shape)
        insert_all(block.bands, chains)
        number = 0
        for folder, kept in zip(self.folders, self.kept, strict=True):
            pairs = [self._similar_pairs(old, low, queries, chains) for low, old in self._read_index(folder, len(kept))]
            similar = np.sort(np.concatenate(pairs)) if pairs else np.empty(0, np.uint64)
            similar = similar[original[(similar >> np.uint64(32)).astype(np.int64)] == NONE]
            if len(similar):
                sizes = kept["size"].to_numpy().astype(np.int64)
                ends = np.cumsum(sizes)
                known = SetBlock(np.asarray(np.memmap(folder / "sets.u64", np.uint64, "r")), np.stack([ends - sizes, ends]))
                matches = np.full(len(block.bands), NONE, np.uint32)
                verify_pairs(similar, queries.sets, known, self.reader.threshold, matches, similarity)
                original[matches != NONE] = matches[matches != NONE] + np.uint32(number)
            number += len(kept)

    def _read_index(self, folder: Path, documents: int) -> Iterator[tuple[int, SignatureBlock]]:
        """Yield an earlier batch's kept documents in blocks, each with the number of its first."""
        import numpy as np

        from textbookgen_dedup.lsh.lsh_kernels import SignatureBlock

        scheme = self.reader.scheme
        size = max(1, self.reader.buffer.budget // 4 // (4 * scheme.bands + scheme.permutations))
        for low in range(0, documents, size):
            rows = min(size, documents - low)
            bands = np.fromfile(folder / "bands.u32", np.uint32, rows * scheme.bands, offset=4 * low * scheme.bands)
            values = np.fromfile(folder / "bytes.u8", np.uint8, rows * scheme.permutations, offset=low * scheme.permutations)
            yield low, SignatureBlock(bands.reshape(rows, -1), values.reshape(rows, -1))

    def _similar_pairs(self, old: SignatureBlock, first: int, new: DocumentBlock, chains: BandChains) -> NDArray[np.uint64]:
        """Return pairs similar by signature: a new document (upper half) and an old one, numbered within its batch."""
        import numpy as np

        from textbookgen_dedup.lsh.lsh_kernels import find_similar_pairs

        capacity = 1 << 16
        while True:
            pairs = np.empty(capacity, np.uint64)
            chains.last_query.fill(NONE)
            count = find_similar_pairs(old, new.signatures, chains, self.reader.min_equal, pairs)
            if count <= capacity:
                return pairs[:count] + np.uint64(first)
            capacity = count

    def _write_known(
        self,
        out: Path,
        exact: NDArray[np.uint64],
        distinct: NDArray[np.int64],
        new: NDArray[np.int64],
        duplicates: Duplicates,
    ) -> None:
        """Write the exact hash of each distinct text, and the kept document that stands in for it."""
        import numpy as np

        indexed = len(self.ids)
        kept, numbers = new[duplicates.original[new] == NONE], np.full(len(duplicates.original), NONE, np.uint32)
        numbers[kept] = np.arange(indexed, indexed + len(kept), dtype=np.uint32)
        original = duplicates.original[distinct]
        in_batch = (original != NONE) & (original >= indexed)
        number = np.where(original == NONE, numbers[distinct], original)
        number[in_batch] = numbers[original[in_batch] - indexed]
        near = (original != NONE) & ~duplicates.exact[distinct]
        jaccard = np.where(original == NONE, 1.0, duplicates.jaccard[distinct])
        known = {"a": exact[:, 0], "b": exact[:, 1], "number": number, "near": near, "jaccard": pl.Series(jaccard)}
        pl.DataFrame(known).write_parquet(out / "known.parquet")

    def _write_kept(
        self, out: Path, new: NDArray[np.int64], is_kept: NDArray[np.bool_], signatures: SignatureTable, sets: ShingleSets
    ) -> None:
        """Write ids, signatures and shingle sets of the kept documents."""
        ids = self.reader.sketches.select("id").collect().to_series().gather(new[is_kept])
        pl.DataFrame({"id": ids, "size": sets.sizes[is_kept]}).write_parquet(out / "kept.parquet")
        kept_rows = is_kept.nonzero()[0]
        with (
            (out / "bands.u32").open("wb") as bands,
            (out / "bytes.u8").open("wb") as low_bytes,
            (out / "sets.u64").open("wb") as set_values,
        ):
            for low in range(0, len(kept_rows), _ROWS_AT_ONCE):
                rows = kept_rows[low : low + _ROWS_AT_ONCE]
                signatures.bands.at(rows).tofile(bands)
                signatures.low_bytes.at(rows).tofile(low_bytes)
                values, spans = sets.at(rows)
                for begin, end in spans.T.tolist():
                    values[begin:end].tofile(set_values)


def _resolve_copies(duplicates: Duplicates, copies: NDArray[np.int64], first_copies: NDArray[np.uint32], indexed: int) -> None:
    """Give exact copies within the batch the original of the document that they are copies of.

    Args:
        duplicates: input and output.
        copies: rows of exact copies within the batch.
        first_copies: the row of the first document with the same words, for each of `copies`.
        indexed: the number of documents in earlier batches, from which rows of the batch are numbered.
    """
    kept = duplicates.original[first_copies] == NONE
    duplicates.original[copies[kept]] = first_copies[kept] + indexed
    rest, via = copies[~kept], first_copies[~kept]
    duplicates.original[rest], duplicates.jaccard[rest] = duplicates.original[via], duplicates.jaccard[via]
    duplicates.exact[rest] = duplicates.exact[via]
