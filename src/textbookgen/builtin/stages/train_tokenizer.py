"""The stage `train-tokenizer`: a byte-level BPE tokenizer from a corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Input, Labels
from textbookgen.api.artifacts import Artifact, Chats, Documents, Table, TrainedTokenizer
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.files import write_json
from textbookgen.api.rows import text_of
from textbookgen.api.stage import Estimate, Packer, StageInputs
from textbookgen.api.tokenizer import END_OF_DOCUMENT, Tokenizer
from textbookgen.builtin.tokenizers import FileTokenizer
from textbookgen.training.chat_template import TEMPLATES, ChatTemplate
from textbookgen.training.tokenizer_files import write_tokenizer_files

if TYPE_CHECKING:
    import tokenizers

#: The pre-tokenization of GPT-4 and Qwen2, which merges cannot cross: contractions, words, digits, punctuation, line ends,
#: other white space. Verbatim, since faster libraries recognise these two by their pattern.
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: Words, digits, single punctuation marks and single white space, none of them joined.
SEPARATE_PATTERN = r"\p{L}+|\p{N}%s|[^\s\p{L}\p{N}]|\s"
_CONTROL_TOKEN = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
_MEASURED_DOCUMENTS = 1_000  # of which the card states the bytes per token


class TrainTokenizer(Packer):
    """Trains a byte-level BPE tokenizer on a corpus; it can encode any text, without unknown tokens.

    The training texts are an even sample of the whole corpus, bounded by `max_documents` and `max_mib`, and so is memory.
    The same corpus and options give the same `tokenizer.json`, byte for byte. Beside it, `vocabulary.json` states the
    number of ids (fewer than requested if the corpus has too few distinct words), the file's sha256, the documents and
    bytes it was trained on, and the bytes per token of up to 1,000 of these documents.

    Source: Sennrich et al., arXiv 1508.07909, over bytes as in GPT-2, with the pre-tokenization of GPT-4.
    """

    name: ClassVar[str] = "train-tokenizer"
    version: ClassVar[int] = 2
    output: ClassVar[type[Artifact] | None] = TrainedTokenizer

    inputs: Annotated[Labels, Input(Documents, Chats)] = Field(
        alias="from", description="stages above whose texts the tokenizer is trained on"
    )
    vocabulary: int = Field(4096, ge=257, description="vocabulary size: 256 bytes, <|endoftext|>, control tokens, and merges")
    min_frequency: int = Field(2, gt=0, description="minimum frequency of a pair in the training texts to be merged")
    split_digits: bool = Field(
        True, description="make each digit a separate token, which helps arithmetic; otherwise tokens have up to three digits"
    )
    split_spaces: bool = Field(
        False,
        description="make each space and punctuation mark a separate token, so that a word has the same tokens after a space, "
        "a quotation mark and a bracket, and can be copied from text into code token by token",
    )
    control_tokens: tuple[str, ...] = Field(
        (),
        description="tokens that chat templates write and no text is encoded to, such as `<|end|>`; the name of a template "
        "(phi-3, phi-4, chatml) adds the tokens of that template",
    )
    max_documents: int = Field(1_000_000, gt=0, description="maximum number of training documents, sampled evenly")
    max_mib: float = Field(64.0, gt=0, description="maximum size of the training texts in MiB, sampled evenly")

    def check(self) -> Iterable[Diagnostic]:
        """Report what is neither a control token nor the name of a chat template, and a vocabulary that is too small."""
        for name in self.control_tokens:
            if name not in TEMPLATES and not _CONTROL_TOKEN.fullmatch(name):
                hint = f"write it in brackets, as `<|{name.strip('<|>')}|>`; or name a chat template: {', '.join(TEMPLATES)}"
                yield Diagnostic("control_tokens", f"'{name}' is neither a control token nor a chat template", hint)
        smallest = 257 + len(self._control_tokens())
        if self.vocabulary < smallest:
            hint = f"{smallest} is the minimum: 256 bytes, <|endoftext|>, and the control tokens"
            yield Diagnostic("vocabulary", f"{self.vocabulary} ids are too few", hint)

    def _control_tokens(self) -> list[str]:
        names = (ChatTemplate.resolve(name).control_tokens() if name in TEMPLATES else [name] for name in self.control_tokens)
        return list(dict.fromkeys(token for tokens in names for token in tokens if token != END_OF_DOCUMENT))

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the size of the file."""
        return Estimate(disk_bytes=60.0 * self.vocabulary)

    def pack(self, inputs: StageInputs, out: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which AutoTokenizer opens, then the card.

        Raises:
            RunError: the corpus is empty.
        """
        tables = list(inputs.by_label("from", Table).values())
        sample = _sample_size(tables, self.max_documents, self.max_mib * 2**20)
        if sample.documents == 0:
            raise RunError("the inputs have no text to train on", place="from")
        counter = _TextCounter()
        trained = self._train(counter.count(_sample(tables, sample.share)), sample.documents)
        trained.save(str(out / "tokenizer.json"))
        tokenizer = FileTokenizer(out / "tokenizer.json")
        write_tokenizer_files(out, tokenizer.file, tokenizer.eod)
        measured = _sample(tables, sample.share * min(1.0, _MEASURED_DOCUMENTS / sample.documents))
        card = {
            "vocabulary": tokenizer.vocabulary,
            "digest": tokenizer.digest,
            "documents": counter.documents,
            "bytes": counter.bytes,
            "bytes_per_token": _bytes_per_token(tokenizer, measured),
        }
        write_json(out / TrainedTokenizer.card_name, card)

    def _train(self, texts: Iterator[str], documents: int) -> tokenizers.Tokenizer:
        from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
        from tokenizers import Tokenizer as LibraryTokenizer

        tokenizer = LibraryTokenizer(models.BPE())
        source = SEPARATE_PATTERN if self.split_spaces else SPLIT_PATTERN
        pattern = Regex(source % ("" if self.split_digits else "{1,3}"))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            min_frequency=self.min_frequency,
            special_tokens=[END_OF_DOCUMENT, *self._control_tokens()],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer=trainer, length=documents)
        return tokenizer


@dataclass
class _TextCounter:
    """Counts the texts that pass through `count`."""

    documents: int = 0
    bytes: int = 0

    def count(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield the same texts."""
        for text in texts:
            self.documents += 1
            self.bytes += len(text.encode())
            yield text


class _SampleSize(NamedTuple):
    """The share of the documents to train on, and their number."""

    share: float
    documents: int


def _sample_size(tables: Iterable[Table], max_documents: int, max_bytes: float) -> _SampleSize:
    documents = size = 0
    for texts in _texts(tables):
        documents += len(texts)
        size += int(texts.str.len_bytes().sum())
    share = min(1.0, max_documents / max(documents, 1), max_bytes / max(size, 1))
    return _SampleSize(share, int(documents * share))


def _sample(tables: Iterable[Table], share: float) -> Iterator[str]:
    """Yield a share of the texts at equal distances, always the same ones."""
    number = 0
    for texts in _texts(tables):
        for text in texts:
            number += 1
            if int(number * share) > int((number - 1) * share):
                yield text


def _texts(tables: Iterable[Table]) -> Iterator[pl.Series]:
    for table in tables:
        for frame in table.frames(list(table.content)):
            yield text_of(frame)


def _bytes_per_token(tokenizer: Tokenizer, texts: Iterator[str]) -> float:
    size = tokens = 0
    while batch := list(islice(texts, 1000)):
        size += sum(len(text.encode()) for text in batch)
        tokens += sum(map(len, tokenizer.encode_batch(batch)))
    return size / max(tokens, 1)
