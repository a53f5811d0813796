"""ServedModel: a model in a process of its trainer's own, asked one JSON line at a time (see `textbookgen.serving`)."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from textbookgen.errors import TrainerError
from textbookgen.model import Score


class ServedModel:
    """Completes and scores by asking a process that holds the model; started at once, so that it loads while others work.

    The command's process serves as `textbookgen.serving.serve` does. It ends when its standard input closes, which it does
    with this process, however that ends. `environment` holds for what is not set; threads sleep while they wait.
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
        return [Score(*each) for each in self.ask({"ask": "score", "pairs": [list(pair) for pair in pairs]})]

    def ask(self, asked: dict[str, Any]) -> Any:
        """What the process answers to one line; a trainer whose process answers more than texts asks it by this.

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


def _close(pipe: IO[str]) -> None:
    """Closes a pipe to a process that may be gone; what was not sent no longer matters."""
    try:
        pipe.close()
    except BrokenPipeError:
        pass
