"""Audit of what the embedded teacher writes: all generators, one table, and four figures.

    python benchmarks/audit.py [--documents 500] [--seed 1] [--only stories,answers]

Each `benchmarks/audit_NAME.py` audits some generators: it writes documents with the embedded teacher, and checks what they
state about themselves (`fact`: topic, concept, types, words, features, printed output), the answers and asserts that they teach
(`answer`), and other shares (`figure`: grammar, repeated documents), which are printed and do not enter the totals. The
truth is computed by the audits, and not by the code that wrote the documents: code is run, problems are solved again. The
answers audit runs code of the embedded teacher in this process: do not point it at the code of a language model.

The last line is JSON: `facts_true` and `answers_right` (shares over all generators), `distinct_exercise_trees` (share of
exercises whose syntax tree occurs in none before them) and `documents`. The exit status is 1 if a share is below its target.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from audit_common import Audit, table, totals

_FOLDER = Path(__file__).parent
#: Lowest shares of the last line.
TARGETS = {"facts_true": 0.99, "answers_right": 1.0, "distinct_exercise_trees": 0.6}


def names() -> list[str]:
    """Return the names of the audits: the files `audit_NAME.py` next to this one, except what they share."""
    return sorted(path.stem.removeprefix("audit_") for path in _FOLDER.glob("audit_*.py") if path.stem != "audit_common")


def run(chosen: Sequence[str], documents: int, seed: int) -> list[Audit]:
    """Run audits by name and print how long each took.

    Raises:
        SystemExit: there is no audit of a name.
    """
    known = names()
    if unknown := [name for name in chosen if name not in known]:
        raise SystemExit(f"no audit named {', '.join(unknown)}; there are {', '.join(known)}")
    audits: list[Audit] = []
    for name in chosen:
        start = time.monotonic()
        audits += importlib.import_module(f"audit_{name}").audit(documents, seed)
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return audits


def missed(figures: dict[str, float | int | None]) -> list[str]:
    """Return the names of the figures that are below their target; one that was not measured is not."""
    return [name for name, target in TARGETS.items() if (value := figures[name]) is not None and value < target]


def summary(audits: Iterable[Audit]) -> list[str]:
    """Return one line per generator: documents, and the shares of true facts and right answers."""
    lines = [f"{'generator':<24} {'documents':>9} {'facts true':>11} {'answers right':>14}"]
    for audit in audits:
        shares = [f"{share:.4f}" if (share := audit.share(kind)) is not None else "-" for kind in ("fact", "answer")]
        lines.append(f"{audit.generator:<24} {audit.documents:>9} {shares[0]:>11} {shares[1]:>14}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500, help="documents of each generator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help=f"audits to run, separated by commas: {', '.join(names())}")
    options = parser.parse_args()
    audits = run([name for name in options.only.split(",") if name] or names(), options.documents, options.seed)
    print("\n".join([*table(audits), "", *summary(audits)]))
    figures = totals(audits)
    print(json.dumps(figures))
    raise SystemExit(1 if missed(figures) else 0)


if __name__ == "__main__":
    main()
