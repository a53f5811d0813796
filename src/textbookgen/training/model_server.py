"""The process that serves a model over standard input and output, one JSON line per request and per response.

`textbookgen.training.model_client` is the other end. The server writes `{"ready": true}` once it takes requests, and
answers each with `{"result": ...}`, or `{"error": ...}` if it failed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from textbookgen.api.errors import TextbookgenError
from textbookgen.training.generation import BatchGenerator
from textbookgen.training.sampling import SamplingParams


class TextGenerator(Protocol):
    """A loaded model that completes and scores texts; `textbookgen.api.model.Model` says what each method means."""

    def complete(self, prompts: Sequence[str], params: SamplingParams) -> list[list[str]]:
        """Return the completions of each prompt."""
        ...

    def score(self, pairs: Sequence[tuple[str, str]], *, document_start: bool) -> list[tuple[float, int, bool]]:
        """Return the fields of `textbookgen.api.model.Score` for each pair."""
        ...


def handle_text_request(generator: TextGenerator, request: dict[str, Any]) -> Any:
    """Complete or score texts: all requests of `textbookgen.training.model_client.ModelClient`.

    Raises:
        ValueError: unknown request type.
    """
    match request["type"]:
        case "complete":
            return generator.complete(request["prompts"], SamplingParams.from_request(request))
        case "score":
            pairs = [(before, after) for before, after in request["pairs"]]
            return generator.score(pairs, document_start=request["document_start"])
        case other:
            raise ValueError(f"unknown request type {other!r}")


def handle_request(generator: BatchGenerator, request: dict[str, Any]) -> Any:
    """Handle requests by texts and by token ids: all requests of `textbookgen.training.model_client.TokenModelClient`.

    Raises:
        ValueError: unknown request type.
    """
    match request["type"]:
        case "encode":
            return generator.codec.encode(request["prompts"])
        case "decode":
            return [generator.codec.decode_answer(ids) for ids in request["tokens"]]
        case "extend":
            params = SamplingParams.from_request(request)
            return generator.extend(request["prefixes"], params, request["seeds"], request["max_tokens"])
        case "logprobs":
            pairs = [(before, after) for before, after in request["pairs"]]
            return generator.logprobs(pairs, document_start=request["document_start"])
        case _:
            return handle_text_request(generator, request)


def serve(load: Callable[[], Callable[[dict[str, Any]], Any]]) -> None:
    """Answer requests until standard input closes.

    Args:
        load: loads the model, and returns the function that handles a request.
    """
    responses = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not mix with the responses

    def send(line: dict[str, Any]) -> None:
        responses.write(json.dumps(line) + "\n")
        responses.flush()

    try:
        handle = load()
    except TextbookgenError as error:
        print(error, file=sys.stderr)  # the client reports it
        sys.exit(1)
    send({"ready": True})
    for line in sys.stdin:
        try:
            send({"result": handle(json.loads(line))})
        except (RuntimeError, ValueError, TypeError, KeyError, TextbookgenError) as error:
            send({"error": f"{type(error).__name__}: {error}"})
