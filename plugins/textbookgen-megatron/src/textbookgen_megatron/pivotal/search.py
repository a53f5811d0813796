"""Pivotal token search for one question, as in phi-4 (arXiv 2412.08905, section 4.3).

The search is a generator of requests: it yields what it needs next, rollouts or log probabilities, and is sent the result. It
knows neither the model nor the oracle, so that many searches can run side by side and their requests be batched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeVar

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class SearchSettings:
    """Thresholds and budget of a search.

    Attributes:
        samples: Rollouts sampled from each prefix, to estimate its success rate.
        min_gap: Change of the success rate from which a token is pivotal.
        min_rate: Success rate below which a question is skipped.
        max_rate: Success rate above which a question is skipped.
        completions: Completions searched per question.
        alternatives: Tokens tried in place of a pivotal token.
        confirm: Re-estimate the success rates of both tokens of a pair from new samples.
        max_rollouts: Maximum number of rollouts per question.
    """

    samples: int = 64
    min_gap: float = 0.2
    min_rate: float = 0.2
    max_rate: float = 0.8
    completions: int = 2
    alternatives: int = 3
    confirm: bool = True
    max_rollouts: int = 20_000


@dataclass(frozen=True)
class Rollout:
    """A sampled continuation of a prefix, and whether the completion it ends is correct."""

    tokens: Tokens
    is_correct: bool


@dataclass(frozen=True)
class RolloutRequest:
    """Asks for `samples` rollouts from each prefix; with `resample`, for others than those of the first request."""

    prefixes: tuple[Tokens, ...]
    samples: int
    resample: bool = False


@dataclass(frozen=True)
class LogprobRequest:
    """Asks for the log probability of each token of a completion."""

    tokens: Tokens


@dataclass(frozen=True)
class Response:
    """Result of a request: rollouts for each prefix, or log probabilities in nats."""

    rollouts: Sequence[Sequence[Rollout]] = ()
    logprobs: Sequence[float] = ()


@dataclass(frozen=True)
class TokenPair:
    """Two tokens that may follow a prefix, and the success rates before either and after each."""

    prefix: Tokens
    chosen: int
    rejected: int
    p_before: float
    p_chosen: float
    p_rejected: float


@dataclass
class SearchResult:
    """Result of the search for one question.

    Attributes:
        rate: Success rate of the question.
        rollouts: Number of rollouts sampled.
        searched: Number of completions searched.
        pivots: Number of pivotal tokens in them.
        exhausted: Whether the search stopped because of `max_rollouts`.
        pairs: Pairs of a pivotal token and an alternative.
    """

    rate: float = 0.0
    rollouts: int = 0
    searched: int = 0
    pivots: int = 0
    exhausted: bool = False
    pairs: list[TokenPair] = field(default_factory=list)


class _BudgetExceededError(Exception):
    """The next rollouts would exceed `max_rollouts`."""


ReturnType = TypeVar("ReturnType")
#: A part of a search: yields requests, is sent responses, returns a value.
SearchSteps = Generator[RolloutRequest | LogprobRequest, Response, ReturnType]


class PivotalSearch:
    """The search for one question; drive the generator `run` to its end."""

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings
        self.result = SearchResult()
        self._rates: dict[Tokens, float] = {}
        self._rollouts: dict[Tokens, Sequence[Rollout]] = {}

    def run(self) -> SearchSteps[SearchResult]:
        """Search some completions of the question, if its success rate is between the thresholds."""
        try:
            yield from self._estimate_rates([()])
            self.result.rate = self._rates[()]
            if self.settings.min_rate <= self.result.rate <= self.settings.max_rate:
                for tokens in self._completions_to_search():
                    yield from self._search(tokens)
        except _BudgetExceededError:
            self.result.exhausted = True
        return self.result

    def _completions_to_search(self) -> list[Tokens]:
        """Return the first distinct rollouts of the question, correct and incorrect ones in turn."""
        correct, incorrect = (
            list(dict.fromkeys(rollout.tokens for rollout in self._rollouts[()] if rollout.is_correct is wanted))
            for wanted in (True, False)
        )
        alternating = [tokens for pair in zip(correct, incorrect, strict=False) for tokens in pair]
        alternating += correct[len(incorrect) :] + incorrect[len(correct) :]
        return alternating[: self.settings.completions]

    def _search(self, tokens: Tokens) -> SearchSteps[None]:
        """Find the pivotal tokens of one completion, and for each an alternative with the opposite effect."""
        self.result.searched += 1
        for place in (yield from self._pivotal_places(tokens)):
            self.result.pivots += 1
            if any(pair.prefix == tokens[:place] for pair in self.result.pairs):
                continue
            pair = yield from self._find_pair(tokens[:place], tokens[place])
            self.result.pairs += [] if pair is None else [pair]

    def _pivotal_places(self, tokens: Tokens) -> SearchSteps[list[int]]:
        """Return the indices of tokens that change the success rate by `min_gap`, by recursive bisection.

        A span is bisected while the rates at its ends differ by `min_gap`; all spans of a level are estimated together.
        """
        surprisals = [-logprob for logprob in (yield LogprobRequest(tokens)).logprobs]
        spans, places = [(0, len(tokens))], []
        while spans:
            yield from self._estimate_rates(tokens[:end] for span in spans for end in span)
            decisive = [(start, stop) for start, stop in spans if self._is_gap(tokens[:start], tokens[:stop])]
            places += [start for start, stop in decisive if stop - start == 1]
            spans = []
            for start, stop in decisive:
                if stop - start > 1:
                    middle = start + bisect_surprisal(surprisals[start:stop])
                    spans += [(start, middle), (middle, stop)]
        return sorted(places)

    def _is_gap(self, before: Tokens, after: Tokens) -> bool:
        return abs(self._rates[after] - self._rates[before]) >= self.settings.min_gap

    def _find_pair(self, prefix: Tokens, token: int) -> SearchSteps[TokenPair | None]:
        """Pair a pivotal token with the sampled alternative that changes the rate most in the opposite direction."""
        before, after = self._rates[prefix], self._rates[(*prefix, token)]
        rises = after > before
        counts = Counter(
            rollout.tokens[0] for rollout in self._rollouts.get(prefix, ()) if rollout.tokens[:1] not in ((), (token,))
        )
        candidates = sorted(counts, key=lambda item: (-counts[item], item))[: self.settings.alternatives]
        yield from self._estimate_rates((*prefix, candidate) for candidate in candidates)
        rates = {candidate: self._rates[(*prefix, candidate)] for candidate in candidates}
        opposite = [candidate for candidate, rate in rates.items() if (rate < before if rises else rate > before)]
        if not opposite:
            return None
        other = (min if rises else max)(opposite, key=rates.__getitem__)
        chosen, rejected = (token, other) if rises else (other, token)
        confirmed = self._rates
        if self.settings.confirm:
            confirmed = yield from self._resample([(*prefix, chosen), (*prefix, rejected)])
        high, low = confirmed[(*prefix, chosen)], confirmed[(*prefix, rejected)]
        return TokenPair(prefix, chosen, rejected, before, high, low) if high - low >= self.settings.min_gap else None

    def _estimate_rates(self, prefixes: Iterable[Tokens]) -> SearchSteps[None]:
        """Estimate the success rates of prefixes that are not known yet.

        The rate of a complete rollout is known exactly, so it needs no samples.
        """
        unknown = tuple(dict.fromkeys(prefix for prefix in prefixes if prefix not in self._rates))
        if not unknown:
            return
        samples = yield from self._request_rollouts(unknown)
        for prefix, rollouts in zip(unknown, samples, strict=True):
            self._rollouts[prefix] = rollouts
            self._rates[prefix] = _success_rate(rollouts)
        for prefix, rollouts in zip(unknown, samples, strict=True):
            for rollout in rollouts:
                self._rates.setdefault(prefix + rollout.tokens, float(rollout.is_correct))

    def _resample(self, prefixes: list[Tokens]) -> SearchSteps[dict[Tokens, float]]:
        """Return success rates from new samples, without the selection bias of those by which the pair was found.

        Complete rollouts keep their exact rate.
        """
        incomplete = tuple(prefix for prefix in prefixes if prefix in self._rollouts)
        samples = (yield from self._request_rollouts(incomplete, resample=True)) if incomplete else ()
        return {prefix: self._rates[prefix] for prefix in prefixes} | {
            prefix: _success_rate(rollouts) for prefix, rollouts in zip(incomplete, samples, strict=True)
        }

    def _request_rollouts(
        self, prefixes: tuple[Tokens, ...], *, resample: bool = False
    ) -> SearchSteps[Sequence[Sequence[Rollout]]]:
        cost = len(prefixes) * self.settings.samples
        if self.result.rollouts + cost > self.settings.max_rollouts:
            raise _BudgetExceededError
        self.result.rollouts += cost
        return (yield RolloutRequest(prefixes, self.settings.samples, resample)).rollouts


def _success_rate(rollouts: Sequence[Rollout]) -> float:
    return sum(rollout.is_correct for rollout in rollouts) / len(rollouts)


def bisect_surprisal(surprisals: Sequence[float]) -> int:
    """Return the index that splits tokens into two non-empty halves of about equal total surprisal."""
    total = sum(surprisals)
    if total <= 0.0:
        return len(surprisals) // 2
    middle = next((at for at, running in enumerate(accumulate(surprisals), 1) if running >= total / 2), len(surprisals))
    return min(middle, len(surprisals) - 1)
