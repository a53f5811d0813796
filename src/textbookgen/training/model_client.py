"""Models in a process of their trainer's own, asked one JSON line at a time (see `textbookgen.training.model_server`)."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from textbookgen.api.errors import TrainerError
from textbookgen.api.message import Message
from textbookgen.api.model import Continuation, Score


class ServedModel:
    """Completes and scores by asking a process that holds the model; started at once, so that it loads while others work.

    The command's process serves as `textbookgen.training.model_server.serve` does, and answers texts. It ends when its standard input
    closes, which it does with this process, however that ends. `environment` holds for what is not set; threads sleep
    while they wait.
    """

    def __init__(self, command: Sequence[str], checkpoint: Path, environment: Mapping[str, str] | None = None) -> None:
        self._checkpoint = checkpoint
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._asking = threading.Lock()
        self._ready = False
        threads = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count() or 1)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={"OMP_WAIT_POLICY": "PASSIVE", **(environment or {}), **os.environ, "OMP_NUM_THREADS": threads},
            text=True,
            encoding="utf-8",
        )

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        samples: int = 1,
        seed: int = 0,
    ) -> list[list[str]]:
        """For each prompt, `samples` completions without the prompt; with temperature 0 they are all the greedy one.

        Raises:
            TrainerError: the process ended or could not answer.
        """
        drawn = samples if temperature else 1
        wish = {"max_tokens": max_tokens, "temperature": temperature, "stop": list(stop), "samples": drawn, "seed": seed}
        answer: list[list[str]] = self.ask({"ask": "complete", "prompts": list(prompts), "wish": wish})
        return [texts * (samples // drawn) for texts in answer]

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """How likely each second text is after the first; an empty first text is the start of a document.

        Raises:
            TrainerError: the process ended or could not answer.
        """
        return [Score(*item) for item in self.ask({"ask": "score", "pairs": [list(pair) for pair in pairs]})]

    def ask(self, asked: dict[str, Any]) -> Any:
        """What the process answers to one line; who has it answer more asks by this.

        Raises:
            TrainerError: the process ended or could not answer.
        """
        with self._asking:
            if not self._ready:
                self._read()
                self._ready = True
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps(asked) + "\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                raise self._failure() from None
            return self._read()["answer"]

    def close(self) -> None:
        """Ends the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                _close(pipe)
        self._complaints.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise TrainerError(f"the model could not answer: {told['error']}", place=str(self._checkpoint))
        return told

    def _failure(self) -> TrainerError:
        self._process.wait()
        self._complaints.seek(0)
        last = self._complaints.read().decode(errors="replace").strip().splitlines()[-8:]
        return TrainerError("\n".join(["the serving process ended", *last]), place=str(self._checkpoint))


class ServedTokenModel(ServedModel):
    """A served model that can be asked by token ids too: a `TokenModel`, by `textbookgen.training.model_server.answer`."""

    def encode(self, prompts: Sequence[str | Sequence[Message]]) -> list[list[int]]:
        """Each text as ids; each conversation by the checkpoint's chat template, up to where the assistant goes on.

        Raises:
            TrainerError: the process ended or could not answer.
        """
        told = [
            prompt if isinstance(prompt, str) else [{"role": turn.role, "content": turn.content} for turn in prompt]
            for prompt in prompts
        ]
        answer: list[list[int]] = self.ask({"ask": "encode", "prompts": told})
        return answer

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Each row of ids as text, without control tokens.

        Raises:
            TrainerError: the process ended or could not answer.
        """
        answer: list[str] = self.ask({"ask": "decode", "tokens": [list(row) for row in tokens]})
        return answer

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
        """For each row of ids, `samples` continuations drawn with a seed of its own; with temperature 0 all the greedy one.

        Raises:
            TrainerError: the process ended or could not answer.
        """
        drawn = samples if temperature else 1
        rooms = [max_tokens] * len(prefixes) if isinstance(max_tokens, int) else list(max_tokens)
        asked = {
            "ask": "extend",
            "prefixes": [list(row) for row in prefixes],
            "seeds": list(seeds),
            "rooms": rooms,
            "wish": {"max_tokens": max(rooms, default=0), "temperature": temperature, "stop": list(stop), "samples": drawn},
        }
        return [
            [Continuation(tuple(ids), text, ended) for ids, text, ended in item] * (samples // drawn)
            for item in self.ask(asked)
        ]

    def logprobs(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """The log probability of each id of the second row, after the first row and those before it.

        Raises:
            TrainerError: the process ended or could not answer.
        """
        answer: list[list[float]] = self.ask(
            {"ask": "logprobs", "pairs": [[list(before), list(after)] for before, after in pairs]}
        )
        return answer


def _close(pipe: IO[str]) -> None:
    """Closes a pipe to a process that may be gone; what was not sent no longer matters."""
    try:
        pipe.close()
    except BrokenPipeError:
        pass
