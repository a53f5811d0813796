"""What a process that serves a model does besides computing: its loop, and how texts are batched, pieced and cut.

The other end is `textbookgen.served.ServedModel`. It says `{"ready": true}` once it can be asked, and answers each JSON line
with `{"answer": ...}`, or with `{"error": ...}` where it cannot.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from textbookgen.errors import TextbookgenError


@dataclass(frozen=True)
class Wish:
    """How to complete."""

    max_tokens: int
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    samples: int = 1
    seed: int = 0

    @classmethod
    def of(cls, asked: dict[str, Any]) -> Wish:
        """The wish in a line that was asked."""
        return cls(**{**asked["wish"], "stop": tuple(asked["wish"]["stop"])})


class TextWriter(Protocol):
    """A loaded model that completes and scores; see `textbookgen.model.Model` for what is asked of it."""

    def complete(self, prompts: Sequence[str], wish: Wish) -> list[list[str]]:
        """For each prompt its completions."""
        ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int, bool]]:
        """For each pair what `textbookgen.model.Score` holds of the second text after the first."""
        ...


def answer(writer: TextWriter, asked: dict[str, Any]) -> Any:
    """What a line asks for, to complete or to score.

    Raises:
        ValueError: it asks for something else.
    """
    match asked["ask"]:
        case "complete":
            return writer.complete(asked["prompts"], Wish.of(asked))
        case "score":
            return writer.score([(before, after) for before, after in asked["pairs"]])
        case other:
            raise ValueError(f"nobody knows how to {other!r}")


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


def batches(sizes: Sequence[int], most: int, samples: int = 1) -> Iterator[list[int]]:
    """Indexes of like size together, as many as a batch of `most` tokens holds if each is padded to the largest."""
    batch: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda index: (sizes[index], index)):
        if batch and (len(batch) + 1) * samples * sizes[index] > most:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pieces(before: list[int], after: list[int], window: int) -> Iterator[tuple[list[int], int]]:
    """Ids to read at once, and how many of the last are scored, so that all of `after` is; `before` holds one at least.

    What is longer than the window is read in pieces that see half a window back.
    """
    ids, done = before + after, len(before)
    while done < len(ids):
        first = max(0, done - window // 2) if len(ids) > window else 0
        stop = min(len(ids), first + window)
        yield ids[first:stop], stop - done
        done = stop


def ends_with(ids: Sequence[int], stop: Sequence[str], decode: Callable[[list[int]], str]) -> bool:
    """Whether the last of these ids brought a stop text; called after each, so only the last few are decoded."""
    if not stop:
        return False
    # each token is a byte at least, so a stop text that just ended lies within so many last ones
    near = max(len(text.encode()) for text in stop) + 4
    tail = decode(list(ids[-near:]))
    return any(text in tail for text in stop)


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the first stop text in it."""
    return text[: min((place for place in map(text.find, stop) if place >= 0), default=len(text))]
