"""Startup time of `textbookgen` commands, relative to `python -c "import click"`; commands alternate within one run.

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
    """Return the wall-clock time of a command, as a process."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    timings: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for round_number in range(runs + 1):
        for name, command in COMMANDS.items():
            duration = seconds(command)
            if round_number:  # the first round fills the disk cache
                timings[name].append(duration)
    baseline = timings["import click"]
    for name, durations in timings.items():
        ratio = statistics.median(one / other for one, other in zip(durations, baseline, strict=True))
        print(f"{name:<20} median {statistics.median(durations) * 1000:7.0f} ms   {ratio:5.2f} times `import click`")
    print(json.dumps({name: statistics.median(durations) for name, durations in timings.items()}))


if __name__ == "__main__":
    main()
