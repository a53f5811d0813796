"""Primitives that start from a string, or from a list of strings."""

from __future__ import annotations

from textbookgen_procedural.primitives.numbers import MARKS, Options
from textbookgen_procedural.primitives.primitive import NONE, Option, Primitive, quoted, whole

_FEW = whole(1, 2, 3)
_LETTERS = quoted(*"aeinorst")
_VOWELS = quoted(*"aeiou")
_SWAPS = tuple(Option(f'"{old}", "{new}"', f'"{old}" by "{new}"') for old in "aeiou" for new in "aeiou*" if old != new)


def _sieve(name: str, test: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "strs", "strs", f"[{{e}} for {{e}} in {{x}} if {test}]", phrases, level, options)


def _each(name: str, change: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "strs", "strs", f"[{change} for {{e}} in {{x}}]", phrases, level, options)


def _list(name: str, code: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "strs", "strs", code, phrases, level, options)


def _text(name: str, code: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "str", "str", code, phrases, level, options)


def _letters(name: str, test: str, *phrases: str, level: int = 1, options: Options = NONE) -> Primitive:
    return Primitive(name, "str", "str", f'"".join(c for c in {{x}} if {test})', phrases, level, options)


_SIEVES = (
    _sieve("longer_than", "len({e}) > {k}", "keep the {x} longer than {k} letters", "keep {x} of more than {k} letters", options=whole(2, 3, 4, 5)),
    _sieve("shorter_than", "len({e}) < {k}", "keep the {x} shorter than {k} letters", "keep {x} of fewer than {k} letters", options=whole(3, 4, 5, 6)),
    _sieve("starting_with", "{e}.startswith({k})", "keep the {x} that start with {k}", "select {x} beginning with {k}", options=_LETTERS),
    _sieve("ending_with", "{e}.endswith({k})", "keep the {x} that end with {k}", "select {x} ending in {k}", options=_LETTERS),
    _sieve("having_letter", "{k} in {e}", "keep the {x} that contain {k}", "select {x} with {k} in them", options=_LETTERS),
    _sieve("lacking_letter", "{k} not in {e}", "keep the {x} without {k}", "drop the {x} that contain {k}", options=_LETTERS),
    _sieve("palindromes", "{e} == {e}[::-1]", "keep the palindromes", "keep {x} that read the same backwards", level=2),
    _sieve("capitalized", "{e}[:1].isupper()", "keep the {x} that start with a capital", level=2),
    _sieve("even_length", "len({e}) % 2 == 0", "keep the {x} of even length", level=2),
    _sieve("odd_length", "len({e}) % 2 == 1", "keep the {x} of odd length", level=2),
)

_CHANGES = (
    _each("upper_each", "{e}.upper()", "convert each {one} to upper case", "make each {one} upper case"),
    _each("lower_each", "{e}.lower()", "convert each {one} to lower case", "make each {one} lower case"),
    _each("capitalize_each", "{e}.capitalize()", "capitalize each {one}", "start each {one} with a capital"),
    _each("reverse_each", "{e}[::-1]", "reverse each {one}", "spell each {one} backwards"),
    _each("first_letters", "{e}[:1]", "take the first letter of each {one}", "replace each {one} by its first letter"),
    _each("last_letters", "{e}[-1:]", "take the last letter of each {one}", "replace each {one} by its last letter", level=2),
    _each("cut_each", "{e}[:{k}]", "cut each {one} to {k} letters", "take the first {k} letters of each {one}", options=whole(2, 3, 4)),
    _each("behead_each", "{e}[1:]", "drop the first letter of each {one}", "cut the first letter off each {one}"),
    _each("suffix_each", "{e} + {k}", "append {k} to each {one}", "put {k} after each {one}", options=quoted("!", "?", ".", "s", "x")),
    _each("prefix_each", "{k} + {e}", "prepend {k} to each {one}", "put {k} before each {one}", options=quoted("-", "#", "@", "a", "x")),
    _each("drop_letter_each", '{e}.replace({k}, "")', "remove every {k} from each {one}", level=2, options=_LETTERS),
    _each("double_each", "{e} * 2", "repeat each {one} twice", "write each {one} two times", level=2),
    _each("sort_each", '"".join(sorted({e}))', "sort the letters of each {one}", level=2),
    _each("drop_vowels_each", '"".join(c for c in {e} if c not in "aeiou")', "drop the vowels of each {one}", level=3),
)

_ORDERS = (
    _list("sort_words", "sorted({x})", "sort the {x} alphabetically", "put the {x} in alphabetical order"),
    _list("sort_by_length", "sorted({x}, key=len)", "sort the {x} by length", "order the {x} from shortest to longest"),
    _list("longest_first", "sorted({x}, key=len, reverse=True)", "sort the {x} from longest to shortest", level=2),
    _list("reverse_words", "{x}[::-1]", "reverse the {x}", "reverse the list", "turn the list around"),
    _list("take_words", "{x}[:{k}]", "take the first {k}", "keep only the first {k}", options=whole(1, 2, 3)),
    _list("skip_words", "{x}[{k}:]", "skip the first {k}", "drop the first {k}", options=whole(1, 2)),
    _list("take_last_words", "{x}[-{k}:]", "take the last {k}", "keep only the last {k}", options=whole(1, 2, 3)),
    _list("skip_last_words", "{x}[:-{k}]", "skip the last {k}", "drop the last {k}", options=whole(1, 2)),
    _list("every_other_word", "{x}[::2]", "take every other {one}", "keep every second {one}, starting with the first", level=2),
    _list("unique_words", "list(dict.fromkeys({x}))", "remove duplicates", "drop repeated {x}", "remove repeats"),
    _list("append_word", "{x} + [{k}]", "append {k}", "put {k} at the end", options=quoted("end", "sun", "egg", "ox", "tea")),
    _list("prepend_word", "[{k}] + {x}", "prepend {k}", "put {k} at the front", options=quoted("end", "sun", "egg", "ox", "tea")),
)

_ANSWERS = (
    Primitive("join_words", "strs", "str", "{k}.join({x})", ("join the {x} with {k}", "write the {x} with {k} between"), options=MARKS),
    Primitive("glue", "strs", "str", '"".join({x})', ("join the {x} without spaces", "glue the {x} together")),
    Primitive("longest", "strs", "str", 'max({x}, key=len, default="")', ("the longest or an empty string", "the longest {one} or an empty string")),
    Primitive("shortest", "strs", "str", 'min({x}, key=len, default="")', ("the shortest or an empty string", "the shortest {one} or an empty string")),
    Primitive("first_word", "strs", "str", '{x}[0] if {x} else ""', ("the first or an empty string", "the first {one} or an empty string")),
    Primitive("last_word", "strs", "str", '{x}[-1] if {x} else ""', ("the last or an empty string", "the last {one} or an empty string"), 2),
    Primitive("initials", "strs", "str", '"".join({e}[:1] for {e} in {x})', ("join the first letters of the {x}", "spell out the initials"), 2),
    Primitive("lengths", "strs", "ints", "[len({e}) for {e} in {x}]", ("take the length of each {one}", "replace each {one} by its length")),
    Primitive("letter_counts", "strs", "ints", "[{e}.count({k}) for {e} in {x}]", ("count {k} in each {one}",), 2, _VOWELS),
    Primitive("vowel_counts", "strs", "ints", '[sum(c in "aeiou" for c in {e}) for {e} in {x}]', ("count the vowels in each {one}",), 3),
    Primitive("count_words", "strs", "int", "len({x})", ("how many there are", "the length of the list", "the number of {x}")),
    Primitive("distinct_words", "strs", "int", "len(set({x}))", ("how many are distinct", "the number of distinct {x}")),
    Primitive("total_length", "strs", "int", "sum(len({e}) for {e} in {x})", ("the total length", "the total number of letters")),
    Primitive("most_letters", "strs", "int", "max((len({e}) for {e} in {x}), default=0)", ("the length of the longest {one} or 0",), 2),
    Primitive("has_word", "strs", "bool", "{k} in {x}", ("whether {k} is in the list", "whether {k} is among them"), 2, quoted("sun", "egg", "ox", "dog", "sea")),
    Primitive("repeats_word", "strs", "bool", "len(set({x})) < len({x})", ("whether there are duplicates", "whether any {one} repeats")),
    Primitive("all_longer", "strs", "bool", "all(len({e}) > {k} for {e} in {x})", ("whether all {x} have more than {k} letters",), 2, whole(2, 3, 4)),
    Primitive("any_longer", "strs", "bool", "any(len({e}) > {k} for {e} in {x})", ("whether any {one} has more than {k} letters",), 2, whole(3, 4, 5)),
    Primitive("word_tally", "strs", "dict", "{{{e}: {x}.count({e}) for {e} in {x}}}", ("map each {one} to its count", "count how often each {one} occurs")),
    Primitive("length_map", "strs", "dict", "{{{e}: len({e}) for {e} in {x}}}", ("map each {one} to its length", "make a dictionary of the length of each {one}")),
)

_ONE_TEXT = (
    _text("upper", "{x}.upper()", "convert the {x} to upper case", "make the {x} upper case"),
    _text("lower", "{x}.lower()", "convert the {x} to lower case", "make the {x} lower case"),
    _text("title", "{x}.title()", "capitalize each word of the {x}", "start each word with a capital"),
    _text("swap_case", "{x}.swapcase()", "swap the case of the {x}", "swap upper and lower case", level=2),
    _text("backwards", "{x}[::-1]", "reverse the {x}", "spell the {x} backwards"),
    _text("strip", "{x}.strip()", "strip the {x}", level=3),
    _text("drop_spaces", '{x}.replace(" ", "")', "remove the spaces", "drop every space"),
    _text("dash_spaces", '{x}.replace(" ", {k})', "replace spaces with {k}", "turn each space into {k}", options=quoted("-", "_", "/", "+", ".")),
    _text("drop_letter", '{x}.replace({k}, "")', "remove every {k}", "drop each {k}", options=_LETTERS),
    _text("replace", "{x}.replace({k})", "replace {k}", "replace each {k}", level=2, options=_SWAPS),
    _text("first_chars", "{x}[:{k}]", "take the first {k} characters", "keep only the first {k} characters", options=whole(2, 3, 4, 5, 6)),
    _text("skip_chars", "{x}[{k}:]", "skip the first {k} characters", "drop the first {k} characters", options=whole(1, 2, 3, 4)),
    _text("last_chars", "{x}[-{k}:]", "take the last {k} characters", "keep only the last {k} characters", options=whole(2, 3, 4, 5)),
    _text("skip_last_chars", "{x}[:-{k}]", "skip the last {k} characters", "drop the last {k} characters", options=_FEW),
    _text("other_chars", "{x}[::2]", "take every other character", "keep every second character, starting with the first"),
    _text("double_chars", '"".join(c * 2 for c in {x})', "double each character", "write each character twice", level=2),
    _text("sort_chars", '"".join(sorted({x}))', "sort the characters", "put the characters in order"),
    _text("unique_chars", '"".join(dict.fromkeys({x}))', "remove repeated characters", "keep each character once", level=2),
    _text("repeat_text", "{x} * {k}", "repeat the {x} {k} times", "write the {x} {k} times", options=whole(2, 3)),
    _text("suffix", "{x} + {k}", "append {k}", "put {k} at the end", options=quoted("!", "?", ".", "...", " end")),
    _text("prefix", "{k} + {x}", "prepend {k}", "put {k} at the front", options=quoted("-", "#", "@", "> ", "the ")),
    _letters("drop_vowels", 'c not in "aeiou"', "remove the vowels", "drop every vowel"),
    _letters("keep_vowels", 'c in "aeiou"', "keep the vowels", "keep only vowels"),
    _letters("keep_letters", "c.isalpha()", "keep the letters", "keep only letters"),
    _letters("keep_digits", "c.isdigit()", "keep the digits", "keep only digits", level=2),
    _letters("drop_digits", "not c.isdigit()", "remove the digits", "drop every digit", level=2),
    _text("mirror_text", "{x} + {x}[::-1]", "append the reversed {x}", level=2),
    Primitive("split_words", "str", "strs", "{x}.split()", ("split the {x} into words", "list the words of the {x}")),
    Primitive("split_commas", "str", "strs", '{x}.split(",")', ("split the {x} at commas", "cut the {x} at each comma"), 2),
    Primitive("list_chars", "str", "strs", "list({x})", ("list the characters of the {x}", "split the {x} into characters")),
    Primitive("read_digits", "str", "ints", "[int(c) for c in {x} if c.isdigit()]", ("list the digits as numbers", "read each digit as a number"), 2),
    Primitive("word_lengths", "str", "ints", "[len(w) for w in {x}.split()]", ("list the length of each word", "take the length of each word"), 2),
    Primitive("text_length", "str", "int", "len({x})", ("the length", "the length of the {x}", "how many characters there are")),
    Primitive("vowel_count", "str", "int", 'sum(c in "aeiou" for c in {x})', ("how many vowels there are", "the number of vowels")),
    Primitive("letter_count", "str", "int", "{x}.count({k})", ("how often {k} occurs", "the count of {k}"), options=_LETTERS),
    Primitive("word_count", "str", "int", "len({x}.split())", ("how many words there are", "the number of words")),
    Primitive("distinct_chars", "str", "int", "len(set({x}))", ("how many characters are distinct", "the number of distinct characters")),
    Primitive("capital_count", "str", "int", "sum(c.isupper() for c in {x})", ("how many capitals there are", "the number of capital letters"), 2),
    Primitive("find_letter", "str", "int", "{x}.find({k})", ("the index of {k} or -1",), 2, _LETTERS),
    Primitive("is_palindrome", "str", "bool", "{x} == {x}[::-1]", ("whether the {x} is a palindrome", "whether it reads the same backwards")),
    Primitive("begins", "str", "bool", "{x}.startswith({k})", ("whether the {x} starts with {k}", "whether it begins with {k}"), options=_LETTERS),
    Primitive("holds", "str", "bool", "{k} in {x}", ("whether {k} occurs", "whether the {x} contains {k}"), options=_LETTERS),
    Primitive("longer_text", "str", "bool", "len({x}) > {k}", ("whether the {x} has more than {k} characters",), 2, whole(4, 6, 8, 10)),
    Primitive("char_tally", "str", "dict", "{{c: {x}.count(c) for c in {x}}}", ("map each character to its count", "count how often each character occurs")),
)

TEXTS: tuple[Primitive, ...] = (*_SIEVES, *_CHANGES, *_ORDERS, *_ANSWERS, *_ONE_TEXT)
