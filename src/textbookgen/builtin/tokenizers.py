"""Tokenizers: bytes, any `tokenizer.json`, and a stage that trains one on a corpus."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, cast

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Input, Labels
from textbookgen.api.artifacts import Artifact, Chats, Documents, Table, TrainedTokenizer
from textbookgen.api.errors import RunError
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Estimate, Packer, StageInputs
from textbookgen.api.tokenizer import ByteTokenizer, Tokenizer

if TYPE_CHECKING:
    import numpy as np
    import tokenizers

END_OF_DOCUMENT = "<|endoftext|>"

#: Where merges may not reach across, as GPT-4's and Qwen2's tokenizers have it: contractions, words, digits, punctuation,
#: ends of lines, other space. Kept to the letter, since faster libraries know these two by it.
PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PROBES = (
    f"one {END_OF_DOCUMENT} two\n\n    return 12345 + x9  # it's, I'LL\r\n\t",
    "cafe\u0301 caf\u00e9 \u0661\u0662 \u00bd \u00a0\u3000 \u65e5\u672c\u8a9e \U0001f642\u200d\U0001f642 \x00",
)


class FileTokenizer:
    """A tokenizer kept in a `tokenizer.json`; its end of document is `<|endoftext|>`.

    Text that spells a special token is encoded as the text it is, so that no document can end itself. `vocabulary` is
    one more than the highest id, which is what a table of embeddings must hold; `digest` is the file's sha256. Where the
    library gigatoken is installed and knows this kind of tokenizer, it encodes: the same ids, some twenty times as fast.

    Raises:
        RunError: the file is not there, cannot be read, or has no end of document.
    """

    file: Path | None

    def __init__(self, file: Path) -> None:
        self.name = f"hf:{file}"
        self.file = file
        self._opened = _open(file)
        self._quick = _quick(self._opened)
        self.digest = hashlib.sha256(file.read_bytes()).hexdigest()
        ids = self._opened.get_vocab(with_added_tokens=True)
        self.vocabulary = 1 + max(ids.values(), default=-1)
        if END_OF_DOCUMENT not in ids:
            hint = 'add it as a special token, or train a tokenizer with `use = "train-tokenizer"`'
            raise RunError(f"the tokenizer '{file}' has no token {END_OF_DOCUMENT} to end a document", hint=hint)
        self.eod = ids[END_OF_DOCUMENT]

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.file,)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without an end of document."""
        if self._quick is not None:
            return cast("list[list[int]]", self._quick.encode_batch_list(list(texts)))
        return _encode(self._opened, texts)

    def encode_ragged(self, texts: Sequence[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The ids of all texts one after the other, and how many each text has."""
        import numpy as np

        if self._quick is None:
            each = _encode(self._opened, texts)
            lengths = np.fromiter(map(len, each), np.int64, len(each))
            return np.fromiter(chain.from_iterable(each), np.uint32, int(lengths.sum())), lengths
        encoded = self._quick.encode_batch(list(texts)).layout
        return encoded.content.data, np.diff(encoded.offsets.data)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these ids; special ones are left out."""
        return self._opened.decode(list(ids), skip_special_tokens=True)


def _open(file: Path) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer as Opened

    if not file.is_file():
        raise RunError(f"there is no tokenizer '{file}'", hint="hf:PATH is the path of a tokenizer.json")
    try:
        opened = Opened.from_file(str(file))
    except Exception as error:  # the library raises bare Exception for a file it does not understand
        raise RunError(f"cannot read the tokenizer '{file}': {error}") from error
    opened.no_truncation()
    opened.no_padding()
    opened.encode_special_tokens = True
    return opened


def _encode(opened: tokenizers.Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [encoded.ids for encoded in opened.encode_batch_fast(list(texts), add_special_tokens=False)]


def _quick(opened: tokenizers.Tokenizer) -> Any | None:
    """gigatoken's tokenizer; None if it is not installed, does not know this kind, or does not agree on samples."""
    try:
        gigatoken: Any = import_module("gigatoken")
    except ImportError:
        return None
    described = json.loads(opened.to_str())
    described["added_tokens"] = []  # so that text which spells one is text
    try:
        quick = gigatoken.Tokenizer.from_json(json.dumps(described))
        return quick if quick.encode_batch_list(list(PROBES)) == _encode(opened, PROBES) else None
    except RuntimeError:
        return None


class TrainTokenizer(Packer):
    """Trains a byte-level BPE tokenizer on a corpus: every text can be encoded, and nothing is ever unknown.

    It learns from documents taken evenly from the whole corpus, as many as `max_documents` and `max_mib` allow, so that
    memory is bounded. The same corpus and options give the same `tokenizer.json`, byte for byte. `vocabulary.json` says
    how many ids there are (fewer than asked for if the corpus has too few words), the file's sha256, what it was
    trained on, and `bytes_per_token` of (at most 1,000 documents of) that.

    Source: Sennrich et al., arXiv 1508.07909, over bytes as in GPT-2, split into words as in GPT-4.
    """

    name: ClassVar[str] = "train-tokenizer"
    output: ClassVar[type[Artifact] | None] = TrainedTokenizer

    inputs: Annotated[Labels, Input(Documents, Chats)] = Field(
        alias="from", description="stages above whose texts are learnt from"
    )
    vocabulary: int = Field(4096, ge=257, description="how many ids there are to be: 256 bytes, <|endoftext|>, and merges")
    min_frequency: int = Field(2, gt=0, description="a merge must be seen so often in the texts that are learnt from")
    split_digits: bool = Field(
        True, description="each digit is a token of its own, which helps arithmetic; else up to three are one"
    )
    max_documents: int = Field(1_000_000, gt=0, description="learn from at most so many documents, taken evenly from all")
    max_mib: float = Field(64.0, gt=0, description="learn from at most so many MiB of text, taken evenly from all")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """A small file."""
        return Estimate(disk_bytes=60.0 * self.vocabulary)

    def pack(self, inputs: StageInputs, out: Path) -> None:
        """Writes `tokenizer.json`, then `vocabulary.json`."""
        tables = [flow for flow in inputs.by_label("from").values() if isinstance(flow, Table)]
        drawn = _draw(tables, self.max_documents, self.max_mib * 2**20)
        if drawn.documents == 0:
            raise RunError("no text flows in to learn from", place="from")
        learnt = Learnt()
        trained = self._train(learnt.count(_some(tables, drawn.share)), drawn.documents)
        trained.save(str(out / "tokenizer.json"))
        tokenizer = FileTokenizer(out / "tokenizer.json")
        measured = _some(tables, drawn.share * min(1.0, 1000 / drawn.documents))
        card = {
            "vocabulary": tokenizer.vocabulary,
            "digest": tokenizer.digest,
            "documents": learnt.documents,
            "bytes": learnt.bytes,
            "bytes_per_token": _bytes_per_token(tokenizer, measured),
        }
        (out / TrainedTokenizer.card_name).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")

    def _train(self, texts: Iterator[str], documents: int) -> tokenizers.Tokenizer:
        from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
        from tokenizers import Tokenizer as Trained

        trained = Trained(models.BPE())
        pieces = Regex(PIECES % ("" if self.split_digits else "{1,3}"))
        trained.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(pieces, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        trained.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            min_frequency=self.min_frequency,
            special_tokens=[END_OF_DOCUMENT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        trained.train_from_iterator(texts, trainer=trainer, length=documents)
        return trained


@dataclass
class Learnt:
    """Counts texts as they go by."""

    documents: int = 0
    bytes: int = 0

    def count(self, texts: Iterable[str]) -> Iterator[str]:
        """The same texts."""
        for text in texts:
            self.documents += 1
            self.bytes += len(text.encode())
            yield text


def _bytes_per_token(tokenizer: Tokenizer, texts: Iterator[str]) -> float:
    size = tokens = 0
    while batch := list(islice(texts, 1000)):
        size += sum(len(text.encode()) for text in batch)
        tokens += sum(map(len, tokenizer.encode_batch(batch)))
    return size / max(tokens, 1)


class Drawn(NamedTuple):
    """Which share of the documents is learnt from, and how many that is."""

    share: float
    documents: int


def _draw(tables: Iterable[Table], max_documents: int, max_bytes: float) -> Drawn:
    documents = size = 0
    for frame in _frames(tables):
        documents += len(frame)
        size += int(frame["text"].str.len_bytes().sum())
    share = min(1.0, max_documents / max(documents, 1), max_bytes / max(size, 1))
    return Drawn(share, int(documents * share))


def _some(tables: Iterable[Table], share: float) -> Iterator[str]:
    """Every so manieth text: as even as can be, and the same ones each time."""
    number = 0
    for frame in _frames(tables):
        for text in frame["text"]:
            number += 1
            if int(number * share) > int((number - 1) * share):
                yield text


def _frames(tables: Iterable[Table]) -> Iterator[pl.DataFrame]:
    for table in tables:
        for part in table.parts:
            yield part.scan().select(_text(table)).collect()


def _text(table: Table) -> pl.Expr:
    if isinstance(table, Chats):
        contents = pl.col("messages").list.eval(pl.element().struct.field("content"))
        return contents.list.join("\n").alias("text")
    return pl.col("text")


@hookimpl
def open_tokenizer(name: str) -> Tokenizer | None:
    """`bytes`, and `hf:PATH` for a tokenizer.json."""
    if name == "bytes":
        return cast("Tokenizer", ByteTokenizer())
    if name.startswith("hf:"):
        return FileTokenizer(Path(name.removeprefix("hf:")))
    return None
