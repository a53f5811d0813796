"""The process that serves a model: one JSON line asked, one answered.

The other end is `textbookgen.training.model_client`. It says `{"ready": true}` once it can be asked, and answers each JSON line with
`{"answer": ...}`, or with `{"error": ...}` where it cannot.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from textbookgen.api.errors import TextbookgenError
from textbookgen.training.generation import BatchGenerator, SamplingParams


class TextWriter(Protocol):
    """A loaded model that completes and scores; see `textbookgen.api.model.Model` for what is asked of it."""

    def complete(self, prompts: Sequence[str], wish: SamplingParams) -> list[list[str]]:
        """For each prompt its completions."""
        ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int, bool]]:
        """For each pair what `textbookgen.api.model.Score` holds of the second text after the first."""
        ...


def answer_texts(writer: TextWriter, asked: dict[str, Any]) -> Any:
    """What a line asks for, to complete or to score; `textbookgen.training.model_client.ServedModel` asks no more.

    Raises:
        ValueError: it asks for something else.
    """
    match asked["ask"]:
        case "complete":
            return writer.complete(asked["prompts"], SamplingParams.of(asked))
        case "score":
            return writer.score([(before, after) for before, after in asked["pairs"]])
        case other:
            raise ValueError(f"nobody knows how to {other!r}")


def answer(writer: BatchGenerator, asked: dict[str, Any]) -> Any:
    """What a line asks for, by texts or by token ids: all that `textbookgen.training.model_client.ServedTokenModel` asks.

    Raises:
        ValueError: it asks for something else.
    """
    match asked["ask"]:
        case "encode":
            return writer.talk.encode(asked["prompts"])
        case "decode":
            return [writer.talk.said(ids) for ids in asked["tokens"]]
        case "extend":
            return writer.extend(asked["prefixes"], SamplingParams.of(asked), asked["seeds"], asked["rooms"])
        case "logprobs":
            return writer.logprobs([(before, after) for before, after in asked["pairs"]])
        case _:
            return answer_texts(writer, asked)


def serve(load: Callable[[], Callable[[dict[str, Any]], Any]]) -> None:
    """Answers until standard input ends; `load` loads the model and gives what answers a line."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not come between the answers

    def tell(line: dict[str, Any]) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    try:
        answered = load()
    except TextbookgenError as error:
        print(error, file=sys.stderr)  # the other end tells it
        sys.exit(1)
    tell({"ready": True})
    for line in sys.stdin:
        try:
            tell({"answer": answered(json.loads(line))})
        except (RuntimeError, ValueError, TypeError, KeyError, TextbookgenError) as error:
            tell({"error": f"{type(error).__name__}: {error}"})
