"""The serving process: `python -m textbookgen_megatron.serving.serve FOLDER`, one JSON line asked, one answered.

It says `{"ready": true}` once it can be asked; a line that cannot be answered is answered with `{"error": ...}`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textbookgen.tokenizer import ByteTokenizer


def _tokenizer(
    checkpoint: Path, card: dict[str, Any]
) -> tuple[Callable[[list[str]], list[list[int]]], Callable[[list[int]], str]]:
    """How texts are encoded and decoded, as when the checkpoint's shards were packed."""
    if card["tokenizer"]["file"] is None:
        plain = ByteTokenizer()
        return plain.encode_batch, plain.decode
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(checkpoint / card["tokenizer"]["file"]))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [each.ids for each in tokenizer.encode_batch(texts, add_special_tokens=False)], tokenizer.decode


def serve(checkpoint: Path) -> None:
    """Answers until standard input ends."""
    from textbookgen_megatron.serving.forward import Network
    from textbookgen_megatron.serving.generation import Wish, Writer

    card = json.loads((checkpoint / "checkpoint.json").read_text(encoding="utf-8"))
    writer = Writer(Network.load(checkpoint), *_tokenizer(checkpoint, card), card["eod"])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not come between the answers

    def answer(line: dict[str, Any]) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    answer({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if asked["ask"] == "complete":
                wish = Wish(**{**asked["wish"], "stop": tuple(asked["wish"]["stop"])})
                answer({"answer": writer.complete(asked["prompts"], wish)})
            else:
                answer({"answer": writer.score([(before, after) for before, after in asked["pairs"]])})
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            answer({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
