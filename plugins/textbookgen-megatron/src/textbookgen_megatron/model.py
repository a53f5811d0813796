"""A trained model as the host sees it: the far end of a serving process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from textbookgen.model import Continuation
from textbookgen.served import ServedModel
from textbookgen.teacher import Message


class MegatronModel(ServedModel):
    """The model of a checkpoint of this plugin, or of a folder of transformers; it can be asked by token ids too."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__([sys.executable, "-m", "textbookgen_megatron.serving.serve", str(checkpoint)], checkpoint)

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
            [Continuation(tuple(ids), text, ended) for ids, text, ended in each] * (samples // drawn)
            for each in self.ask(asked)
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
