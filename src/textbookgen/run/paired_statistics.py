"""Statistics of two models on the same items: difference, confidence interval, test, and the smallest detectable difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Significance level of tests; intervals have the confidence 1 - ALPHA.
ALPHA = 0.05
#: Probability with which the smallest detectable difference is found.
POWER = 0.8
_RESAMPLES = 9_999
_MAX_RESAMPLED_ITEMS = 2_000  # above which a mean is as good as normal, and resampling slow
_BATCH_VALUES = 4_000_000  # of a bootstrap or permutation, held in memory at a time


@dataclass(frozen=True)
class PairedStatistics:
    """What the same items say about two models.

    Attributes:
        n: items that both models were scored on.
        first: mean over these items of the first model.
        second: mean of the second model.
        difference: `second - first`.
        low: lower end of the 95% confidence interval of the difference; None for fewer than two items.
        high: its upper end.
        p: two-sided p-value of the test of no difference.
        test: `exact McNemar` where every value is 0 or 1, otherwise `sign-flip permutation`, or `paired t` for many items.
        min_detectable: the smallest true difference that a test at 5% on this number of items finds with 80% probability; None
            if there are too few items for any, or if values other than 0 and 1 do not vary.
        first_wins: values of 0 and 1: items that only the first model got right; otherwise None.
        second_wins: the same for the second.
    """

    n: int
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p: float
    test: str
    min_detectable: float | None
    first_wins: int | None = None
    second_wins: int | None = None


def compare_pairs(first: Sequence[float], second: Sequence[float]) -> PairedStatistics:
    """Compare the scores of two models on the same items; the result depends on nothing else.

    **Right or wrong (values 0 and 1).** The test is McNemar's, exact: of the items that only one model got right, each is
    equally likely either way (McNemar 1947; binomial test). The interval is Tango's score interval for the difference of paired
    proportions (Tango 1998, Statistics in Medicine 17:891-908), which does not shrink to a point where no item differs. The
    smallest detectable difference solves `power = 0.8` for the exact test, summed over the number of items that differ
    (Connor 1987, Biometrics 43:207-211, gives the approximation); the share of items that differ is the observed one with one
    item added, or the difference itself if that is larger.

    **Other values.** The test flips the signs of the differences (Fisher's randomization test; exact for up to 13 items,
    otherwise 9,999 random flips), and the interval is a bootstrap over items (BCa, Efron 1987; 9,999 resamples; percentiles
    where BCa is undefined). For more than 2,000 items both are Student's, for pairs. The smallest detectable difference is
    `(z_0.975 + z_0.8) * standard error of the mean difference` (Miller 2024, arXiv 2411.00640, section 5; Card et al. 2020,
    arXiv 2010.06595, on why to report it).

    Args:
        first: the first model's score of each item.
        second: the second model's, in the same order.

    Raises:
        ValueError: there are no items, or the lengths differ.
    """
    import numpy as np

    if not first or len(first) != len(second):
        raise ValueError(f"expected as many scores of both models, at least one; got {len(first)} and {len(second)}")
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    is_binary = bool(np.isin(np.concatenate([one, other]), (0.0, 1.0)).all())
    return (_compare_binary if is_binary else _compare_means)(one, other)


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in the same order (Holm 1979, Scandinavian Journal of Statistics 6:65-70)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _compare_binary(first: NDArray[np.float64], second: NDArray[np.float64]) -> PairedStatistics:
    from scipy.stats import binomtest

    n = len(first)
    first_wins, second_wins = int((first > second).sum()), int((second > first).sum())
    differing = first_wins + second_wins
    low, high = tango_interval(n, second_wins, first_wins)
    return PairedStatistics(
        n=n,
        first=float(first.mean()),
        second=float(second.mean()),
        difference=(second_wins - first_wins) / n,
        low=low if n > 1 else None,
        high=high if n > 1 else None,
        p=float(binomtest(second_wins, differing).pvalue) if differing else 1.0,
        test="exact McNemar",
        min_detectable=min_detectable_share(n, (differing + 1) / (n + 2)),
        first_wins=first_wins,
        second_wins=second_wins,
    )


def tango_interval(n: int, gained: int, lost: int) -> tuple[float, float]:
    """Return the 95% score interval of `(gained - lost) / n`, a difference of paired proportions (Tango 1998, equation 3).

    Args:
        n: pairs.
        gained: pairs in which only the second is 1.
        lost: pairs in which only the first is 1.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf(1 - ALPHA / 2))
    estimate = (gained - lost) / n

    def score(difference: float) -> float:
        """Return the score statistic of this true difference; it falls as the difference grows."""
        linear = -gained - lost + (2 * n - gained + lost) * difference
        root = math.sqrt(max(0.0, linear**2 + 8 * n * lost * difference * (1 - difference)))
        lost_share = max(0.0, (root - linear) / (4 * n))  # maximum likelihood, given the difference
        variance = n * (2 * lost_share + difference * (1 - difference))
        excess = gained - lost - n * difference
        if variance <= 0:
            return math.copysign(math.inf, excess) if excess else 0.0
        return excess / math.sqrt(variance)

    def end(limit: float, level: float) -> float:
        inner, outer = estimate, limit * (1 - 1e-12)
        if abs(inner) >= abs(outer) and inner * limit > 0:
            return limit
        return float(brentq(lambda difference: max(-1e6, min(1e6, score(difference))) - level, inner, outer))

    return end(-1.0, z), end(1.0, -z)


def min_detectable_share(n: int, differing: float) -> float | None:
    """Return the smallest true difference that the exact McNemar test finds with 80% probability at 5%.

    Args:
        n: items.
        differing: the share of items that only one of the models gets right.
    """
    from scipy.optimize import brentq

    def missing(difference: float) -> float:
        return _mcnemar_power(n, max(differing, difference), difference) - POWER

    if missing(1.0) < 0:
        return None
    return float(brentq(missing, 0.0, 1.0, xtol=1e-6))


def _mcnemar_power(n: int, differing: float, difference: float) -> float:
    """Return the probability that the exact test rejects, over the number of items that differ and who wins them."""
    import numpy as np
    from scipy.stats import binom

    counts = np.arange(n + 1)
    weights = binom.pmf(counts, n, differing)
    critical = binom.ppf(ALPHA / 2, counts, 0.5)
    critical -= binom.cdf(critical, counts, 0.5) > ALPHA / 2  # the largest number of wins that rejects; -1 if none does
    wins = (differing + difference) / (2 * differing)
    rejected = binom.cdf(critical, counts, wins) + binom.sf(counts - critical - 1, counts, wins)
    return float((weights * np.where(critical >= 0, rejected, 0.0)).sum())


def _compare_means(first: NDArray[np.float64], second: NDArray[np.float64]) -> PairedStatistics:
    from scipy.stats import norm

    n, differences = len(first), second - first
    spread = float(differences.std(ddof=1)) if n > 1 else 0.0
    compare = _compare_by_t if n > _MAX_RESAMPLED_ITEMS and spread else _compare_by_resampling
    p, low, high = compare(differences) if differences.any() else (1.0, 0.0, 0.0)
    factor = float(norm.ppf(1 - ALPHA / 2) + norm.ppf(POWER))
    return PairedStatistics(
        n=n,
        first=float(first.mean()),
        second=float(second.mean()),
        difference=float(differences.mean()),
        low=low if n > 1 else None,
        high=high if n > 1 else None,
        p=p,
        test="paired t" if n > _MAX_RESAMPLED_ITEMS else "sign-flip permutation",
        min_detectable=factor * spread / math.sqrt(n) if spread else None,
    )


def _compare_by_t(differences: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the p-value and the ends of the interval."""
    from scipy.stats import ttest_1samp

    result = ttest_1samp(differences, 0.0)
    interval = result.confidence_interval(1 - ALPHA)
    return float(result.pvalue), float(interval.low), float(interval.high)


def _compare_by_resampling(differences: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the p-value and the ends of the interval."""
    from scipy.stats import bootstrap, permutation_test

    options: dict[str, Any] = {
        "n_resamples": _RESAMPLES,
        "batch": max(1, _BATCH_VALUES // len(differences)),
        "vectorized": True,
        "rng": 0,
    }
    p = min(1.0, float(permutation_test((differences,), _mean, permutation_type="samples", **options).pvalue))
    if float(differences.min()) == float(differences.max()):
        return p, float(differences[0]), float(differences[0])
    intervals = (
        bootstrap((differences,), _mean, confidence_level=1 - ALPHA, method=method, **options).confidence_interval
        for method in ("BCa", "percentile")
    )
    interval = next(interval for interval in intervals if math.isfinite(interval.low) and math.isfinite(interval.high))
    return p, float(interval.low), float(interval.high)


def _mean(values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.mean(values, axis=axis))
