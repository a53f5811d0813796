"""How the teacher practises a concept: the styles in which it writes the body, and what the body must then show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hint:
    """One way to practise a concept.

    Attributes:
        styles: the styles to write the body in; empty if any.
        exits: the ways to leave early; empty if any.
        pattern: a regular expression that the body must match somewhere.
        needed: a regular expression that the plain body must match for one of the styles to match the pattern.
    """

    styles: tuple[str, ...] = ()
    exits: tuple[str, ...] = ()
    pattern: str = ""
    needed: str = ""


_LOOPS = ("loops", "loops", "fused loops", "index", "while")
_ANY = ("plain", "plain", "nested", "fused", "loops", "loops", "while", "index")
_COMPREHENSIONS = ("plain", "plain", "nested", "fused")

HINTS: dict[str, Hint] = {
    "looping with an accumulator": Hint(_LOOPS, (), r"(?s)(for|while) [^\n]*:\n.*(\+= |append\(|\] = )"),
    "filtering with a condition": Hint(_ANY, (), r"for [^\n]* if (?![^\n]* else)|for [^\n]*:\n\s+if |filter\("),
    "mapping each item": Hint(
        _ANY,
        (),
        r"((?<![\w)])\[|(sum|join|any|all|max)\()(?!\w+ for )[^\n]+ for |\{[^\n]*: [^\n]* for |"
        r"map\(|append\((?!\w+\))|\[[^\n]*\] = |\+= \w+\W",
    ),
    "counting with a dictionary": Hint(("plain", "loops", "loops"), (), r"\.count\(\w+\) for|\.get\(\w+, 0\) \+"),
    "grouping by a key": Hint(("plain", "loops", "loops"), (), r"== \w+\] for|setdefault"),
    "sorting": Hint((), (), r"sorted\("),
    "sorting with a key": Hint((), (), r"sorted\([^\n]*key="),
    "searching for the first match": Hint(
        ("plain", "nested", "loops", "loops", "index"),
        (),
        r"next\(|for [^\n]*:\n\s+(if [^\n]*:\n\s+)+return",
        r"return (next|any|all)\(|= next\(",
    ),
    "early return": Hint((), ("guard", "branches", "guard"), r"if [^\n]*:\n\s+return "),
    "nested loops": Hint(("plain", "nested", "loops"), (), r"for [^\n]* for |for [^\n]*:\n\s+[^\n]*for "),
    "while loops": Hint(("while",), (), r"while "),
    "slicing": Hint((), (), r"\[[^\]\n]*:[^\]\n]*\]"),
    "string building": Hint((), (), r"join\(| \+ \"|\" \+ |= \"\"\n"),
    "character classification": Hint((), (), r"\.is(alpha|digit|upper|lower)|in \"aeiou\""),
    "splitting and joining": Hint((), (), r"(?s)split\(.*join\(|join\(.*split\("),
    "sets": Hint(("plain", "nested"), (), r"set\("),
    "removing duplicates": Hint((), (), r"fromkeys|set\(|not in (result|kept|output)\b"),
    "running totals": Hint(("plain", "nested", "loops", "while"), (), r"\[sum\([^\n]*\[: ?i|append\((total|running)\)"),
    "recursion": Hint(("recursive",)),
    "remainders": Hint((), (), r" % "),
    "integer division": Hint((), (), r" // "),
    "digit manipulation": Hint((), (), r"str\(|% 10\b|isdigit"),
    "clamping": Hint((), (), r"\b(min|max)\([^()=\n]*, [\w()\-, ]+\)"),
    "comparing neighbours": Hint(("plain", "nested", "fused", "loops", "functional"), (), r"zip\((\w+), \1\[1:"),
    "enumerating positions": Hint((), (), r"enumerate\("),
    "zipping two sequences": Hint((), (), r"zip\("),
    "flattening": Hint(("plain", "nested", "loops"), (), r"for \w+ in \w+ for |for [^\n]*:\n\s+for "),
    "reading a dictionary": Hint((), (), r"\.items\(\)|\.values\(\)"),
    "default values": Hint((), (), r"default=|next\([^\n]*, |\.get\(\w+, |if not |if \w+ else"),
    "tuple unpacking": Hint((), (), r"for \w+, \w+ in"),
    "comprehensions": Hint(_COMPREHENSIONS, (), r"[\[({][^\n]* for [^\n]* in "),
    "conditional expressions": Hint((), ("", "", "guard"), r" if [^\n]* else "),
    "boolean logic": Hint(("plain", "plain", "nested", "fused"), (), r" and | or |\bnot (?!in\b)|any\(|all\("),
    "min and max with a key": Hint((), (), r"(min|max)\([^\n]*key="),
    "sliding windows": Hint((), (), r"\[i ?: ?i \+"),
    "functions as arguments": Hint(("functional", "functional", "plain"), (), r"lambda|map\(|filter\("),
}
