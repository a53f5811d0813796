"""Runs the searches of many questions side by side: batches their requests, and records finished searches in a journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from textbookgen import Message
from textbookgen.api.model import TokenModel
from textbookgen_megatron.pivotal.oracles import Oracle
from textbookgen_megatron.pivotal.search import (
    LogprobRequest,
    PivotalSearch,
    Response,
    Rollout,
    RolloutRequest,
    SearchResult,
    SearchSettings,
    SearchSteps,
    TokenPair,
    Tokens,
)


@dataclass(frozen=True)
class RolloutSettings:
    """How rollouts are sampled: prompt column, temperature, maximum tokens of a completion, stop texts, seed."""

    prompt_column: str
    temperature: float
    max_tokens: int
    stop: tuple[str, ...]
    seed: str


class Journal:
    """Results of finished searches, one JSON line per question, so that a killed run resumes.

    An incomplete last line is removed when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._offsets: dict[str, int] = {}
        self._file = path.open("a+b")
        self._file.seek(0)
        end = 0
        for line in self._file:
            if line.endswith(b"\n"):
                self._offsets[json.loads(line)["id"]] = end
                end += len(line)
        self._file.truncate(end)

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def get(self, key: str) -> SearchResult:
        """Return the result for a question.

        Raises:
            KeyError: There is none.
        """
        self._file.seek(self._offsets[key])
        values = json.loads(self._file.readline())["result"]
        pairs = [TokenPair(**{**pair, "prefix": tuple(pair["prefix"])}) for pair in values.pop("pairs")]
        return SearchResult(**values, pairs=pairs)

    def put(self, key: str, result: SearchResult) -> None:
        """Append the result for a question."""
        self._offsets[key] = self._file.seek(0, 2)
        self._file.write(json.dumps({"id": key, "result": asdict(result)}).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass
class _ActiveSearch:
    """A search in progress, and its pending request."""

    row: Mapping[str, Any]
    question: Tokens
    steps: SearchSteps[SearchResult]
    request: RolloutRequest | LogprobRequest


@dataclass(frozen=True)
class _PrefixRequest:
    """A prefix to sample rollouts from, on behalf of a search."""

    search: _ActiveSearch
    prefix: Tokens
    seed: int


@dataclass(frozen=True)
class SearchSession:
    """Searches questions with a model and an oracle, and records the results in a journal."""

    model: TokenModel
    oracle: Oracle
    search_settings: SearchSettings
    rollout_settings: RolloutSettings
    journal: Journal

    def run(
        self, rows: Iterator[Mapping[str, Any]], concurrency: int
    ) -> Iterator[tuple[Mapping[str, Any], Tokens, SearchResult]]:
        """Yield each question, its token ids and its result, in order; results do not depend on the other questions.

        Args:
            rows: The questions.
            concurrency: Number of questions searched side by side.
        """
        while batch := list(islice(rows, concurrency)):
            prompts = [[Message("user", str(row[self.rollout_settings.prompt_column]))] for row in batch]
            questions = [(row, tuple(ids)) for row, ids in zip(batch, self.model.encode(prompts), strict=True)]
            self._search((row, ids) for row, ids in questions if row["id"] not in self.journal)
            for row, ids in questions:
                yield row, ids, self.journal.get(row["id"])

    def _search(self, questions: Iterable[tuple[Mapping[str, Any], Tokens]]) -> None:
        """Run the searches of these questions to their end."""
        active = []
        for row, ids in questions:
            steps = PivotalSearch(self.search_settings).run()
            active.append(_ActiveSearch(row, ids, steps, next(steps)))
        while active:
            responses = self._respond(active)
            active = [search for search, response in zip(active, responses, strict=True) if self._advance(search, response)]

    def _advance(self, search: _ActiveSearch, response: Response) -> bool:
        """Send a search its response; return False if that was the last, after recording the result."""
        try:
            search.request = search.steps.send(response)
        except StopIteration as end:
            self.journal.put(search.row["id"], end.value)
            return False
        return True

    def _respond(self, active: Sequence[_ActiveSearch]) -> list[Response]:
        """Return the responses to the pending requests, from one call of the model for each kind of request."""
        rollouts = iter(self._sample([request for search in active for request in self._prefix_requests(search)]))
        completions = [
            (search.question, search.request.tokens) for search in active if isinstance(search.request, LogprobRequest)
        ]
        logprobs = iter(self.model.logprobs(completions) if completions else [])
        return [
            Response(rollouts=[next(rollouts) for _ in search.request.prefixes])
            if isinstance(search.request, RolloutRequest)
            else Response(logprobs=next(logprobs))
            for search in active
        ]

    def _prefix_requests(self, search: _ActiveSearch) -> Iterator[_PrefixRequest]:
        """Yield the prefixes that a search needs rollouts from, if it does, each with its own seed."""
        if not isinstance(search.request, RolloutRequest):
            return
        for prefix in search.request.prefixes:
            key = f"{self.rollout_settings.seed}/{search.row['id']}/{prefix}/{search.request.resample}"
            yield _PrefixRequest(search, prefix, int.from_bytes(sha256(key.encode()).digest()[:6], "big"))

    def _sample(self, requests: Sequence[_PrefixRequest]) -> list[list[Rollout]]:
        """Sample rollouts from each prefix, and grade the completions they end."""
        if not requests:
            return []
        settings = self.rollout_settings
        samples = self.model.extend(
            [request.search.question + request.prefix for request in requests],
            max_tokens=[settings.max_tokens - len(request.prefix) for request in requests],
            seeds=[request.seed for request in requests],
            temperature=settings.temperature,
            stop=settings.stop,
            samples=self.search_settings.samples,
        )
        pairs = zip(requests, samples, strict=True)
        grades = iter(self._grade([(request, item.ids) for request, items in pairs for item in items]))
        return [[Rollout(item.ids, next(grades)) for item in items] for items in samples]

    def _grade(self, rollouts: Sequence[tuple[_PrefixRequest, Tokens]]) -> list[bool]:
        """Return whether each rollout makes its completion correct; equal completions of a question are graded once."""
        completions = [(request.search.row["id"], request.prefix + ids) for request, ids in rollouts]
        rows = {completion: request.search.row for completion, (request, _) in zip(completions, rollouts, strict=True)}
        texts = self.model.decode([ids for _, ids in rows])
        grades = self.oracle.grade([(row, self._cut(text)) for row, text in zip(rows.values(), texts, strict=True)])
        grade_of = dict(zip(rows, grades, strict=True))
        return [grade_of[completion] for completion in completions]

    def _cut(self, text: str) -> str:
        """Cut a text before the first stop text."""
        places = (place for place in map(text.find, self.rollout_settings.stop) if place >= 0)
        return text[: min(places, default=len(text))]
