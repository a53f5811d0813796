"""Primitives that start from a list of numbers, or from one number."""

from __future__ import annotations

from textbookgen_procedural.primitives.primitive import NONE, Option, Primitive, named, whole

Options = tuple[Option, ...]

_FEW = whole(1, 2, 3)
_SMALL = whole(2, 3, 4, 5, 6, 7, 8, 9)
_EDGE = whole(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
MARKS = named(commas=",", dashes="-", spaces=" ", stars="*", slashes="/", colons=":")


def _sieve(name: str, test: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "ints", "ints", f"[{{e}} for {{e}} in {{x}} if {test}]", phrases, level, options)


def _each(name: str, change: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "ints", "ints", f"[{change} for {{e}} in {{x}}]", phrases, level, options)


def _list(name: str, code: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "ints", "ints", code, phrases, level, options)


def _sum_up(name: str, code: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "ints", "int", code, phrases, level, options)


def _ask(name: str, code: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "ints", "bool", code, phrases, level, options)


def _number(name: str, code: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "int", "int", code, phrases, level, options)


def _count(name: str, code: str, *phrases: str, level: int = 2) -> Primitive:
    return Primitive(name, "int", "ints", code, phrases, level, first=True)


_SIEVES = (
    _sieve("keep_even", "{e} % 2 == 0", "keep the even {x}", "drop the odd {x}", "select every even {one}"),
    _sieve("keep_odd", "{e} % 2 == 1", "keep the odd {x}", "drop the even {x}", "select every odd {one}"),
    _sieve("keep_positive", "{e} > 0", "keep the positive {x}", "select every positive {one}"),
    _sieve("keep_negative", "{e} < 0", "keep the negative {x}", "select every negative {one}"),
    _sieve("drop_negative", "{e} >= 0", "drop the negative {x}", "remove every negative {one}"),
    _sieve("drop_zeros", "{e} != 0", "drop the zeros", "remove every zero"),
    _sieve("keep_above", "{e} > {k}", "keep the {x} above {k}", "keep {x} greater than {k}", options=_EDGE),
    _sieve("keep_below", "{e} < {k}", "keep the {x} below {k}", "keep {x} less than {k}", options=_EDGE),
    _sieve("keep_multiples", "{e} % {k} == 0", "keep the multiples of {k}", "keep {x} divisible by {k}", options=whole(3, 4, 5)),
    _sieve("drop_value", "{e} != {k}", "drop every {k}", "remove each {k}", level=2, options=_EDGE),
    _sieve("drop_multiples", "{e} % {k} != 0", "drop the multiples of {k}", level=2, options=whole(3, 4, 5)),
    _sieve("keep_long", "abs({e}) > 9", "keep the {x} of two digits or more", level=3),
)

_CHANGES = (
    _each("square", "{e} * {e}", "square each {one}", "replace each {one} by its square"),
    _each("cube", "{e} ** 3", "cube each {one}", "replace each {one} by its cube", level=2),
    _each("double", "{e} * 2", "double each {one}", "double every {one}"),
    _each("multiply", "{e} * {k}", "multiply each {one} by {k}", "make each {one} {k} times as large", options=whole(3, 4, 5, 6, 7, 8, 9, 10)),
    _each("add", "{e} + {k}", "add {k} to each {one}", "raise each {one} by {k}", options=_EDGE),
    _each("subtract", "{e} - {k}", "subtract {k} from each {one}", "lower each {one} by {k}", options=_EDGE),
    _each("negate", "-{e}", "negate each {one}", "flip the sign of each {one}"),
    _each("absolute", "abs({e})", "take the absolute value of each {one}", "drop the sign of each {one}"),
    _each("halve", "{e} // 2", "halve each {one} and round down", "cut each {one} in half, rounding down"),
    _each("divide", "{e} // {k}", "divide each {one} by {k} and round down", level=2, options=whole(3, 4, 5)),
    _each("remainder", "{e} % {k}", "take each {one} modulo {k}", "replace each {one} by its remainder modulo {k}", options=_SMALL),
    _each("cap", "min({e}, {k})", "cap each {one} at {k}", "limit each {one} to at most {k}", options=_SMALL),
    _each("floor", "max({e}, {k})", "raise each {one} to at least {k}", "limit each {one} to at least {k}", options=_SMALL),
    _each("from_k", "{k} - {e}", "subtract each {one} from {k}", level=2, options=_EDGE),
    _each("last_digit", "abs({e}) % 10", "replace each {one} by its last digit", "take the last digit of each {one}", level=2),
    _each("digit_count", "len(str(abs({e})))", "replace each {one} by its count of digits", level=3),
)

_ORDERS = (
    _list("sort", "sorted({x})", "sort the {x}", "sort them", "put the {x} in ascending order"),
    _list("sort_down", "sorted({x}, reverse=True)", "sort the {x} in descending order", "sort the {x} from largest to smallest"),
    _list("reverse", "{x}[::-1]", "reverse the {x}", "reverse the list", "turn the list around"),
    _list("take", "{x}[:{k}]", "take the first {k}", "keep only the first {k}", options=whole(2, 3, 4)),
    _list("skip", "{x}[{k}:]", "skip the first {k}", "drop the first {k}", options=_FEW),
    _list("take_last", "{x}[-{k}:]", "take the last {k}", "keep only the last {k}", options=whole(2, 3, 4)),
    _list("skip_last", "{x}[:-{k}]", "skip the last {k}", "drop the last {k}", options=_FEW),
    _list("every_other", "{x}[::2]", "take every other {one}", "keep every second {one}, starting with the first"),
    _list("odd_places", "{x}[1::2]", "keep the {x} at odd positions", "take every second {one}, starting with the second", level=2),
    _list("unique", "list(dict.fromkeys({x}))", "remove duplicates", "drop repeated {x}", "remove repeats"),
    _list("unique_sorted", "sorted(set({x}))", "sort the distinct {x}", "sort the {x} without duplicates", level=2),
    _list("append", "{x} + [{k}]", "append {k}", "put {k} at the end", options=_EDGE),
    _list("prepend", "[{k}] + {x}", "prepend {k}", "put {k} at the front", options=_EDGE),
    _list("repeat", "{x} * 2", "repeat the list twice", level=2),
    _list("rotate", "{x}[{k}:] + {x}[:{k}]", "move the first {k} to the end", "rotate left by {k}", level=2, options=_FEW),
    _list("mirror", "{x} + {x}[::-1]", "append the reversed list", level=2),
    _list("running", "[sum({x}[: i + 1]) for i in range(len({x}))]", "take running totals", "replace each {one} by the running total"),
    _list("differences", "[b - a for a, b in zip({x}, {x}[1:])]", "take the differences of neighbours", "subtract each {one} from the next"),
    _list("pair_sums", "[a + b for a, b in zip({x}, {x}[1:])]", "take the sums of neighbours", "add each {one} to the next", level=2),
    _list("rises", "[b for a, b in zip({x}, {x}[1:]) if b > a]", "keep what is larger than the {one} before", level=3),
    _list("by_place", "[i * {e} for i, {e} in enumerate({x})]", "multiply each {one} by its index", level=2),
    _list("plus_place", "[i + {e} for i, {e} in enumerate({x})]", "add its index to each {one}", level=2),
)

_ANSWERS = (
    _sum_up("sum", "sum({x})", "the sum", "the total", "the sum of the {x}"),
    _sum_up("count", "len({x})", "how many there are", "the length of the list", "the number of {x}"),
    _sum_up("largest", "max({x}, default=0)", "the largest or 0", "the maximum or 0", "the largest {one} or 0"),
    _sum_up("smallest", "min({x}, default=0)", "the smallest or 0", "the minimum or 0", "the smallest {one} or 0"),
    _sum_up("first", "{x}[0] if {x} else 0", "the first or 0", "the first {one} or 0"),
    _sum_up("last", "{x}[-1] if {x} else 0", "the last or 0", "the last {one} or 0"),
    _sum_up("distinct", "len(set({x}))", "how many are distinct", "the number of distinct {x}"),
    _sum_up("average", "sum({x}) // max(len({x}), 1)", "the average rounded down", "the mean rounded down", level=2),
    _sum_up("spread", "max({x}, default=0) - min({x}, default=0)", "the range", "the largest minus the smallest", level=2),
    _sum_up("occurrences", "{x}.count({k})", "how often {k} occurs", "the count of {k}", level=2, options=_EDGE),
    _sum_up("count_above", "sum({e} > {k} for {e} in {x})", "how many are above {k}", level=2, options=_EDGE),
    _sum_up("sum_squares", "sum({e} * {e} for {e} in {x})", "the sum of squares", level=2),
    _sum_up("longest_digits", "max((len(str(abs({e}))) for {e} in {x}), default=0)", "the most digits of any {one}", level=3),
    _ask("any_even", "any({e} % 2 == 0 for {e} in {x})", "whether any {one} is even", "whether there is an even {one}"),
    _ask("all_positive", "all({e} > 0 for {e} in {x})", "whether all {x} are positive", "whether every {one} is positive"),
    _ask("is_sorted", "{x} == sorted({x})", "whether the list is sorted", "whether the {x} are in order", level=2),
    _ask("contains", "{k} in {x}", "whether {k} is in the list", "whether {k} is among them", options=_EDGE),
    _ask("has_repeats", "len(set({x})) < len({x})", "whether there are duplicates", "whether any {one} repeats"),
    _ask("symmetric", "{x} == {x}[::-1]", "whether the list is a palindrome", level=2),
    _ask("sum_even", "sum({x}) % 2 == 0", "whether the sum is even", level=2),
    _ask("sum_above", "sum({x}) > {k}", "whether the sum is above {k}", level=2, options=whole(10, 15, 20, 25, 30)),
    _ask("more_than", "len({x}) > {k}", "whether there are more than {k}", level=2, options=whole(2, 3, 4)),
    Primitive("spell", "ints", "strs", "[str({e}) for {e} in {x}]", ("convert each {one} to a string", "turn each {one} into text")),
    Primitive("join_numbers", "ints", "str", "{k}.join(str({e}) for {e} in {x})", ("join the {x} with {k}", "write the {x} with {k} between"), options=MARKS),
    Primitive("tally", "ints", "dict", "{{str({e}): {x}.count({e}) for {e} in {x}}}", ("count each {one} under its text",), 3),
)

_ONE_NUMBER = (
    _number("double_it", "{x} * 2", "double the {x}", "multiply the {x} by two"),
    _number("add_it", "{x} + {k}", "add {k} to the {x}", "increase the {x} by {k}", options=_EDGE),
    _number("subtract_it", "{x} - {k}", "subtract {k} from the {x}", "decrease the {x} by {k}", options=_EDGE),
    _number("multiply_it", "{x} * {k}", "multiply the {x} by {k}", "make the {x} {k} times as large", options=whole(3, 4, 5, 6, 7, 8, 9, 10)),
    _number("square_it", "{x} * {x}", "square the {x}", "multiply the {x} by itself"),
    _number("remainder_it", "{x} % {k}", "take the {x} modulo {k}", "take the remainder of the {x} modulo {k}", options=_SMALL),
    _number("halve_it", "{x} // 2", "halve the {x} and round down", "cut the {x} in half, rounding down"),
    _number("negate_it", "-{x}", "negate the {x}", "flip the sign of the {x}"),
    _number("cap_it", "min({x}, {k})", "cap the {x} at {k}", level=2, options=whole(5, 10, 20, 50)),
    _number("floor_it", "max({x}, {k})", "raise the {x} to at least {k}", level=2, options=whole(5, 10, 20, 50)),
    _number("digit_sum", "sum(int(d) for d in str(abs({x})))", "add up the digits of the {x}", "sum the digits of the {x}", level=2),
    Primitive("is_even", "int", "bool", "{x} % 2 == 0", ("whether the {x} is even", "whether it is even")),
    Primitive("is_odd", "int", "bool", "{x} % 2 == 1", ("whether the {x} is odd", "whether it is odd")),
    Primitive("is_above", "int", "bool", "{x} > {k}", ("whether the {x} is above {k}", "whether it is above {k}"), options=whole(5, 10, 15, 20, 30)),
    Primitive("is_multiple", "int", "bool", "{x} % {k} == 0", ("whether {k} divides the {x}", "whether it is divisible by {k}"), options=whole(3, 4, 5)),
    Primitive("digits", "int", "ints", "[int(d) for d in str(abs({x}))]", ("list the digits of the {x}", "split the {x} into digits")),
    Primitive("as_text", "int", "str", "str({x})", ("write the {x} as text", "convert the {x} to a string")),
    _count("count_up", "list(range(1, {x} + 1))", "count from 1 to the {x}", "list the numbers from 1 to the {x}"),
    _count("count_down", "list(range({x}, 0, -1))", "count down from the {x} to 1", "list the numbers from the {x} down to 1"),
    _count("divisors", "[d for d in range(1, {x} + 1) if {x} % d == 0]", "list the divisors of the {x}"),
    _count("multiples", "[{x} * i for i in range(1, 6)]", "list the first 5 multiples of the {x}"),
    Primitive("binary", "int", "str", "bin({x})[2:]", ("write the {x} in binary",), 2, first=True),
    Primitive("stars", "int", "str", '"*" * {x}', ("write the {x} as a row of stars",), 3, first=True),
)

NUMBERS: tuple[Primitive, ...] = (*_SIEVES, *_CHANGES, *_ORDERS, *_ANSWERS, *_ONE_NUMBER)
