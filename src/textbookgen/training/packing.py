"""Training samples from packed shards: windows of a token stream, windows of whole documents, and preference pairs, in numpy.

Every source is indexed by sample number and gives the same sample for the same number, whoever asks and in whichever order,
so a run can be divided over any number of processes and resumed after any step. Only indexes are held in memory, never tokens.

A document is always read from its start: its first token is predicted from the end-of-document token before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from textbookgen.api.errors import TrainerError
from textbookgen.training.shards import PackedShards, Split

#: Windows that stay open while documents look for the first one with enough space.
OPEN_WINDOWS = 32
#: Samples of a blend over which the proportions of its streams are exact.
BLOCK = 1024

Item = TypeVar("Item", covariant=True)
Ids = NDArray[np.int64]


class SampleSource(Protocol[Item]):
    """Training samples by number."""

    def __getitem__(self, number: int) -> Item:
        """Return the sample of this number."""
        ...

    def tokens(self, start: int, stop: int) -> int:
        """Return the number of tokens of text in the samples from `start` to `stop`."""
        ...


class EpochOrder:
    """A new random order of `size` items in each epoch, the same for the same seed."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed, self._epoch = size, seed, -1
        self._order: Ids = np.arange(0)

    def __getitem__(self, number: int) -> int:
        """Return the item that is shown as sample `number`, counted over all epochs."""
        epoch, place = divmod(number, self._size)
        if epoch != self._epoch:
            self._order = np.random.default_rng([self._seed, epoch]).permutation(self._size)
            self._epoch = epoch
        return int(self._order[place])


class Span(NamedTuple):
    """Tokens `start` to `stop` of a document."""

    document: int
    start: int
    stop: int


def split_documents(lengths: Iterable[int], window: int, limit: int | None = None) -> Iterator[Span]:
    """Yield the documents in order, those longer than a window in several spans.

    Args:
        lengths: tokens of each document.
        window: maximum length of a span.
        limit: stop after the document that reaches this many tokens in total.
    """
    tokens = 0
    for document, length in enumerate(lengths):
        for start in range(0, length, window):
            yield Span(document, start, min(length, start + window))
        tokens += length
        if limit is not None and tokens >= limit:
            return


def fill_windows(spans: Iterable[Span], window: int) -> Iterator[list[Span]]:
    """Pack spans into windows, first fit.

    Each span goes into the first open window with enough space; when too many windows are open, the fullest one is closed.
    """
    opened: list[tuple[int, list[Span]]] = []  # free tokens and spans of each open window
    for span in spans:
        size = span.stop - span.start
        place = next((index for index, (free, _) in enumerate(opened) if size <= free), len(opened))
        if place == len(opened):
            opened.append((window, []))
        free, spans_of = opened[place]
        spans_of.append(span)
        opened[place] = (free - size, spans_of)
        if len(opened) > OPEN_WINDOWS:
            yield opened.pop(min(range(len(opened)), key=lambda index: opened[index][0]))[1]
    yield from (spans_of for _, spans_of in opened)


@dataclass(frozen=True)
class Window:
    """A window of whole documents that must not attend to each other; all arrays have shape `[sequence_length]`.

    Attributes:
        inputs: int64 ids that the model reads; the end-of-document id where the window is empty.
        targets: int64 ids to predict, one for each input; 0 where the window is empty.
        loss_mask: bool, True where the loss is computed.
        positions: int64 positions within the document, starting at 0; 0 where the window is empty.
        documents: int64 index of the span that an input belongs to; a distinct negative number for each empty place.
    """

    inputs: Ids
    targets: Ids
    loss_mask: NDArray[np.bool_]
    positions: Ids
    documents: Ids


class DocumentWindows:
    """Windows of whole documents, in a new order each epoch; only documents longer than a window are cut.

    Args:
        shards: packed documents or conversations.
        split: which split to read.
        seed: seed of the order.
        limit: read only about this many tokens, from the start.
        length: tokens in a window; as packed unless given.

    Attributes:
        order: from sample numbers to indexes of windows.
    """

    def __init__(
        self, shards: PackedShards, split: Split, seed: int = 0, limit: int | None = None, length: int | None = None
    ) -> None:
        self._length, self._eod = length or shards.sequence_length, shards.eod
        self._file, self._mask = shards.file(split), shards.mask(split)
        spans = split_documents(self._file.lengths.tolist(), self._length, limit)
        self._windows = list(fill_windows(spans, self._length))
        self.order = EpochOrder(len(self._windows), seed)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, number: int) -> Window:
        return self.window(self.order[number])

    def tokens(self, start: int, stop: int) -> int:
        """Return the tokens of documents in these samples, without the empty places."""
        windows = (self._windows[self.order[number]] for number in range(start, stop))
        return sum(span.stop - span.start for window in windows for span in window)

    def window(self, index: int) -> Window:
        """Return the window of this index, in the order in which windows were filled."""
        inputs = np.full(self._length, self._eod, np.int64)
        targets = np.zeros(self._length, np.int64)
        loss_mask = np.zeros(self._length, np.bool_)
        positions = np.zeros(self._length, np.int64)
        documents = np.arange(-1, -self._length - 1, -1)
        place = 0
        for number, (document, start, stop) in enumerate(self._windows[index]):
            here = slice(place, place + stop - start)
            ids = self._file.read(document, start, stop)
            before = self._file.read(document, start - 1, start) if start else [self._eod]
            inputs[here] = np.concatenate((before, ids[:-1]))
            targets[here] = ids
            loss_mask[here] = True if self._mask is None else self._mask.read(document, start, stop) > 0
            positions[here] = np.arange(stop - start)
            documents[here] = number
            place = here.stop
        return Window(inputs, targets, loss_mask, positions, documents)


class TokenStream:
    """Windows of all documents concatenated; documents and windows are in a new order each epoch, as for phi-1.

    Samples are int64 ids of shape `[sequence_length + 1]`: inputs and, shifted by one, targets. The rest of an epoch that
    fills no window is not shown; data that fills no window at all is repeated within an epoch.
    """

    def __init__(self, shards: PackedShards, seed: int) -> None:
        self._file, self._length, self._seed = shards.file("train"), shards.sequence_length, seed
        total = shards.counts("train").tokens
        self._repeats = -(-(self._length + 1) // total)
        self._windows = (self._repeats * total - 1) // self._length
        self._order = EpochOrder(self._windows, seed)
        self._epoch = -1
        self._documents: Ids = np.arange(0)
        self._ends: Ids = np.arange(0)

    def __getitem__(self, number: int) -> Ids:
        self._start_epoch(number // self._windows)
        return self._read(self._order[number] * self._length, self._length + 1)

    def tokens(self, start: int, stop: int) -> int:
        """Return the tokens in these samples: a stream has no empty places."""
        return (stop - start) * self._length

    def _start_epoch(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        generator = np.random.default_rng([self._seed, 1, epoch])
        self._documents = np.concatenate([generator.permutation(len(self._file)) for _ in range(self._repeats)])
        self._ends = np.cumsum(self._file.lengths[self._documents], dtype=np.int64)
        self._epoch = epoch

    def _read(self, start: int, count: int) -> Ids:
        """Return `count` ids of this epoch's stream."""
        ids = np.empty(count, np.int64)
        place, filled = int(np.searchsorted(self._ends, start, side="right")), 0
        offset = start - (int(self._ends[place - 1]) if place else 0)
        while filled < count:
            part = self._file.read(int(self._documents[place]), offset)[: count - filled]
            ids[filled : filled + len(part)] = part
            filled, place, offset = filled + len(part), place + 1, 0
        return ids


class BlendedStream:
    """Several token streams, sample by sample in proportion to their weights: exact over each block, in random order within."""

    def __init__(self, streams: Sequence[TokenStream], weights: Sequence[float], seed: int) -> None:
        total = sum(weights)
        self._streams, self._weights, self._seed = streams, [weight / total for weight in weights], seed
        #: Samples taken from each stream before block 0, 1, ...
        self._taken: list[list[int]] = [[0] * len(streams)]
        self._block = -1
        self._sources: Ids = np.arange(0)

    def __getitem__(self, number: int) -> Ids:
        block, place = divmod(number, BLOCK)
        self._start_block(block)
        source = int(self._sources[place])
        taken = self._taken[block][source] + int((self._sources[:place] == source).sum())
        return self._streams[source][taken]

    def tokens(self, start: int, stop: int) -> int:
        """Return the tokens in these samples: a stream has no empty places."""
        return self._streams[0].tokens(start, stop)

    def _start_block(self, block: int) -> None:
        while len(self._taken) <= block + 1:
            last = len(self._taken) - 1
            counts = zip(self._taken[last], self._allocate(last), strict=True)
            self._taken.append([before + more for before, more in counts])
        if block != self._block:
            counts_of = [after - before for before, after in zip(self._taken[block], self._taken[block + 1], strict=True)]
            sources = np.repeat(np.arange(len(counts_of)), counts_of)
            self._sources = np.random.default_rng([self._seed, 2, block]).permutation(sources)
            self._block = block

    def _allocate(self, block: int) -> list[int]:
        """Return the samples of each stream in a block: the counts that bring the totals closest to the weights."""
        due = [weight * BLOCK * (block + 1) - taken for weight, taken in zip(self._weights, self._taken[block], strict=True)]
        counts = [max(0, int(item)) for item in due]
        while sum(counts) != BLOCK:
            step = 1 if sum(counts) < BLOCK else -1
            gaps = [step * (item - count) if count or step > 0 else -np.inf for item, count in zip(due, counts, strict=True)]
            counts[int(np.argmax(gaps))] += step
        return counts


@dataclass(frozen=True)
class PackedReply:
    """A conversation that ends in a reply: int64 `ids` and a bool `loss_mask` that is True on the reply, both `[tokens]`."""

    ids: Ids
    loss_mask: NDArray[np.bool_]


@dataclass(frozen=True)
class PackedPair:
    """Two replies to the same prompt, and their float32 log probabilities under the reference model, `[chosen, rejected]`."""

    chosen: PackedReply
    rejected: PackedReply
    reference: NDArray[np.float32]


class PreferencePairs:
    """Preference pairs, in a new order each epoch.

    Attributes:
        order: from sample numbers to indexes of pairs.
        reference: float32 log probabilities of both replies under the reference model, `[pairs, 2]` in the order in which
            they were packed; zeros until they are set.
    """

    def __init__(self, shards: PackedShards, split: Split, seed: int = 0) -> None:
        mask = shards.mask(split)
        if mask is None or shards.content != "Pairs":
            raise TrainerError(
                f"the shards hold {shards.content}, not pairs",
                place="shards",
                hint="pack a stage that outputs Pairs: rows with `prompt`, `chosen` and `rejected`",
            )
        self._file, self._mask = shards.file(split), mask
        self.order = EpochOrder(max(1, len(self)), seed)
        self.reference: NDArray[np.float32] = np.zeros((len(self), 2), np.float32)

    def __len__(self) -> int:
        return len(self._file) // 2

    def __getitem__(self, number: int) -> PackedPair:
        return self.pair(self.order[number])

    def tokens(self, start: int, stop: int) -> int:
        """Return the tokens of both replies of these samples, each with its prompt."""
        lengths = self._file.lengths
        pairs = [self.order[number] for number in range(start, stop)]
        return sum(int(lengths[2 * pair]) + int(lengths[2 * pair + 1]) for pair in pairs)

    def pair(self, index: int) -> PackedPair:
        """Return the pair of this index, in the order in which they were packed."""
        return PackedPair(self._reply(2 * index), self._reply(2 * index + 1), self.reference[index])

    def _reply(self, document: int) -> PackedReply:
        return PackedReply(self._file.read(document).astype(np.int64), self._mask.read(document) > 0)


def check_ids(ids: NDArray[Any], vocabulary: int) -> None:
    """Raise TrainerError if an id is not below `vocabulary`, which would read past the embedding table."""
    highest = int(ids.max(initial=0))
    if highest >= vocabulary:
        raise TrainerError(
            f"the shards contain token id {highest}, but the model's vocabulary has {vocabulary} ids",
            place="shards",
            hint="the token files are corrupt or use another tokenizer: pack them again",
        )
