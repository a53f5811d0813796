"""How long `textbookgen --help` and `recipe check` take, as a ratio to `python -c "import click"`, turn by turn in one run.

python benchmarks/startup.py --runs 15
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
COMMANDS = {
    "import click": [PYTHON, "-c", "import click"],
    "--help": [PYTHON, "-m", "textbookgen", "--help"],
    "plugin list": [PYTHON, "-m", "textbookgen", "plugin", "list"],
    "recipe check phi1": [PYTHON, "-m", "textbookgen", "recipe", "check", str(ROOT / "recipes" / "phi1.toml")],
}


def seconds(command: list[str]) -> float:
    """One run of a command, as a whole process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(runs + 1):
        for name, command in COMMANDS.items():
            spent = seconds(command)
            if turn:  # the first turn warms the disk
                taken[name].append(spent)
    base = taken["import click"]
    for name, item in taken.items():
        ratio = statistics.median(one / other for one, other in zip(item, base, strict=True))
        print(f"{name:<20} median {statistics.median(item) * 1000:7.0f} ms   {ratio:5.2f} times `import click`")
    print(json.dumps({name: statistics.median(item) for name, item in taken.items()}))


if __name__ == "__main__":
    main()
