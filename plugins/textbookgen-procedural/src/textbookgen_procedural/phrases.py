"""The lists of phrases of `data/phrases.txt`: whole lines, each under its heading."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


def phrases(heading: str) -> tuple[str, ...]:
    """The lines under a heading, in order."""
    return tuple(_lists()[heading])


@cache
def _lists() -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    heading = ""
    for line in files("textbookgen_procedural").joinpath("data/phrases.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            heading = line[2:]
            lists[heading] = []
        elif line and not line.startswith("#"):
            lists[heading].append(line)
    return lists
