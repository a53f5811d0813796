"""Feed random and damaged inputs to everything that reads what others wrote.

    python benchmarks/fuzz.py [--examples 10000] [--only NAME] [--seed 0]

The targets are in benchmarks/fuzz_targets.py. An input may be refused with an error for users; any other exception, and reading
that takes longer than ten seconds, is a failure. Prints a line of JSON for each target; the exit code is 1 if there was a
failure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
import traceback
from types import FrameType
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")

from fuzz_targets import TARGETS, Target, work_folder
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as with_inputs
from hypothesis import seed as with_seed

from textbookgen.api.errors import TextbookgenError

MAX_SECONDS = 10


class Hang(Exception):
    """Reading one input took too long."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Hang(f"longer than {MAX_SECONDS} s")


class Campaign:
    """The examples of one target: how many were read, refused and failed, and the first of each kind of failure."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.examples = self.refused = self.failures = self.hangs = 0
        self.longest = 0.0
        self.first: dict[str, str] = {}

    def read(self, value: Any) -> None:
        self.examples += 1
        started = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
        try:
            self.target.read(value)
        except TextbookgenError as error:
            self.refused += 1
            str(error)
        except Hang:
            self.hangs += 1
            self.first.setdefault("hang", repr(value)[:2000])
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.failures += 1
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "textbookgen" in frame.filename]
            place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
            self.first.setdefault(f"{type(error).__name__} at {place}", f"{str(error)[:300]} <- {value!r:.1500}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.longest = max(self.longest, time.monotonic() - started)

    def run(self, examples: int, seed: int) -> None:
        checks = list(HealthCheck)
        phases = (Phase.generate,)

        @with_seed(seed)
        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=checks, phases=phases)
        @with_inputs(self.target.inputs)
        def read_all(value: Any) -> None:
            self.read(value)

        read_all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=10_000, help="of each target")
    parser.add_argument("--only", choices=sorted(TARGETS), help="one target")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, _interrupt)
    failed = False
    for name, target in TARGETS.items():
        if options.only in (None, name):
            campaign, started = Campaign(target), time.monotonic()
            campaign.run(options.examples, options.seed)
            figures = {key: getattr(campaign, key) for key in ("examples", "refused", "failures", "hangs")}
            seconds = {"longest_s": round(campaign.longest, 2), "seconds": round(time.monotonic() - started)}
            print(json.dumps({"target": name, **figures, **seconds, "first": campaign.first}, ensure_ascii=True), flush=True)
            failed |= bool(campaign.failures or campaign.hangs)
    shutil.rmtree(work_folder(), ignore_errors=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
