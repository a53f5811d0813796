"""Built-in tokenizers: `bytes`, and any `tokenizer.json` that the library `tokenizers` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textbookgen.api.errors import RunError
from textbookgen.api.hashing import file_digest
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.tokenizer import END_OF_DOCUMENT, ByteTokenizer, Tokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import tokenizers

#: Texts on which gigatoken must agree with the library `tokenizers` before it is used.
PROBES = (
    f"one {END_OF_DOCUMENT} two\n\n    return 12345 + x9  # it's, I'LL\r\n\t",
    "cafe\u0301 caf\u00e9 \u0661\u0662 \u00bd \u00a0\u3000 \u65e5\u672c\u8a9e \U0001f642\u200d\U0001f642 \x00",
)


class FileTokenizer:
    """A tokenizer stored in a `tokenizer.json` whose end-of-document token is `<|endoftext|>`.

    Text that spells a special token is encoded as ordinary text, so that no document can end itself. If the library
    gigatoken is installed and supports the tokenizer, it encodes: the same ids, about twenty times as fast.

    Attributes:
        name: `hf:` and the path.
        file: the path.
        digest: the file's sha256.
        vocabulary: the highest id plus one, the number of rows an embedding table needs.
        eod: the id of `<|endoftext|>`.

    Raises:
        RunError: the file is missing, cannot be read, or has no end-of-document token.
    """

    file: Path | None

    def __init__(self, file: Path) -> None:
        self.name = f"hf:{file}"
        self.file = file
        self._tokenizer = _load(file)
        self._fast = _load_gigatoken(self._tokenizer)
        self.digest = file_digest(file)
        ids = self._tokenizer.get_vocab(with_added_tokens=True)
        self.vocabulary = 1 + max(ids.values(), default=-1)
        if END_OF_DOCUMENT not in ids:
            hint = 'add it as a special token, or train a tokenizer with `use = "train-tokenizer"`'
            raise RunError(f"the tokenizer '{file}' has no token {END_OF_DOCUMENT} to end a document", hint=hint)
        self.eod = ids[END_OF_DOCUMENT]

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.file,)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without an end-of-document id."""
        if self._fast is not None:
            return cast("list[list[int]]", self._fast.encode_batch_list(list(texts)))
        return _encode(self._tokenizer, texts)

    def encode_ragged(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.integer[Any]]]:
        """Return the ids of all texts concatenated, shape (tokens,), and the number of ids of each text, shape (texts,)."""
        import numpy as np

        if self._fast is None:
            ids = _encode(self._tokenizer, texts)
            lengths = np.fromiter(map(len, ids), np.int64, len(ids))
            return np.fromiter(chain.from_iterable(ids), np.uint32, int(lengths.sum())), lengths
        encoded = self._fast.encode_batch(list(texts)).layout
        return encoded.content.data, np.diff(encoded.offsets.data)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of these ids, without special tokens."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)


def _load(file: Path) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer as LibraryTokenizer

    if not file.is_file():
        raise RunError(f"there is no tokenizer '{file}'", hint="hf:PATH is the path of a tokenizer.json")
    try:
        tokenizer = LibraryTokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception for a malformed file
        raise RunError(f"cannot read the tokenizer '{file}': {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _encode(tokenizer: tokenizers.Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def _load_gigatoken(tokenizer: tokenizers.Tokenizer) -> Any | None:
    """Return gigatoken's version of a tokenizer; None if it is not installed, unsupported, or gives other ids for probes."""
    try:
        gigatoken: Any = import_module("gigatoken")
    except ImportError:
        return None
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = []  # text that spells a special token stays text
    try:
        fast = gigatoken.Tokenizer.from_json(json.dumps(description))
        return fast if fast.encode_batch_list(list(PROBES)) == _encode(tokenizer, PROBES) else None
    except RuntimeError:
        return None


@hookimpl
def open_tokenizer(name: str) -> Tokenizer | None:
    """Open `bytes`, or `hf:PATH` for a tokenizer.json."""
    if name == "bytes":
        return cast("Tokenizer", ByteTokenizer())
    if name.startswith("hf:"):
        return FileTokenizer(Path(name.removeprefix("hf:")))
    return None
