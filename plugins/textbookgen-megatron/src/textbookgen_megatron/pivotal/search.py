"""Pivotal token search: the single tokens of a completion that decide whether it will be right (arXiv 2412.08905, 4.3).

The search asks for samples and is told them; it knows neither the model nor who judges. So many can be under way at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeVar

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Rules:
    """What is searched for, and how hard. `samples` are drawn at each prefix; `max_rollouts` bounds those of one question."""

    samples: int = 64
    least_gap: float = 0.2
    lowest_rate: float = 0.2
    highest_rate: float = 0.8
    completions: int = 2
    alternatives: int = 3
    confirm: bool = True
    max_rollouts: int = 20_000


@dataclass(frozen=True)
class Rollout:
    """How a sample went on after a prefix, to its end, and whether the whole was right."""

    tokens: Tokens
    right: bool


@dataclass(frozen=True)
class Draw:
    """Wanted: `samples` ways on from each prefix. `again`: other ones than those of the first time."""

    prefixes: tuple[Tokens, ...]
    samples: int
    again: bool = False


@dataclass(frozen=True)
class Weigh:
    """Wanted: the log probability of each of these tokens, which begin the completion."""

    tokens: Tokens


@dataclass(frozen=True)
class Answer:
    """What was wanted: rollouts for each prefix of a Draw, or the log probabilities of a Weigh."""

    rollouts: Sequence[Sequence[Rollout]] = ()
    logprobs: Sequence[float] = ()


@dataclass(frozen=True)
class Pair:
    """Two tokens that a completion may go on with after the prefix, and the rates of success before and after each."""

    prefix: Tokens
    chosen: int
    rejected: int
    p_before: float
    p_chosen: float
    p_rejected: float


@dataclass
class Found:
    """What came of one question: its rate, the rollouts it took, the completions searched, the pivotal tokens and the pairs."""

    rate: float = 0.0
    rollouts: int = 0
    searched: int = 0
    pivots: int = 0
    spent: bool = False  # whether the rollouts did not suffice
    pairs: list[Pair] = field(default_factory=list)


class _SpentError(Exception):
    """The next samples would be more than are allowed."""


Result = TypeVar("Result")
Client = Generator[Draw | Weigh, Answer, Result]


class Search:
    """The search in one question. `run` is a generator: it yields what it wants, is sent the answer, and returns Found."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.found = Found()
        self._rates: dict[Tokens, float] = {}
        self._rollouts: dict[Tokens, Sequence[Rollout]] = {}

    def run(self) -> Client[Found]:
        """Searches some completions of the question, if its rate of success is neither too low nor too high."""
        try:
            yield from self._draw([()])
            self.found.rate = self._rates[()]
            if self.rules.lowest_rate <= self.found.rate <= self.rules.highest_rate:
                for tokens in self._chosen():
                    yield from self._search(tokens)
        except _SpentError:
            self.found.spent = True
        return self.found

    def _chosen(self) -> list[Tokens]:
        """The completions that are searched: the first that were right and wrong in turn."""
        right, wrong = (
            list(dict.fromkeys(item.tokens for item in self._rollouts[()] if item.right == wanted)) for wanted in (True, False)
        )
        turns = [tokens for pair in zip(right, wrong, strict=False) for tokens in pair]
        turns += right[len(wrong) :] + wrong[len(right) :]
        return turns[: self.rules.completions]

    def _search(self, tokens: Tokens) -> Client[None]:
        """Finds the pivotal tokens of one completion, and for each the token that would have gone the other way."""
        self.found.searched += 1
        for place in (yield from self._pivots(tokens)):
            self.found.pivots += 1
            if any(pair.prefix == tokens[:place] for pair in self.found.pairs):
                continue
            pair = yield from self._pair(tokens[:place], tokens[place])
            self.found.pairs += [] if pair is None else [pair]

    def _pivots(self, tokens: Tokens) -> Client[list[int]]:
        """Places of single tokens that move the rate by `least_gap`: halves are halved again while their ends are so far
        apart, all of one length at once."""
        surprise = [-item for item in (yield Weigh(tokens)).logprobs]
        spans, places = [(0, len(tokens))], []
        while spans:
            yield from self._draw(tokens[:end] for span in spans for end in span)
            apart = [(start, stop) for start, stop in spans if self._gap(tokens[:start], tokens[:stop])]
            places += [start for start, stop in apart if stop - start == 1]
            spans = []
            for start, stop in apart:
                if stop - start > 1:
                    middle = start + halved(surprise[start:stop])
                    spans += [(start, middle), (middle, stop)]
        return sorted(places)

    def _gap(self, before: Tokens, after: Tokens) -> bool:
        return abs(self._rates[after] - self._rates[before]) >= self.rules.least_gap

    def _pair(self, prefix: Tokens, token: int) -> Client[Pair | None]:
        """The pivotal token and, of the tokens that samples went on with at its place, the one that goes the other way."""
        before, after = self._rates[prefix], self._rates[(*prefix, token)]
        rises = after > before
        others = Counter(item.tokens[0] for item in self._rollouts.get(prefix, ()) if item.tokens[:1] not in ((), (token,)))
        likely = sorted(others, key=lambda item: (-others[item], item))[: self.rules.alternatives]
        yield from self._draw((*prefix, item) for item in likely)
        across = [item for item in likely if (self._rates[(*prefix, item)] < before) == rises]
        across = [item for item in across if self._rates[(*prefix, item)] != before]
        if not across:
            return None
        other = (min if rises else max)(across, key=lambda item: self._rates[(*prefix, item)])
        chosen, rejected = (token, other) if rises else (other, token)
        sure = self._rates
        if self.rules.confirm:
            sure = yield from self._again([(*prefix, chosen), (*prefix, rejected)])
        high, low = sure[(*prefix, chosen)], sure[(*prefix, rejected)]
        return Pair(prefix, chosen, rejected, before, high, low) if high - low >= self.rules.least_gap else None

    def _draw(self, prefixes: Iterable[Tokens]) -> Client[None]:
        """Learns the rates of prefixes that are not known yet.

        What a sample came to is the rate of the whole of it, exactly: there is nothing more to draw.
        """
        unknown = tuple(dict.fromkeys(prefix for prefix in prefixes if prefix not in self._rates))
        if not unknown:
            return
        rollouts = yield from self._told(unknown)
        for prefix, item in zip(unknown, rollouts, strict=True):
            self._rollouts[prefix] = item
            self._rates[prefix] = _rate(item)
        for prefix, item in zip(unknown, rollouts, strict=True):
            for rollout in item:
                self._rates.setdefault(prefix + rollout.tokens, float(rollout.right))

    def _again(self, prefixes: list[Tokens]) -> Client[dict[Tokens, float]]:
        """Their rates from other samples than those that made them look good; ends have only one."""
        open_ended = tuple(prefix for prefix in prefixes if prefix in self._rollouts)
        rollouts = (yield from self._told(open_ended, again=True)) if open_ended else ()
        return {prefix: self._rates[prefix] for prefix in prefixes} | {
            prefix: _rate(item) for prefix, item in zip(open_ended, rollouts, strict=True)
        }

    def _told(self, prefixes: tuple[Tokens, ...], *, again: bool = False) -> Client[Sequence[Sequence[Rollout]]]:
        cost = len(prefixes) * self.rules.samples
        if self.found.rollouts + cost > self.rules.max_rollouts:
            raise _SpentError
        self.found.rollouts += cost
        return (yield Draw(prefixes, self.rules.samples, again)).rollouts


def _rate(rollouts: Sequence[Rollout]) -> float:
    return sum(item.right for item in rollouts) / len(rollouts)


def halved(surprise: Sequence[float]) -> int:
    """Where to split tokens so that both halves are about as surprising; each has one at least."""
    total = sum(surprise)
    if total <= 0.0:
        return len(surprise) // 2
    past = next((at for at, so_far in enumerate(accumulate(surprise), 1) if so_far >= total / 2), len(surprise))
    return min(past, len(surprise) - 1)
