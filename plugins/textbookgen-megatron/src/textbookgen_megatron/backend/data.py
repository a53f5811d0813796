"""What a model is shown: windows of a token stream, or whole documents; always the same samples in the same order.

A source is asked for sample `i` of the run, whoever asks, so that a run can be split over any number of processes and
taken up after any step.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
from megatron.core.datasets.indexed_dataset import IndexedDataset
from torch import Tensor

from textbookgen import TrainerError
from textbookgen.training.shards import PackedShards, Split
from textbookgen_megatron.backend.device import device

Sample = dict[str, Tensor]

#: Windows that stay open while documents look for the first that has room.
OPEN_WINDOWS = 32


class Source(Protocol):
    """Samples by number: `tokens`, `labels` and `loss_mask`, each `[s]`, and where needed `attention_mask`, `[1, s, s]`."""

    def __getitem__(self, number: int) -> Sample:
        """The sample of this number."""
        ...

    def tokens(self, start: int, stop: int) -> int:
        """How many tokens of text these samples show."""
        ...


class _TokenizerFacts:
    """What GPTDataset asks of a tokenizer. Nothing is padded, so no id may pass for padding."""

    pad = -1

    def __init__(self, shards: PackedShards) -> None:
        self.vocab_size = shards.vocabulary
        self.eod = shards.eod
        self.unique_identifiers = {"digest": shards.tokenizer["digest"]}
        self.special_tokens_dict: dict[str, Any] = {}


class Stream:
    """Windows of all documents one after the other, reshuffled each epoch, as for phi-1: by Megatron's GPTDataset.

    Several shards are blended: sample by sample in the proportion of their weights, or of their tokens if there are none.
    """

    def __init__(
        self,
        shards: PackedShards | list[PackedShards],
        samples: int,
        seed: int,
        cache: Path,
        *,
        length: int | None = None,
        weights: list[float] | None = None,
    ) -> None:
        several = shards if isinstance(shards, list) else [shards]
        self._length = length or several[0].sequence_length
        shown = [(item, weight) for item, weight in zip(several, _shares(several, weights), strict=True) if weight > 0]
        blend = [item.prefix("train") for item, _ in shown]
        config = GPTDatasetConfig(
            random_seed=seed,
            sequence_length=self._length,
            blend=(blend, [weight for _, weight in shown] if len(shown) > 1 else None),
            split="1,0,0",
            path_to_cache=str(cache),
            tokenizer=_TokenizerFacts(several[0]),
            reset_position_ids=False,
            reset_attention_mask=False,
            eod_mask_loss=False,
            create_attention_mask=False,
        )
        self._windows = BlendedMegatronDatasetBuilder(GPTDataset, [samples, 0, 0], lambda: True, config).build()[0]

    def __getitem__(self, number: int) -> Sample:
        window = self._windows[number]
        return {name: window[name] for name in ("tokens", "labels", "loss_mask")}

    def tokens(self, start: int, stop: int) -> int:
        """Every token of a window is text."""
        return (stop - start) * self._length


def _shares(shards: list[PackedShards], weights: list[float] | None) -> list[float]:
    given = weights or [float(item.counts("train").tokens) for item in shards]
    return [weight / sum(given) for weight in given]


def check_files(shards: PackedShards) -> None:
    """Raises TrainerError unless the token files hold what the manifest tells."""
    for split in ("train", "valid"):
        told = shards.counts(split).tokens
        if not told:
            continue
        try:
            documents = IndexedDataset(shards.prefix(split))  # kept: its arrays are views of a file it closes
            result = int(documents.sequence_lengths.sum())
            size = Path(f"{shards.prefix(split)}.bin").stat().st_size
        except (OSError, AssertionError, ValueError) as error:
            raise TrainerError(f"the token files of {split} cannot be read: {error}", place=str(shards.folder)) from None
        if result != told or size != told * (2 if shards.card["dtype"] == "uint16" else 4):
            raise TrainerError(
                f"the token files of {split} are torn: {result} tokens in {size} bytes, where the manifest tells of {told}",
                place=str(shards.folder),
                hint="remove the folder and run the recipe again: the shards are packed anew",
            )


class WholeDocuments:
    """Windows of whole documents that do not see each other, reordered each epoch.

    Each document is read from its start: its first token is predicted from the eod that ends the one before. Only a
    document longer than the window is cut. Windows are filled first-fit, so little of them is empty.
    """

    def __init__(
        self, shards: PackedShards, split: Split, seed: int = 0, limit: int | None = None, length: int | None = None
    ) -> None:
        self._length, self._eod, self._seed = length or shards.sequence_length, shards.eod, seed
        self._documents = IndexedDataset(shards.prefix(split))
        mask = shards.mask_prefix(split)
        self._learned = IndexedDataset(mask) if mask else None
        self._windows = list(_fill(_pieces(self._documents.sequence_lengths, self._length, limit), self._length))
        self._shown = np.array([sum(stop - start for _, start, stop in window) for window in self._windows], np.int64)
        self._order: tuple[int, np.ndarray[Any, Any]] = (-1, np.arange(0))

    def __len__(self) -> int:
        return len(self._windows)

    def _window(self, number: int) -> int:
        """Which window is shown as sample `number`: a new order each epoch."""
        epoch, place = divmod(number, len(self))
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self._seed, epoch]).permutation(len(self)))
        return int(self._order[1][place])

    def tokens(self, start: int, stop: int) -> int:
        """Tokens of documents; what is left empty of a window does not count."""
        return int(sum(self._shown[self._window(number)] for number in range(start, stop)))

    def __getitem__(self, number: int) -> Sample:
        return self.window(self._window(number))

    def window(self, index: int) -> Sample:
        """The window of this index, in the order of the documents."""
        tokens = np.full(self._length, self._eod, np.int64)
        labels = np.zeros(self._length, np.int64)
        mask = np.zeros(self._length, np.float32)
        owner = np.arange(-1, -self._length - 1, -1)  # an empty place sees only itself
        place = 0
        for piece, (document, start, stop) in enumerate(self._windows[index]):
            here = slice(place, place + stop - start)
            before = min(start, 1)
            ids = self._documents.get(document, offset=start - before, length=stop - start + before)
            labels[here] = ids[before:]
            tokens[here] = ids[:-1] if before else np.concatenate(([self._eod], ids[:-1]))
            mask[here] = 1.0 if self._learned is None else self._learned.get(document, offset=start, length=stop - start)
            owner[here] = piece
            place = here.stop
        return {
            "tokens": torch.from_numpy(tokens),
            "labels": torch.from_numpy(labels),
            "loss_mask": torch.from_numpy(mask),
            "attention_mask": _blind(torch.from_numpy(owner)),
        }


class ReplyPairs:
    """Pairs of replies to one prompt, chosen first, reordered each epoch: `[2, s]` of tokens, labels and loss mask.

    `reference` are the log probabilities of both replies under the reference, `[pairs, 2]` in the order they were packed.
    """

    def __init__(self, shards: PackedShards, split: Split, seed: int = 0) -> None:
        self._length, self._eod, self._seed = shards.sequence_length, shards.eod, seed
        self._documents = IndexedDataset(shards.prefix(split))
        mask = shards.mask_prefix(split)
        if mask is None or shards.content != "Pairs":
            raise TrainerError(
                f"the shards hold {shards.content}, not pairs",
                place="shards",
                hint="pack a stage that gives Pairs: with `prompt`, `chosen` and `rejected`",
            )
        self._learned = IndexedDataset(mask)
        self._order: tuple[int, np.ndarray[Any, Any]] = (-1, np.arange(0))
        self.reference: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return len(self._documents) // 2

    def tokens(self, start: int, stop: int) -> int:
        """Tokens of both replies, each with its prompt."""
        lengths = self._documents.sequence_lengths
        pairs = [self._pair(number) for number in range(start, stop)]
        return int(sum(int(lengths[2 * pair]) + int(lengths[2 * pair + 1]) for pair in pairs))

    def _pair(self, number: int) -> int:
        epoch, place = divmod(number, len(self))
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self._seed, epoch]).permutation(len(self)))
        return int(self._order[1][place])

    def __getitem__(self, number: int) -> Sample:
        pair = self._pair(number)
        return self.pair(pair)

    def pair(self, index: int) -> Sample:
        """The pair of this index, in the order they were packed."""
        rows = [self._row(2 * index + which) for which in (0, 1)]
        reference = np.zeros(2, np.float32) if self.reference is None else self.reference[index]
        return {
            **{name: torch.stack([row[name] for row in rows]) for name in rows[0]},
            "reference": torch.from_numpy(reference),
        }

    def _row(self, document: int) -> Sample:
        ids = self._documents.get(document).astype(np.int64)
        tokens = np.full(self._length, self._eod, np.int64)
        labels = np.zeros(self._length, np.int64)
        mask = np.zeros(self._length, np.float32)
        tokens[1 : len(ids)] = ids[:-1]  # read from an eod, as every document is
        labels[: len(ids)] = ids
        mask[: len(ids)] = self._learned.get(document)
        return {"tokens": torch.from_numpy(tokens), "labels": torch.from_numpy(labels), "loss_mask": torch.from_numpy(mask)}


def _blind(owner: Tensor) -> Tensor:
    """True where a token must not look: ahead, or into another document. `[1, s, s]`."""
    same = owner[:, None] == owner[None, :]
    return ~same.tril()[None]


Piece = tuple[int, int, int]


def _pieces(lengths: np.ndarray[Any, Any], window: int, limit: int | None) -> Iterator[Piece]:
    """Documents in order as `(document, start, stop)`, cut where longer than a window, until `limit` tokens."""
    tokens = 0
    for document, length in enumerate(lengths.tolist()):
        for start in range(0, length, window):
            yield document, start, min(length, start + window)
        tokens += length
        if limit is not None and tokens >= limit:
            return


def _fill(pieces: Iterator[Piece], length: int) -> Iterator[list[Piece]]:
    """Windows of pieces: each goes into the first open window with room; the fullest closes when too many are open."""
    opened: list[tuple[list[Piece], int]] = []
    for piece in pieces:
        size = piece[2] - piece[1]
        for index, (window, room) in enumerate(opened):
            if size <= room:
                window.append(piece)
                opened[index] = (window, room - size)
                break
        else:
            opened.append(([piece], length - size))
        if len(opened) > OPEN_WINDOWS:
            yield opened.pop(min(range(len(opened)), key=lambda index: opened[index][1]))[0]
    yield from (window for window, _ in opened)


def batch(samples: list[Sample]) -> Sample:
    """Samples as one batch on this process's device."""
    return {name: torch.stack([sample[name] for sample in samples]).to(device(), non_blocking=True) for name in samples[0]}
