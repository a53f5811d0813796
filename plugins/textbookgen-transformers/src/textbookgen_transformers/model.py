"""A trained model as the host sees it: the far end of a serving process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textbookgen.errors import TrainerError
from textbookgen.model import Score

#: Threads that sleep while they wait, and no looking for models on the internet.
_QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class ServedModel:
    """Completes and scores by asking a process that holds the model; started at once, so that it loads while others work."""

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._asking = threading.Lock()
        threads = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count() or 1)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "textbookgen_transformers.serving.serve", str(checkpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={**_QUIET, **os.environ, "OMP_NUM_THREADS": threads},
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
        answer: list[list[str]] = self._ask({"ask": "complete", "prompts": list(prompts), "wish": wish})
        return [texts * (samples // drawn) for texts in answer]

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """How likely each second text is after the first; an empty first text is the start of a document.

        Raises:
            TrainerError: the process ended or could not answer.
        """
        return [Score(*each) for each in self._ask({"ask": "score", "pairs": [list(pair) for pair in pairs]})]

    def close(self) -> None:
        """Ends the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except BrokenPipeError:
                pass  # what was not sent no longer matters
        self._complaints.close()

    def _ask(self, asked: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._asking:
            try:
                self._process.stdin.write(json.dumps(asked) + "\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                raise self._failure() from None
            line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise TrainerError(f"the model could not answer: {told['error']}", place=str(self._checkpoint))
        return told["answer"]

    def _failure(self) -> TrainerError:
        self._process.wait()
        self._complaints.seek(0)
        last = self._complaints.read().decode(errors="replace").strip().splitlines()[-8:]
        return TrainerError("\n".join(["the serving process ended", *last]), place=str(self._checkpoint))
