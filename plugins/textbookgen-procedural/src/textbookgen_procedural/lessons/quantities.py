"""Draws of the numbers in lessons on quantities: whole numbers in the range of a quantity, for which the solution is simple."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from textbookgen_procedural.data_files import read_lists
from textbookgen_procedural.lessons.lesson import listed

Values = dict[str, Any]
_TRIES = 2_000


@dataclass(frozen=True)
class Quantity:
    """What is measured in a discipline.

    Attributes:
        label: its plural name, such as "leaf lengths".
        unit: the plural of its unit.
        low: the smallest plausible value.
        high: the largest plausible value.
        cases: what it is measured of, in the plural.
    """

    label: str
    unit: str
    low: int
    high: int
    cases: str

    def slots(self) -> Values:
        """Return the slots of its name, cases and unit."""
        return {"L": self.label, "C": self.cases, "U": self.unit}

    def draw(self, rng: Random, count: int, suits: Callable[[list[int]], bool] = lambda values: True) -> list[int]:
        """Return values, different ones if the range has enough, that suit; repeated values are the last resort.

        Raises:
            ValueError: no values were found that suit.
        """
        span = range(self.low, self.high + 1)
        for attempt in range(_TRIES):
            distinct = len(span) >= count and attempt < _TRIES // 2
            values = rng.sample(span, count) if distinct else rng.choices(span, k=count)
            if suits(values):
                return values
        raise ValueError(f"no {count} values of {self.label} suit")


@cache
def read_quantities() -> Mapping[str, tuple[Quantity, ...]]:
    """Return the quantities of each discipline in `data/quantities.txt`."""
    return {discipline: tuple(map(_read_quantity, lines)) for discipline, lines in read_lists("quantities").items()}


def _read_quantity(line: str) -> Quantity:
    label, unit, bounds, cases = (field.strip() for field in line.split("|"))
    low, high = bounds.split("-")
    return Quantity(label, unit, int(low), int(high), cases)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _plus(values: list[int]) -> str:
    return " + ".join(map(str, values))


# -- Summaries


def _mean(rng: Random, item: Quantity) -> Values:
    n = rng.choice((4, 5, 6))
    values = item.draw(rng, n, lambda v: sum(v) % n == 0 and (min(v) + max(v)) * n != 2 * sum(v))
    total, low, high = sum(values), min(values), max(values)
    return {
        "n": n,
        "values": listed(values),
        "sum": _plus(values),
        "total": total,
        "mean": total // n,
        "low": low,
        "high": high,
        "wrong": _number((low + high) / 2),
    }


def _median(rng: Random, item: Quantity) -> Values:
    n = rng.choice((5, 7)) if item.high - item.low > 8 else 5
    values = item.draw(rng, n, lambda v: v[n // 2] != sorted(v)[n // 2])
    ordered = sorted(values)
    place = n // 2 + 1
    return {
        "n": n,
        "values": listed(values),
        "ordered": listed(ordered),
        "place": place,
        "median": ordered[n // 2],
        "wrong": values[n // 2],
    }


def _spread(rng: Random, item: Quantity) -> Values:
    values = item.draw(rng, rng.choice((4, 5, 6)), lambda v: max(v) > min(v) > 0)
    low, high = min(values), max(values)
    return {"n": len(values), "values": listed(values), "low": low, "high": high, "range": high - low}


def _outlier(rng: Random, item: Quantity) -> Values:
    values = item.draw(rng, 5, lambda v: sum(v) % 5 == 0 and sorted(v)[2] < max(v))
    total, high, rise = sum(values), max(values), rng.randint(2, 6)
    return {
        "values": listed(values),
        "high": high,
        "extreme": high + 5 * rise,
        "added": 5 * rise,
        "total": total,
        "mean": total // 5,
        "median": sorted(values)[2],
        "new_total": total + 5 * rise,
        "new_mean": total // 5 + rise,
        "rise": rise,
    }


# -- Comparisons and changes


def _difference(rng: Random, item: Quantity) -> Values:
    high, low = sorted(item.draw(rng, 2, lambda v: v[0] != v[1]), reverse=True)
    return {"high": high, "low": low, "range": high - low, "sum": high + low}


def _ratio(rng: Random, item: Quantity) -> Values:
    factors = [factor for factor in (2, 3, 4, 5) if item.high // factor >= 2]
    fitting = [factor for factor in factors if item.low * factor <= item.high] or [2]
    factor = rng.choice(fitting)
    top = max(2, item.high // factor)
    low = rng.randint(min(max(2, item.low), top), top)
    if low * (factor - 1) == factor:
        low += 1
    return {"high": low * factor, "low": low, "factor": factor, "range": low * (factor - 1)}


def _ranking(rng: Random, item: Quantity) -> Values:
    values = item.draw(rng, 4, lambda v: len(set(v)) == 4)
    asked = rng.randrange(4)
    larger = sum(value > values[asked] for value in values)
    return {
        "labelled": listed([f"{letter} {value}" for letter, value in zip("ABCD", values, strict=True)]),
        "ordered": listed(sorted(values, reverse=True)),
        "asked": "ABCD"[asked],
        "value": values[asked],
        "larger": larger,
        "rank": larger + 1,
    }


def _percentage(rng: Random, item: Quantity, percents: tuple[int, ...]) -> Values:
    """Return a base, a percentage of it that is a whole number, and base and part together."""
    span = range(max(2, item.low), item.high + 1)
    options = [(base, percent) for percent in percents for base in span if base * percent % 100 == 0 and base != 100]
    base, percent = rng.choice(options or [(2 * item.high, 50)])
    part = base * percent // 100
    values = {"base": base, "percent": percent, "part": part, "high": base + part, "low": base - part}
    return {**values, "rest": 100 - percent, "wrong": base + percent}


def _percentage_difference(rng: Random, item: Quantity) -> Values:
    return _percentage(rng, item, (10, 20, 25, 40, 50, 75))


def _increase(rng: Random, item: Quantity) -> Values:
    return _percentage(rng, item, (5, 10, 20, 25, 30, 40, 50))


def _decrease(rng: Random, item: Quantity) -> Values:
    return _percentage(rng, item, (5, 10, 20, 25, 30, 40, 60, 75))


def _errors(rng: Random, item: Quantity) -> Values:
    return _percentage(rng, item, (1, 2, 4, 5, 10, 20, 25))


def _up_and_down(rng: Random, item: Quantity) -> Values:
    span = range(max(4, item.low), item.high + 1)
    options = [
        (base, percent)
        for percent in (10, 20, 50)
        for base in span
        if base * percent % 100 == 0 and base * (100 + percent) * percent % 10_000 == 0
    ]
    base, percent = rng.choice(options or [(4 * item.high, 50)])
    part = base * percent // 100
    fall = (base + part) * percent // 100
    return {
        "base": base,
        "percent": percent,
        "part": part,
        "high": base + part,
        "fall": fall,
        "low": base + part - fall,
    }


def _steady(rng: Random, item: Quantity) -> Values:
    start = rng.randint(item.low, (item.low + item.high) // 2)
    step = rng.randint(1, max(1, (item.high - item.low) // 12))
    n = rng.randint(3, 6)
    end = start + n * step
    return {
        "start": start,
        "step": step,
        "n": n,
        "grown": n * step,
        "end": end,
        "wrong": end - step,
        "before": end - step,
        "fewer": n - 1,
    }


# -- Estimates and samples


def _rounding(rng: Random, item: Quantity) -> Values:
    (value,) = item.draw(rng, 1, lambda v: v[0] % 10 != 0)
    down, up = value // 10 * 10, value // 10 * 10 + 10
    rounded, wrong = (down, up) if value % 10 < 5 else (up, down)
    error = abs(value - rounded)
    return {
        "value": value,
        "down": down,
        "up": up,
        "digit": value % 10,
        "rounded": rounded,
        "wrong": wrong,
        "error": error,
    }


def _bounds(rng: Random, item: Quantity) -> Values:
    rounded = 10 * rng.randint(max(1, -(-item.low // 10)), max(1, item.high // 10))
    return {"rounded": rounded, "low": rounded - 5, "high": rounded + 5}


def _impossible(rng: Random, item: Quantity) -> Values:
    values = item.draw(rng, 5, lambda v: v[0] * 10 > item.high)
    right, odd = values[0], values[0] * 10
    written = [*values[1:]]
    written.insert(rng.randrange(5), odd)
    return {"values": listed(written), "minimum": item.low, "maximum": item.high, "odd": odd, "right": right}


def _assumed_mean(rng: Random, item: Quantity) -> Values:
    values = item.draw(rng, 4, lambda v: sum(v) % 4 == 0)
    mean = sum(values) // 4
    guess = mean + rng.choice((-2, -1, 1, 2))
    distances = [value - guess for value in values]
    correction = mean - guess
    return {
        "values": listed(values),
        "guess": guess,
        "distances": listed(distances),
        "total": sum(distances),
        "correction": correction,
        "sign": "+" if correction > 0 else "-",
        "size": abs(correction),
        "mean": mean,
        "sum": sum(values),
    }


def _sample_size(rng: Random, item: Quantity) -> Values:
    small, times, effect = rng.choice((4, 5, 6, 8)), rng.choice((2, 5, 10)), rng.randint(1, 9)
    return {
        "small": small,
        "large": small * times,
        "times": times,
        "deviation": small * effect,
        "effect_small": effect,
        "effect_large": _number(effect / times),
    }


def _bias(rng: Random, item: Quantity) -> Values:
    def suits(values: list[int]) -> bool:
        return sum(values) % 6 == 0 and sum(values[:3]) % 3 == 0 and sum(values[:3]) > sum(values[3:])

    values = item.draw(rng, 6, suits)
    easy, hard = values[:3], values[3:]
    return {
        "easy": listed(easy),
        "hard": listed(hard),
        "easy_total": sum(easy),
        "hard_total": sum(hard),
        "total": sum(values),
        "easy_mean": sum(easy) // 3,
        "hard_mean": sum(hard) // 3,
        "mean": sum(values) // 6,
        "bias": sum(easy) // 3 - sum(values) // 6,
    }


def _limit_of(item: Quantity) -> int:
    return (item.low + item.high) // 2


def _share(rng: Random, item: Quantity) -> Values:
    n = rng.choice((20, 25, 40, 50))
    above = rng.choice([count for count in range(2, n - 1) if count * 100 % n == 0])
    percent = above * 100 // n
    return {
        "n": n,
        "above": above,
        "limit": _limit_of(item),
        "percent": percent,
        "below": n - above,
        "rest": 100 - percent,
    }


def _expected(rng: Random, item: Quantity) -> Values:
    percent, group = rng.randrange(5, 65, 5), rng.randrange(200, 1000, 100)
    return {
        "percent": percent,
        "group": group,
        "limit": _limit_of(item),
        "one": group // 100,
        "expected": percent * group // 100,
    }


# -- Charts, tables and errors


def _scale(rng: Random, item: Quantity) -> Values:
    unit = max(value for value in (2, 5, 10, 20, 50, 100, 500) if value * 3 <= max(item.high, 6))
    high, low = sorted(rng.sample(range(1, max(3, item.high // unit) + 1), 2), reverse=True)
    return {
        "unit_value": unit,
        "high": high * unit,
        "low": low * unit,
        "high_squares": high,
        "low_squares": low,
    }


def _frequency(rng: Random, item: Quantity) -> Values:
    limit = _limit_of(item) + 1
    values = item.draw(rng, 6, lambda v: 1 < sum(value < limit for value in v) < 5)
    below, above = [v for v in values if v < limit], [v for v in values if v >= limit]
    return {
        "values": listed(values),
        "limit": limit,
        "below_values": listed(below),
        "above_values": listed(above),
        "below": len(below),
        "above": len(above),
    }


def _missing(rng: Random, item: Quantity) -> Values:
    values = item.draw(rng, 4, lambda v: sum(v) % 4 == 0 and v[3] * 4 != sum(v))
    known = values[:3]
    return {
        "mean": sum(values) // 4,
        "known": listed(known),
        "total": sum(values),
        "known_sum": _plus(known),
        "known_sum_bare": _plus(known),
        "known_total": sum(known),
        "missing": values[3],
    }


def _cut_axis(rng: Random, item: Quantity) -> Values:
    factor, shown = rng.choice((2, 3)), rng.randint(1, max(1, (item.high - item.low) // 8))
    start = max(1, item.high - shown * factor)
    low, high = start + shown, start + shown * factor
    return {
        "high": high,
        "low": low,
        "start": start,
        "high_shown": shown * factor,
        "low_shown": shown,
        "factor": factor,
        "would_be": factor * low,
    }


def _repeated(rng: Random, item: Quantity) -> Values:
    middle = rng.randint(max(item.low, 5), max(item.high, 8))
    offsets = rng.choice(((-2, 1, 1), (2, -1, -1), (-1, 0, 1), (1, -1, 0), (3, -2, -1), (-3, 1, 2)))
    values = [middle + offset for offset in offsets]
    return {
        "values": listed(values),
        "sum": _plus(values),
        "total": sum(values),
        "mean": middle,
        "off": abs(offsets[0]),
        "low": min(values),
        "high": max(values),
    }


def _slip(rng: Random, item: Quantity) -> Values:
    tens, ones = rng.sample(range(1, 10), 2)
    copied, original = 10 * tens + ones, 10 * ones + tens
    right_total = original + rng.randint(100, 400)
    wrong_total = right_total - original + copied
    error = abs(copied - original)
    sign = "-" if copied > original else "+"
    return {
        "copied": copied,
        "original": original,
        "right_total": right_total,
        "wrong_total": wrong_total,
        "error": error,
        "ninth": error // 9,
        "shown_correction": f"Correct the total: {wrong_total} {sign} {error} = {right_total}.",
    }


def _total_error(rng: Random, item: Quantity) -> Values:
    n, each = rng.randint(4, 12), rng.randint(1, max(1, item.low // 5))
    total = sum(rng.randint(item.low, item.high) for _ in range(n)) + n * each
    return {
        "n": n,
        "each": each,
        "total": total,
        "error": n * each,
        "low": total - n * each,
        "high": total + n * each,
        "width": 2 * n * each,
    }


# -- Reasoning


def _counterexample(rng: Random, item: Quantity) -> Values:
    values = item.draw(rng, 5, lambda v: sorted(v)[0] < sorted(v)[1])
    ordered = sorted(values)
    return {
        "values": listed(values),
        "limit": rng.randint(ordered[0], ordered[1] - 1),
        "counter": ordered[0],
        "fits": 4,
        "fails": 1,
    }


def _condition(rng: Random, item: Quantity) -> Values:
    low, between, high = sorted(rng.sample(range(item.low, item.high + 1), 3))
    return {"low": low, "between": between, "high": high, "above_low": between - low, "under_high": high - between}


def _cause(rng: Random, item: Quantity) -> Values:
    unit = max(1, (item.high - item.low) // 12)
    rise_other, effect = unit * rng.randint(1, 3), unit * rng.randint(1, 4)
    before, before_other = (rng.randint(item.low, _limit_of(item)) for _ in range(2))
    return {
        "before": before,
        "after": before + rise_other + effect,
        "before_other": before_other,
        "after_other": before_other + rise_other,
        "rise": rise_other + effect,
        "rise_other": rise_other,
        "effect": effect,
    }


def _largest(rng: Random, item: Quantity) -> Values:
    n, (high,) = rng.randint(3, 9), item.draw(rng, 1)
    return {"n": n, "high": high, "most": n * high}


#: The draw of each lesson, by the name in `data/quantity_lessons.txt`.
DRAWS: dict[str, Callable[[Random, Quantity], Values]] = {
    function.__name__.removeprefix("_"): function
    for function in (
        *(_mean, _median, _spread, _outlier, _difference, _ratio, _ranking, _percentage_difference),
        *(_increase, _decrease, _up_and_down, _steady, _rounding, _bounds, _impossible, _assumed_mean),
        *(_sample_size, _bias, _share, _expected, _scale, _frequency, _missing, _cut_axis),
        *(_errors, _repeated, _slip, _total_error, _counterexample, _condition, _cause, _largest),
    )
}
