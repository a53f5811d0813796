"""Models in a separate process of their trainer, with one JSON line per request; see `textbookgen.training.model_server`."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from textbookgen.api.errors import TrainerError
from textbookgen.api.message import Message
from textbookgen.api.model import Continuation, Score

#: Lines of the server's standard error that an error message shows.
_ERROR_LINES = 8


class ModelClient:
    """A `Model` that is served by another process, which starts at once and loads the model in the background.

    The process ends when its standard input closes, which happens when this process ends, however it ends.

    Args:
        command: starts a process that calls `textbookgen.training.model_server.serve`.
        checkpoint: the checkpoint it serves, for error messages.
        environment: environment variables, where they are not set already.
    """

    def __init__(self, command: Sequence[str], checkpoint: Path, environment: Mapping[str, str] | None = None) -> None:
        self._checkpoint = checkpoint
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._lock = threading.Lock()
        self._ready = False
        threads = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count() or 1)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={"OMP_WAIT_POLICY": "PASSIVE", **(environment or {}), **os.environ, "OMP_NUM_THREADS": threads},
            text=True,
            encoding="utf-8",
        )
        self._requests = cast("IO[str]", self._process.stdin)
        self._responses = cast("IO[str]", self._process.stdout)

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        return self._process.pid

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        samples: int = 1,
        seed: int = 0,
        document_start: bool = True,
    ) -> list[list[str]]:
        """Return `samples` completions of each prompt; with temperature 0, copies of the greedy one.

        Raises:
            TrainerError: the process ended, or the request failed.
        """
        distinct = samples if temperature else 1
        sampling = _sampling(max_tokens, temperature, stop, distinct) | {"seed": seed, "document_start": document_start}
        completions: list[list[str]] = self.request("complete", prompts=list(prompts), sampling=sampling)
        return [texts * (samples // distinct) for texts in completions]

    def score(self, pairs: Sequence[tuple[str, str]], *, document_start: bool = True) -> list[Score]:
        """Score the second text of each pair given the first; see `textbookgen.api.model.Model`.

        Raises:
            TrainerError: the process ended, or the request failed.
        """
        values = [list(pair) for pair in pairs]
        return [Score(*item) for item in self.request("score", pairs=values, document_start=document_start)]

    def request(self, kind: str, **arguments: Any) -> Any:
        """Send a request of this type and return its result; for servers that handle further types.

        Raises:
            TrainerError: the process ended, or the request failed.
        """
        with self._lock:
            if not self._ready:
                self._receive()
                self._ready = True
            try:
                self._requests.write(json.dumps({"type": kind, **arguments}) + "\n")
                self._requests.flush()
            except BrokenPipeError:
                raise self._ended() from None
            return self._receive()["result"]

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._responses):
            try:
                pipe.close()
            except BrokenPipeError:  # a request that was never sent
                pass
        self._errors.close()

    def _receive(self) -> dict[str, Any]:
        line = self._responses.readline()
        if not line:
            raise self._ended()
        response: dict[str, Any] = json.loads(line)
        if "error" in response:
            raise TrainerError(f"the model server failed: {response['error']}", place=str(self._checkpoint))
        return response

    def _ended(self) -> TrainerError:
        self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-_ERROR_LINES:]
        return TrainerError("\n".join(["the model server ended", *last]), place=str(self._checkpoint))


class TokenModelClient(ModelClient):
    """A `TokenModel` that is served by another process, through `textbookgen.training.model_server.handle_request`."""

    def encode(self, prompts: Sequence[str | Sequence[Message]]) -> list[list[int]]:
        """Return the ids of each text or conversation, the latter by the checkpoint's chat template.

        Raises:
            TrainerError: the process ended, or the request failed.
        """
        values = [
            prompt if isinstance(prompt, str) else [{"role": turn.role, "content": turn.content} for turn in prompt]
            for prompt in prompts
        ]
        ids: list[list[int]] = self.request("encode", prompts=values)
        return ids

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Return each row of ids as text, without control tokens.

        Raises:
            TrainerError: the process ended, or the request failed.
        """
        texts: list[str] = self.request("decode", tokens=[list(row) for row in tokens])
        return texts

    def extend(
        self,
        prefixes: Sequence[Sequence[int]],
        *,
        max_tokens: int | Sequence[int],
        seeds: Sequence[int],
        temperature: float = 1.0,
        stop: Sequence[str] = (),
        samples: int = 1,
    ) -> list[list[Continuation]]:
        """Return `samples` continuations of each row of ids, sampled with its seed; with temperature 0 the greedy one.

        Raises:
            TrainerError: the process ended, or the request failed.
        """
        distinct = samples if temperature else 1
        limits = [max_tokens] * len(prefixes) if isinstance(max_tokens, int) else list(max_tokens)
        continuations = self.request(
            "extend",
            prefixes=[list(row) for row in prefixes],
            seeds=list(seeds),
            max_tokens=limits,
            sampling=_sampling(max(limits, default=0), temperature, stop, distinct),
        )
        return [
            [Continuation(tuple(ids), text, ended) for ids, text, ended in row] * (samples // distinct) for row in continuations
        ]

    def logprobs(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, document_start: bool = True
    ) -> list[list[float]]:
        """Return the log probability of each id of a pair's second row, given the first row and the ids before.

        Raises:
            TrainerError: the process ended, or the request failed.
        """
        values = [[list(before), list(after)] for before, after in pairs]
        logprobs: list[list[float]] = self.request("logprobs", pairs=values, document_start=document_start)
        return logprobs


def _sampling(max_tokens: int, temperature: float, stop: Sequence[str], samples: int) -> dict[str, Any]:
    return {"max_tokens": max_tokens, "temperature": temperature, "stop": list(stop), "samples": samples}
