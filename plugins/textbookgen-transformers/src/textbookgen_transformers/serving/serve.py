"""The serving process: `python -m textbookgen_transformers.serving.serve FOLDER`, one JSON line asked, one answered.

A line that cannot be answered is answered with `{"error": ...}`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from textbookgen.plugins import Plugins


def serve(checkpoint: Path) -> None:
    """Answers until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not come between the answers
    from textbookgen_transformers.serving.generation import Wish, Writer

    card = json.loads((checkpoint / "checkpoint.json").read_text(encoding="utf-8"))
    file = card["tokenizer"]["file"]
    tokenizer = Plugins([]).tokenizer(f"hf:{checkpoint / file}" if file else "bytes")
    writer = Writer.load(checkpoint, tokenizer, card["eod"])

    def answer(line: dict[str, Any]) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

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
