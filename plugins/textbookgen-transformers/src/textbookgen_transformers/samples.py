"""What a model is shown: windows of a token stream, whole documents, or pairs; always the same samples in the same order.

A source is asked for sample `i` of the run, whoever asks, so that a run can be shared out over any number of processes and
taken up after any step. Samples are arrays; labels are what comes after each token, or -100 where nothing is learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textbookgen import TrainerError
from textbookgen.training.shards import PackedShards, Split, TokenFile

#: What transformers takes for a label that is not learned.
IGNORED = -100
#: Windows that stay open while documents look for the first that has room.
OPEN_WINDOWS = 32
#: Samples of a blend that are shared out between shards together.
BLOCK = 1024

Sample = dict[str, NDArray[Any]]
Piece = tuple[int, int, int]


class Source(Protocol):
    """Samples by number."""

    def __getitem__(self, number: int) -> Sample:
        """The sample of this number."""
        ...

    def tokens(self, start: int, stop: int) -> int:
        """How many tokens of text these samples show."""
        ...


class Order:
    """A new order of `size` things each epoch; the same for the same seed."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed, self._epoch = size, seed, -1
        self._drawn: NDArray[np.int64] = np.arange(0)

    def __getitem__(self, number: int) -> int:
        epoch, place = divmod(number, self._size)
        if epoch != self._epoch:
            self._drawn = np.random.default_rng([self._seed, epoch]).permutation(self._size)
            self._epoch = epoch
        return int(self._drawn[place])


class Stream:
    """Windows of all documents one after the other; documents and windows come in a new order each epoch, as for phi-1.

    What is left at an epoch's end, less than a window, is not shown. Only an index is held, never tokens.
    """

    def __init__(self, shards: PackedShards, seed: int) -> None:
        self._file, self._length, self._seed = shards.file("train"), shards.sequence_length, seed
        total = shards.counts("train").tokens
        self._times = -(-(self._length + 1) // total)  # data that fills no window is repeated within an epoch
        self._windows = (self._times * total - 1) // self._length
        self._order = Order(self._windows, seed)
        self._epoch = -1
        self._documents: NDArray[np.int64] = np.arange(0)
        self._ends: NDArray[np.int64] = np.arange(0)

    def _turn_to(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        draw = np.random.default_rng([self._seed, 1, epoch])
        self._documents = np.concatenate([draw.permutation(len(self._file)) for _ in range(self._times)])
        self._ends = np.cumsum(self._file.lengths[self._documents], dtype=np.int64)
        self._epoch = epoch

    def __getitem__(self, number: int) -> Sample:
        self._turn_to(number // self._windows)
        ids = self._read(self._order[number] * self._length, self._length + 1)
        return {"input_ids": ids[:-1], "labels": ids[1:]}

    def _read(self, start: int, count: int) -> NDArray[np.int64]:
        """So many tokens of this epoch's stream."""
        ids = np.empty(count, np.int64)
        place, got = int(np.searchsorted(self._ends, start, side="right")), 0
        offset = start - (int(self._ends[place - 1]) if place else 0)
        while got < count:
            result = self._file.read(int(self._documents[place]), offset)[: count - got]
            ids[got : got + len(result)] = result
            got, place, offset = got + len(result), place + 1, 0
        return ids

    def tokens(self, start: int, stop: int) -> int:
        """Every token of a window is text."""
        return (stop - start) * self._length


class Blend:
    """Several streams, sample by sample in the proportion of their weights: exactly so over each thousand, in any order."""

    def __init__(self, streams: Sequence[Stream], weights: Sequence[float], seed: int) -> None:
        total = sum(weights)
        self._streams, self._weights, self._seed = streams, [weight / total for weight in weights], seed
        self._before: list[list[int]] = [[0] * len(streams)]
        self._block = -1
        self._sources: NDArray[np.int64] = np.arange(0)

    def _shared_out(self, block: int) -> list[int]:
        """How many samples of a block are each stream's: what brings their sums closest to the weights."""
        before = self._before[block]
        due = [weight * BLOCK * (block + 1) - had for weight, had in zip(self._weights, before, strict=True)]
        counts = [max(0, int(item)) for item in due]
        while sum(counts) != BLOCK:
            step = 1 if sum(counts) < BLOCK else -1
            fair = [step * (item - count) if count or step > 0 else -np.inf for item, count in zip(due, counts, strict=True)]
            counts[int(np.argmax(fair))] += step
        return counts

    def _turn_to(self, block: int) -> None:
        while len(self._before) <= block + 1:
            last = len(self._before) - 1
            shared = zip(self._before[last], self._shared_out(last), strict=True)
            self._before.append([had + more for had, more in shared])
        if block != self._block:
            counts = [after - had for had, after in zip(self._before[block], self._before[block + 1], strict=True)]
            sources = np.repeat(np.arange(len(counts)), counts)
            self._sources = np.random.default_rng([self._seed, 2, block]).permutation(sources)
            self._block = block

    def __getitem__(self, number: int) -> Sample:
        block, place = divmod(number, BLOCK)
        self._turn_to(block)
        source = int(self._sources[place])
        had = self._before[block][source] + int((self._sources[:place] == source).sum())
        return self._streams[source][had]

    def tokens(self, start: int, stop: int) -> int:
        """Every token of a window is text."""
        return self._streams[0].tokens(start, stop)


class WholeDocuments:
    """Windows of whole documents that do not see each other, in a new order each epoch.

    Each document is read from its start: its first token is predicted from the eod that ends the one before. Only a
    document longer than the window is cut. Windows are filled first-fit. Positions begin anew with each document, which is
    how transformers knows where one ends (`masking_utils`).
    """

    def __init__(self, shards: PackedShards, split: Split, seed: int = 0, limit: int | None = None) -> None:
        if shards.content == "Pairs":
            raise TrainerError("the shards hold pairs", place="shards", hint="learn from pairs with transformers/dpo")
        self._length, self._eod = shards.sequence_length, shards.eod
        self._file, self._mask = shards.file(split), shards.mask(split)
        self._windows = list(_filled(_pieces(self._file, self._length, limit), self._length))
        self._order = Order(len(self._windows), seed)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, number: int) -> Sample:
        return self.window(self._order[number])

    def tokens(self, start: int, stop: int) -> int:
        """Tokens of documents; what is left empty of a window does not count."""
        shown = (self._windows[self._order[number]] for number in range(start, stop))
        return sum(end - begin for window in shown for _, begin, end in window)

    def window(self, index: int) -> Sample:
        """The window of this index, in the order of the documents."""
        tokens = np.full(self._length, self._eod, np.int64)
        labels = np.full(self._length, IGNORED, np.int64)
        positions = np.zeros(self._length, np.int64)  # an empty place is a document of its own
        place = 0
        for document, start, stop in self._windows[index]:
            here = slice(place, place + stop - start)
            ids = self._file.read(document, start, stop).astype(np.int64)
            tokens[here] = np.concatenate((self._file.read(document, start - 1, start) if start else [self._eod], ids[:-1]))
            labels[here] = _learned(ids, self._mask, document, start, stop)
            positions[here] = np.arange(stop - start)
            place = here.stop
        return {"input_ids": tokens, "labels": labels, "position_ids": positions}


def _learned(ids: NDArray[np.int64], mask: TokenFile | None, document: int, start: int, stop: int) -> NDArray[np.int64]:
    return ids if mask is None else np.where(mask.read(document, start, stop) > 0, ids, IGNORED)


class ReplyPairs:
    """Pairs of replies to one prompt, in a new order each epoch; each conversation is read from an eod.

    `reference` are the log probabilities of both replies under the reference, `[pairs, 2]` in the order they were packed.
    """

    def __init__(self, shards: PackedShards, split: Split, seed: int = 0) -> None:
        mask = shards.mask(split)
        if mask is None or shards.content != "Pairs":
            raise TrainerError(
                f"the shards hold {shards.content}, not pairs",
                place="shards",
                hint="pack a stage that gives Pairs: with `prompt`, `chosen` and `rejected`",
            )
        self._file, self._mask, self._eod = shards.file(split), mask, shards.eod
        self._order = Order(max(1, len(self)), seed)
        self.reference: NDArray[np.float32] = np.zeros((len(self), 2), np.float32)

    def __len__(self) -> int:
        return len(self._file) // 2

    def __getitem__(self, number: int) -> Sample:
        return self.pair(self._order[number])

    def tokens(self, start: int, stop: int) -> int:
        """Tokens of both replies, each with its prompt."""
        pairs = [self._order[number] for number in range(start, stop)]
        return sum(int(self._file.lengths[2 * pair]) + int(self._file.lengths[2 * pair + 1]) for pair in pairs)

    def pair(self, index: int) -> Sample:
        """The pair of this index in the order they were packed, as TRL names its parts."""
        reference = self.reference[index]
        return {
            **{f"{which}_ids": self._ids(2 * index + place) for place, which in enumerate(("chosen", "rejected"))},
            **{f"{which}_mask": self._said(2 * index + place) for place, which in enumerate(("chosen", "rejected"))},
            "ref_chosen_logps": reference[0],
            "ref_rejected_logps": reference[1],
        }

    def _ids(self, document: int) -> NDArray[np.int64]:
        return np.concatenate(([self._eod], self._file.read(document)))

    def _said(self, document: int) -> NDArray[np.int64]:
        return np.concatenate(([0], self._mask.read(document)))


def _pieces(file: TokenFile, window: int, limit: int | None) -> Iterator[Piece]:
    """Documents in order as `(document, start, stop)`, cut where longer than a window, until `limit` tokens."""
    tokens = 0
    for document, length in enumerate(map(int, file.lengths)):
        for start in range(0, length, window):
            yield document, start, min(length, start + window)
        tokens += length
        if limit is not None and tokens >= limit:
            return


def _filled(pieces: Iterator[Piece], length: int) -> Iterator[list[Piece]]:
    """Windows of pieces: each goes into the first open window with room; the fullest closes when too many are open."""
    opened: list[tuple[int, list[Piece]]] = []
    for piece in pieces:
        size = piece[2] - piece[1]
        place = next((index for index, (room, _) in enumerate(opened) if size <= room), len(opened))
        if place == len(opened):
            opened.append((length, []))
        room, window = opened[place]
        opened[place] = (room - size, [*window, piece])
        if len(opened) > OPEN_WINDOWS:
            yield opened.pop(min(range(len(opened)), key=lambda index: opened[index][0]))[1]
    yield from (window for _, window in opened)
