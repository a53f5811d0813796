"""Paired comparison of two models: planted differences, and the published formulas computed another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from textbookgen.run.paired_statistics import adjust_holm, compare_pairs, min_detectable_share, tango_interval


def test_identical_models_do_not_differ_and_the_interval_does_not_claim_more():
    right = [1.0, 0.0, 0.0, 1.0, 0.0] * 4
    same = compare_pairs(right, right)
    assert (same.n, same.first, same.second, same.difference, same.p) == (20, 0.4, 0.4, 0.0, 1.0)
    assert (same.first_wins, same.second_wins, same.test) == (0, 0, "exact McNemar")
    z2 = 1.959964**2
    assert same.low == pytest.approx(-z2 / (20 + z2), abs=1e-5) and same.high == pytest.approx(z2 / (20 + z2), abs=1e-5)
    assert same.min_detectable is not None and 0.3 < same.min_detectable < 0.45
    bits = compare_pairs([1.5, 2.0, 3.0], [1.5, 2.0, 3.0])
    assert (bits.difference, bits.low, bits.high, bits.p, bits.min_detectable) == (0.0, 0.0, 0.0, 1.0, None)


def test_a_planted_difference_of_right_and_wrong_is_found():
    first = [1.0] + [0.0] * 9 + [1.0] * 20
    second = [0.0] + [1.0] * 9 + [1.0] * 20
    result = compare_pairs(first, second)
    assert (result.first_wins, result.second_wins) == (1, 9)
    assert result.difference == pytest.approx(8 / 30)
    assert result.p == pytest.approx(2 * (1 + 10) / 2**10), "of ten items that differ, at most one: (1 + 10) / 1024, two-sided"
    assert result.low is not None and result.high is not None
    assert 0 < result.low < result.difference < result.high
    reverse = compare_pairs(second, first)
    assert (reverse.low, reverse.high) == (pytest.approx(-result.high), pytest.approx(-result.low))
    assert reverse.p == result.p


def test_a_planted_difference_of_means_is_found():
    rng = np.random.default_rng(1)
    first = rng.normal(2.0, 1.0, 200)
    second = first + rng.normal(-0.1, 0.2, 200)
    result = compare_pairs(first.tolist(), second.tolist())
    assert result.test == "sign-flip permutation" and result.first_wins is None
    assert result.low is not None and result.high is not None
    assert result.low < -0.1 < result.high < 0
    assert result.p < 0.001
    spread = float((second - first).std(ddof=1))
    assert result.min_detectable == pytest.approx(2.80159 * spread / math.sqrt(200), rel=1e-4)
    assert compare_pairs(first.tolist(), second.tolist()) == result, "resampling is seeded"


def test_few_differences_are_tested_exactly():
    result = compare_pairs([0.0, 0.0, 0.0, 0.0], [0.5, 0.25, 0.5, 0.75])
    assert result.p == pytest.approx(2 / 2**4), "all signs positive, or all negative"


def test_many_items_are_compared_without_resampling():
    rng = np.random.default_rng(2)
    first = rng.normal(size=3_000)
    result = compare_pairs(first.tolist(), (first + rng.normal(0.1, 0.5, 3_000)).tolist())
    assert result.test == "paired t" and result.p < 1e-3
    assert result.low is not None and result.high is not None
    assert 0 < result.low < result.difference < result.high
    same = compare_pairs(first.tolist(), first.tolist())
    assert (same.difference, same.p) == (0.0, 1.0)


def restricted_score(n: int, gained: int, lost: int, difference: float) -> float:
    """Tango's statistic with the restricted maximum of the likelihood found by search rather than by his formula."""

    def loss(lost_share: float) -> float:
        shares = (lost_share + difference, lost_share, 1 - 2 * lost_share - difference)
        return -sum(
            count * math.log(max(share, 1e-300)) for count, share in zip((gained, lost, n - gained - lost), shares, strict=True)
        )

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    lost_share = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x
    return (gained - lost - n * difference) / math.sqrt(n * (2 * lost_share + difference * (1 - difference)))


@pytest.mark.parametrize(("n", "gained", "lost"), [(50, 12, 2), (50, 2, 12), (17, 5, 1), (200, 30, 28), (30, 3, 3)])
def test_the_ends_of_the_interval_solve_the_score_equation(n: int, gained: int, lost: int):
    low, high = tango_interval(n, gained, lost)
    assert restricted_score(n, gained, lost, low) == pytest.approx(1.959964, abs=1e-3)
    assert restricted_score(n, gained, lost, high) == pytest.approx(-1.959964, abs=1e-3)


def test_the_interval_is_the_published_one():
    """Airway hyper-responsiveness, 21 pairs, in Fagerland, Lydersen and Laake 2014 (Statistics in Medicine 33:2850)."""
    assert tango_interval(21, 1, 7) == (pytest.approx(-0.517, abs=5e-4), pytest.approx(-0.026, abs=5e-4))


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (10, 0), (0, 10), (5, 5), (9, 0)])
def test_the_interval_contains_the_estimate_and_stays_in_range(gained: int, lost: int):
    low, high = tango_interval(10, gained, lost)
    assert -1 <= low <= (gained - lost) / 10 <= high <= 1


def test_the_interval_covers_the_truth_in_95_of_100():
    rng = np.random.default_rng(3)
    counts = rng.multinomial(60, [0.15, 0.05, 0.8], size=1_000)
    intervals = [tango_interval(60, int(gained), int(lost)) for gained, lost, _ in counts]
    assert np.mean([low <= 0.1 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(("n", "differing"), [(20, 0.3), (164, 0.2), (200, 0.05)])
def test_the_smallest_detectable_difference_is_found_in_80_of_100(n: int, differing: float):
    smallest = min_detectable_share(n, differing)
    assert smallest is not None
    differing = max(differing, smallest)
    shares = [(differing + smallest) / 2, (differing - smallest) / 2, 1 - differing]
    draws = np.random.default_rng(4).multinomial(n, shares, size=2_000)
    rejected = [gained + lost > 0 and binomtest(int(gained), int(gained + lost)).pvalue <= 0.05 for gained, lost, _ in draws]
    assert np.mean(rejected) == pytest.approx(0.8, abs=0.03)


def test_five_items_cannot_show_any_difference():
    assert min_detectable_share(5, 0.2) is None
    assert compare_pairs([0.0] * 5, [1.0] * 5).p == 2 / 2**5


def test_holm_multiplies_the_smallest_by_the_number_and_keeps_the_order():
    assert adjust_holm([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert adjust_holm([]) == []


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 0.0])])
def test_scores_must_be_paired(first: list[float], second: list[float]):
    with pytest.raises(ValueError, match="as many scores"):
        compare_pairs(first, second)
