"""Searches in many questions side by side: what all want next is sampled in one go, and what is done is written down."""

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
from textbookgen_megatron.pivotal.search import Answer, Client, Draw, Found, Pair, Rollout, Rules, Search, Tokens, Weigh


@dataclass(frozen=True)
class Sampling:
    """How questions are asked: from which column, how freely, up to where, and with which seed."""

    prompt: str
    temperature: float
    max_tokens: int
    stop: tuple[str, ...]
    seed: str


class Journal:
    """What is done, a line a question, so that a killed run goes on; a torn last line is as good as none."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._places: dict[str, int] = {}
        self._file = path.open("a+b")
        self._file.seek(0)
        end = 0
        for line in self._file:
            if line.endswith(b"\n"):
                self._places[json.loads(line)["id"]] = end
                end += len(line)
        self._file.truncate(end)

    def get(self, key: str) -> Found | None:
        """What was found, if the question is done."""
        if key not in self._places:
            return None
        self._file.seek(self._places[key])
        told = json.loads(self._file.readline())["found"]
        pairs = [Pair(**{**pair, "prefix": tuple(pair["prefix"])}) for pair in told.pop("pairs")]
        return Found(**told, pairs=pairs)

    def put(self, key: str, result: Found) -> None:
        """Keeps what was found."""
        self._places[key] = self._file.seek(0, 2)
        self._file.write(json.dumps({"id": key, "found": asdict(result)}).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@dataclass
class _Live:
    """A question under way, and what its search wants next."""

    row: Mapping[str, Any]
    question: Tokens
    client: Client[Found]
    wants: Draw | Weigh


@dataclass(frozen=True)
class _Wish:
    """One prefix to go on from, for one question."""

    of: _Live
    prefix: Tokens
    seed: int


@dataclass(frozen=True)
class Searching:
    """The model that is searched, who says what is right, what is searched for, and where it is written down."""

    model: TokenModel
    oracle: Oracle
    rules: Rules
    sampling: Sampling
    journal: Journal

    def all(self, rows: Iterator[Mapping[str, Any]], at_once: int) -> Iterator[tuple[Mapping[str, Any], Tokens, Found]]:
        """Each question, its tokens and what was found, in order; what is found depends on nothing beside the question."""
        while some := list(islice(rows, at_once)):
            asked = self.model.encode([[Message("user", str(row[self.sampling.prompt]))] for row in some])
            questions = [tuple(ids) for ids in asked]
            self._search([pair for pair in zip(some, questions, strict=True) if self.journal.get(pair[0]["id"]) is None])
            for row, question in zip(some, questions, strict=True):
                result = self.journal.get(row["id"])
                assert result is not None
                yield row, question, result

    def _search(self, asked: Iterable[tuple[Mapping[str, Any], Tokens]]) -> None:
        """Works these questions to their end."""
        live = []
        for row, question in asked:
            client = Search(self.rules).run()
            live.append(_Live(row, question, client, next(client)))
        while live:
            answers = self._answers(live)
            live = [item for item, answer in zip(live, answers, strict=True) if self._goes_on(item, answer)]

    def _goes_on(self, item: _Live, answer: Answer) -> bool:
        """Tells a search what it wanted; False if that was all, and then it is written down."""
        try:
            item.wants = item.client.send(answer)
        except StopIteration as end:
            self.journal.put(item.row["id"], end.value)
            return False
        return True

    def _answers(self, live: Sequence[_Live]) -> list[Answer]:
        """What each search wants, asked of the model together."""
        draws = iter(self._drawn([wish for item in live if isinstance(item.wants, Draw) for wish in self._wishes(item)]))
        weighed = [(item.question, item.wants.tokens) for item in live if isinstance(item.wants, Weigh)]
        logprobs = iter(self.model.logprobs(weighed) if weighed else [])
        return [
            Answer(rollouts=[next(draws) for _ in item.wants.prefixes])
            if isinstance(item.wants, Draw)
            else Answer(logprobs=next(logprobs))
            for item in live
        ]

    def _wishes(self, item: _Live) -> Iterator[_Wish]:
        assert isinstance(item.wants, Draw)
        for prefix in item.wants.prefixes:
            facts = f"{self.sampling.seed}/{item.row['id']}/{prefix}/{item.wants.again}"
            yield _Wish(item, prefix, int.from_bytes(sha256(facts.encode()).digest()[:6], "big"))

    def _drawn(self, wishes: Sequence[_Wish]) -> list[list[Rollout]]:
        """For each prefix its samples, each judged as a whole."""
        if not wishes:
            return []
        drawn = self.model.extend(
            [wish.of.question + wish.prefix for wish in wishes],
            max_tokens=[self.sampling.max_tokens - len(wish.prefix) for wish in wishes],
            seeds=[wish.seed for wish in wishes],
            temperature=self.sampling.temperature,
            stop=self.sampling.stop,
            samples=self.rules.samples,
        )
        said = [(wish, item.ids) for wish, several in zip(wishes, drawn, strict=True) for item in several]
        right = iter(self._right(said))
        return [[Rollout(item.ids, next(right)) for item in several] for several in drawn]

    def _right(self, said: Sequence[tuple[_Wish, Tokens]]) -> list[bool]:
        """Whether each completion is right; the same completion of a question is read and judged once."""
        wholes = [(wish.of.row["id"], wish.prefix + ids) for wish, ids in said]
        rows = {whole: wish.of.row for whole, (wish, _) in zip(wholes, said, strict=True)}
        texts = self.model.decode([ids for _, ids in rows])
        verdicts = self.oracle.right([(row, self._cut(text)) for row, text in zip(rows.values(), texts, strict=True)])
        known = dict(zip(rows, verdicts, strict=True))
        return [known[whole] for whole in wholes]

    def _cut(self, text: str) -> str:
        return text[: min((place for place in map(text.find, self.sampling.stop) if place >= 0), default=len(text))]
