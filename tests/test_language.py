"""Plain technical English: words and names of a private dialect that may not appear in source, docs, prompts and recipes.

`python tests/test_language.py [PATH ...]` prints every occurrence below the paths (all checked files unless given).
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GLOBS = (
    "*.md",
    "docs/*.md",
    "src/**/*.py",
    "plugins/*/README.md",
    "plugins/*/src/**/*.py",
    "plugins/*/benchmarks/*.py",
    "prompts/**/*.j2",
    "recipes/*.toml",
    "benchmarks/*.py",
    "examples/**/*.py",
    "examples/**/*.toml",
    "examples/**/*.md",
)

#: Words and phrases, and what a technical writer would say instead.
WORDS = {
    r"told|tells?|telling": "says, reports, records, prints; message, record",
    r"porter": "plugin manager",
    r"purses?": "budget",
    r"anew|afresh": "again, re-run, from scratch",
    r"harm(ed|s|less)?": "break, damage, affect; corrupt",
    r"nobody|somebody": "no plugin, no one; a user, the caller",
    r"so many": "N, this many, a number of",
    r"manieth": "every k-th",
    r"foresee[ns]?|foreseeing|foresaw": "estimate",
    r"taste[ds]?": "preview, limited run",
    r"(is|are|was|were|be|been|being|not|never|once|to be) worked|works? (a|the|each|every|all|its|their) (step|part|job|stage)s?": "run, process",
    r"stands?|stood|standing": "is, lies, appears (write `stand-in` with a hyphen)",
    r"of (its|one's|their|your|his) own": "its own ..., separate, custom",
    r"go(es|ne|ing)? on|went on": "continue, resume",
    r"oftener|seldom": "more often, rarely",
    r"reckon(s|ed|ing)?": "compute, calculate",
    r"springs?": "source",
    r"sieves?": "filter",
    r"doors?": "hook, resolver, entry point",
    r"rooms?": "module, package; space, capacity",
    r"minds?": "teacher, model",
    r"house": "project, package",
    r"crowds?": "group, many",
    r"bench": "context",
    r"desks?": "session",
    r"in vain": "without effect",
    r"ado": "overhead",
    r"dear(er)?": "expensive",
    r"thrown? away": "delete, discard",
    r"suspects?": "candidates",
    r"the like of": "a near match of",
    r"kin": "related",
    r"fence": "boundary (a Markdown code fence is a `code fence`)",
    r"torn": "incomplete, corrupt, truncated",
    r"speaks? (the|its|openai)": "uses, implements",
}

#: Files whose content (stories, word lists) rightly has everyday words; only the words of `ALWAYS` are looked for there.
CONTENT = re.compile(
    r"/stories/|/data/|/lists/|textbookgen_procedural/|textbookgen_tinystories/features|prompts/tinystories|docs/phi1\.md"
)
EVERYDAY = {
    r"doors?",
    r"rooms?",
    r"minds?",
    r"house",
    r"crowds?",
    r"bench",
    r"desks?",
    r"springs?",
    r"dear(er)?",
    r"told|tells?|telling",
    r"nobody|somebody",
    r"stands?|stood|standing",
    r"of (its|one's|their|your|his) own",
    r"go(es|ne|ing)? on|went on",
    r"taste[ds]?",
    r"thrown? away",
    r"fence",
    r"so many",
    r"harm(ed|s|less)?",
    r"kin",
    r"sieves?",
}
#: Established terms that contain a word of the list.
ALLOWED = re.compile(
    r"code[- ]fence|fenced|stand-ins?|stands? in for|standing in for|stand_in|as it stands|torn write|go on to\b|mean absolute|workbench|theory of mind|server room",
    re.IGNORECASE,
)

#: Names of the old glossary, and bare participles, that no variable, function, class or argument may have.
NAMES = {
    "told", "given", "settled", "drawn", "found", "least", "most",
    "Judge", "CorpusJudge", "Pipe", "Placement", "Doors", "Given", "Bench", "Asking", "Desk", "Purse", "Gate", "Crowd", "Talk",
    "Wish", "Reading", "Ground", "Again", "OnAnswers", "OnPairs", "Saves", "Told", "Tally", "Room", "Signs", "Learning",
}  # fmt: skip


def files() -> list[Path]:
    matches = {file for pattern in GLOBS for file in ROOT.glob(pattern)}
    return sorted(file for file in matches if not {".venv", "work"} & set(file.relative_to(ROOT).parts))


def words_in(file: Path) -> Iterator[str]:
    content = CONTENT.search(file.as_posix()) is not None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        line = ALLOWED.sub("", line)
        for pattern, instead in WORDS.items():
            if content and pattern in EVERYDAY:
                continue
            for match in re.finditer(rf"(?<![\w-])(?:{pattern})(?![\w-])", line, re.IGNORECASE):
                yield f"{file.relative_to(ROOT)}:{number}: '{match[0]}' (say: {instead})"


def names_in(file: Path) -> Iterator[str]:
    if file.suffix != ".py":
        return
    previous = ""
    for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.NAME and token.string in NAMES and previous != "import":
            yield f"{file.relative_to(ROOT)}:{token.start[0]}: the name `{token.string}`"
        previous = token.string


@pytest.mark.parametrize("pattern", GLOBS)
def test_the_words_are_those_of_the_field(pattern: str) -> None:
    hits = [hit for file in files() if file in set(ROOT.glob(pattern)) for hit in (*words_in(file), *names_in(file))]
    assert not hits, f"{len(hits)} hits:\n" + "\n".join(hits[:40])


def test_a_planted_word_and_name_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "planted.py"
    file.write_text('"""The porter told nobody."""\nfound = 1\n', encoding="utf-8")
    assert len(list(words_in(file))) == 3
    assert len(list(names_in(file))) == 1


if __name__ == "__main__":
    under = [Path(argument).resolve() for argument in sys.argv[1:]] or [ROOT]
    hits = [
        hit
        for file in files()
        if any(file.is_relative_to(each) for each in under)
        for hit in (*words_in(file), *names_in(file))
    ]
    print("\n".join(hits), f"\n{len(hits)} hits")
